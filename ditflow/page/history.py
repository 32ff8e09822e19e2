"""The commands that made an output folder, kept in it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ditflow.files import write_text

COMMANDS = "commands.txt"


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
    try:
        return (folder / COMMANDS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
