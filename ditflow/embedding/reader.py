"""The header of a motion embedding's file: a stranger's text, taken at its word for nothing."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from safetensors import SafetensorError, safe_open

from ditflow.embedding.checks import PredictArguments, check_header, check_tensors
from ditflow.embedding.header import FORMAT_VERSION, EmbeddingHeader
from ditflow.embedding.hub import found_here
from ditflow.errors import DitflowError
from ditflow.utils.untrusted import checked, parse_json

LONGEST = 1_000_000
"""Characters of a header at most; a fit's has some thousands."""


class Versioned(Struct):
    """Of a header, what files of all versions have."""

    format_version: Annotated[int, Meta(ge=1, le=2**31)]


def read_header(path: Path | str) -> EmbeddingHeader:
    """The header of a motion embedding, its file's or its folder's, once it and the tensors' shapes
    are known to be a fit's.

    No tensor is read.

    Raises:
        DitflowError: no such file, not a whole motion embedding of a known format, or values that
            no fit writes.
    """
    path = found_here(path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("ditflow", "")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {name: part.get_dtype() for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise unreadable(path) from error
    values = _values(path, text)
    try:
        checked(values, PredictArguments)
    except ValueError as error:
        raise DitflowError(
            f"embedding={path} carries settings that no fit writes, which could run code "
            f"({error}); get it again from a source you trust, or fit the motion yourself."
        ) from error
    try:
        header = check_header(values)
        check_tensors(header, shapes, types)
    except ValueError as error:
        raise DitflowError(
            f"embedding={path} is damaged or was made up: {error}; fit the motion again."
        ) from error
    return header


def check_readable(header: EmbeddingHeader) -> None:
    """Refuse before a fit what the reader of its embedding would refuse after it.

    Raises:
        DitflowError: names the value.
    """
    values = asdict(header)
    length = len(json.dumps(values))
    if length > LONGEST:
        raise DitflowError(
            f"prompts and settings would have {length} characters in the embedding's header, which "
            f"has at most {LONGEST}; give fewer or shorter prompts."
        )
    try:
        checked(values, PredictArguments)
        check_header(values)
    except ValueError as error:
        raise DitflowError(
            f"{error} is more than an embedding can hold, or of another kind; give a shorter text, "
            "a smaller number or a plain value."
        ) from error


def unreadable(path: Path | str) -> DitflowError:
    """The error of a file that is not safetensors."""
    return DitflowError(
        f"embedding={path} is not a whole safetensors file (truncated, or another format such as "
        "a pickle); give the motion.safetensors of a finished fit."
    )


def _values(path: Path, text: str) -> dict[str, Any]:
    """What a header says, as it stands, once it is known to be one of a format read here."""
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters")
        values = parse_json(text, dict[str, Any])
        version = checked(values, Versioned).format_version
    except ValueError as error:
        raise DitflowError(
            f"embedding={path} is a safetensors file, but not a motion embedding; "
            "give the motion.safetensors of a fit."
        ) from error
    if version > FORMAT_VERSION:
        raise DitflowError(
            f"embedding={path} has format version {version}, this ditflow reads up to "
            f"{FORMAT_VERSION}; upgrade ditflow."
        )
    return values
