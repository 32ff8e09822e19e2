"""The header of a motion embedding: a stranger's text, taken at its word for nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ditflow.embedding.checks import is_injection, is_plain, whole_number, wrong_shape, wrong_value
from ditflow.errors import DitflowError, shortened
from ditflow.utils.untrusted import parse_json

FORMAT_VERSION = 1

LONGEST = 1_000_000
"""Characters of a header at most; a fit's has some thousands."""


@dataclass(frozen=True)
class EmbeddingHeader:
    """Where a motion embedding comes from and where it fits.

    Attributes:
        ditflow_version: that wrote it.
        family, backbone, fingerprint: adapter family, name, and hash of the configurations.
        num_frames, height, width: of the video, in pixels.
        latent_shape: [1, F, C, h, w].
        target: `latents` or `positions`.
        parameterization: of positions, `values` or `coordinates`.
        scheduler: class name of the scheduler.
        timesteps: of every denoising step.
        guided_steps: how many of them, from the first, were guided.
        objective, block: what was optimised, and where it was read.
        prompts, seed: of the fit.
        reference, reference_sha256: the reference's file name and hash.
        fps: frames a second of the written videos.
        model: arguments of the run, from which `predict` takes what it is not told.
        injection: arguments of the fit's KV injection, likewise.
        scheduler_fingerprint: hash of the scheduler's noise schedule; empty in older files.
        masked: whether a mask restricted what guided; False in older files, of which it is not
            known.
        mask, mask_sha256: the mask's file name and hash; empty without one.
        confidence: whether displacements counted by how sure the attention was; as `masked`.
        format_version: of this file.
    """

    ditflow_version: str
    family: str
    backbone: str
    fingerprint: str
    num_frames: int
    height: int
    width: int
    latent_shape: tuple[int, ...]
    target: str
    parameterization: str
    scheduler: str
    timesteps: tuple[int | float, ...]
    guided_steps: int
    objective: str
    block: int
    prompts: tuple[str, ...]
    seed: int
    reference: str
    reference_sha256: str
    fps: float
    model: dict[str, Any] = field(default_factory=dict)
    injection: dict[str, Any] = field(default_factory=dict)
    scheduler_fingerprint: str = ""
    masked: bool = False
    mask: str = ""
    mask_sha256: str = ""
    confidence: bool = False
    format_version: int = FORMAT_VERSION

    def look_warning(self, prompts: Sequence[str]) -> str | None:
        """What to know before the motion is put into these prompts: latents bring their look.

        Returns:
            None where there is nothing to know.
        """
        others = [prompt for prompt in prompts if prompt not in self.prompts]
        if self.target != "latents" or not others:
            return None
        return (
            "The embedding holds latents, which carry the look of the video they were fitted for: "
            f"{shortened(others[0], 100)!r} will come out much like {self.prompts[0]!r}. To put a "
            "motion into other prompts, fit it with --target positions."
        )


def read_header(path: Path | str) -> EmbeddingHeader:
    """The header of a motion embedding, once it and the tensors' shapes are known to be a fit's.

    No tensor is read.

    Raises:
        DitflowError: no such file, not a whole motion embedding of a known format, or values that
            no fit writes.
    """
    path = Path(path)
    if not path.is_file():
        raise DitflowError(
            f"embedding={path} does not exist; give the motion.safetensors of a finished fit."
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("ditflow", "")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {name: part.get_dtype() for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise unreadable(path) from error
    values = _parse(path, text)
    version = values["format_version"]
    if version > FORMAT_VERSION:
        raise DitflowError(
            f"embedding={path} has format version {version}, this ditflow reads up to "
            f"{FORMAT_VERSION}; upgrade ditflow."
        )
    if not is_plain(values.get("model", {})) or not is_injection(values.get("injection", {})):
        raise DitflowError(
            f"embedding={path} carries settings that no fit writes, which could run code; "
            "get it again from a source you trust, or fit the motion yourself."
        )
    known = {field.name for field in fields(EmbeddingHeader)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known  # a later version may add some
    }
    try:
        header = EmbeddingHeader(**values)
    except TypeError as error:
        raise DitflowError(f"embedding={path} has an incomplete header; fit again.") from error
    wrong = wrong_value(header) or wrong_shape(header, shapes, types)
    if wrong:
        raise DitflowError(
            f"embedding={path} is damaged or was made up: {wrong}; fit the motion again."
        )
    return header


def check_readable(header: EmbeddingHeader) -> None:
    """Refuse before a fit what the reader of its embedding would refuse after it.

    Raises:
        DitflowError: names the value.
    """
    length = len(json.dumps(asdict(header)))
    if length > LONGEST:
        raise DitflowError(
            f"prompts and settings would have {length} characters in the embedding's header, which "
            f"has at most {LONGEST}; give fewer or shorter prompts."
        )
    wrong = wrong_value(header)
    if wrong is None and not is_plain(header.model):
        wrong = f"model={shortened(header.model)}"
    if wrong is not None:
        raise DitflowError(
            f"{wrong} is more than an embedding can hold, or of another kind; give a shorter text, "
            "a smaller number or a plain value."
        )


def unreadable(path: Path | str) -> DitflowError:
    """The error of a file that is not safetensors."""
    return DitflowError(
        f"embedding={path} is not a whole safetensors file (truncated, or another format such as "
        "a pickle); give the motion.safetensors of a finished fit."
    )


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters")
        values = parse_json(text)
        if not whole_number(1, 2**31)(values["format_version"]):
            raise ValueError("format_version")
        return values
    except (KeyError, TypeError, ValueError) as error:
        raise DitflowError(
            f"embedding={path} is a safetensors file, but not a motion embedding; "
            "give the motion.safetensors of a fit."
        ) from error
