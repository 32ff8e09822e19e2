"""The commands that made an output folder, kept in it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ditflow.runs.folder import COMMANDS, MANIFEST
from ditflow.utils.files import write_text


def record_command(folder: Path, args: Sequence[str]) -> None:
    """Add a command line to a folder's, unless it is there already.

    Only what was typed after `ditflow` is kept, quoted for a shell; nothing of the environment.

    Args:
        folder: of the output.
        args: the command and its options.

    Raises:
        DitflowError: it cannot be written.
    """
    line = f"{shlex.join(['ditflow', *args])}\n"
    before = read_commands(folder)
    if f"\n{line}" not in f"\n{before}":
        write_text(folder / COMMANDS, before + line)


def read_commands(folder: Path) -> str:
    """The commands, one after another; nothing for a folder of an older run."""
    return _read(folder / COMMANDS)


def read_manifest(folder: Path) -> str:
    """A benchmark's manifest as it was run; nothing for a folder of an older one."""
    return _read(folder / MANIFEST)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
