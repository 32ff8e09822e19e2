"""HTML from the package's templates, and media for it."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from ditflow.version import __version__

INSIDE = 12 * 2**20
"""Bytes of video that a page takes into itself; with base64 it grows by a third more."""

TYPES = {".mp4": "video/mp4", ".png": "image/png"}


def render(template: str, **values: Any) -> str:
    """A page. All values are escaped: prompts, names and errors are text, never markup.

    Args:
        template: its file name.
        values: what it names.
    """
    environment = Environment(
        loader=PackageLoader("ditflow.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=__version__, **values)


def sources(paths: Sequence[Path], folder: Path, inside: int = INSIDE) -> dict[Path, str]:
    """An address for each video of a page.

    Together small enough, they are inside the page, which may then be sent as one file: what the
    sprites and a few clips of CogVideoX take. Otherwise they stay beside it.

    Args:
        paths: of videos, all there.
        folder: of the page.
        inside: bytes at most of all of them.
    """
    if sum(path.stat().st_size for path in paths) > inside:
        return {path: link(path, folder) for path in paths}
    return {path: data_uri(path.read_bytes(), TYPES[path.suffix]) for path in paths}


def link(path: Path, folder: Path) -> str:
    """A relative address, whatever characters the name has."""
    return quote(os.fsencode(path.relative_to(folder).as_posix()))


def data_uri(content: bytes, media_type: str) -> str:
    """Content as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
