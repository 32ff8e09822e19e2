"""Output folders and text files, written whole or not at all."""

import os
from pathlib import Path

from ditflow.errors import DitflowError


def make_output(folder: Path) -> None:
    """Make an output folder, before any work whose result would be lost without it.

    Raises:
        DitflowError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".ditflow"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DitflowError(
            f"output={folder} is not writable ({error.strerror}); give another folder."
        ) from error


def temporary(path: Path) -> Path:
    """The name beside a file under which it is written, before it is renamed to its own.

    It is each process' own: several of a benchmark may make the same reference at once.
    """
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name and rename it."""
    partial = temporary(path)
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
