"""The `ditflow` command: imports no more than the command asked for, for torch takes seconds."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ditflow.commands.table import COMMANDS, HEADING, NOTE, usage
from ditflow.errors import DitflowError, printable
from ditflow.settings.typed_paths import check_paths, home_expanded
from ditflow.utils.failures import failure
from ditflow.utils.files import full_disks_in_one_place
from ditflow.utils.notices import notices_silenced
from ditflow.utils.stopping import STOPPED, end_at_signals, signals_as_interrupt

UNREAD = 141
"""Exit status where nobody reads what is printed any more, as of `ditflow presets | head -1`."""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what was asked, 1 if some of it failed (benchmark, selftest,
    doctor), 2 if the input was wrong, in one line, 130 if it was stopped by Ctrl-C, SIGTERM or
    SIGHUP, 141 if what it prints is not read to its end."""
    args = home_expanded(sys.argv[1:] if args is None else args)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ditflow").setLevel(logging.INFO)
    try:
        with _printing():
            return _status(args)
    except BrokenPipeError:
        return UNREAD
    except KeyboardInterrupt:
        print("ditflow: stopped.", file=sys.stderr)
        return STOPPED
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning has shut down for it
            if args[0] not in ("fit", "predict"):  # those have said how to go on
                print("ditflow: stopped.", file=sys.stderr)
            return STOPPED
        raise


@contextmanager
def _printing() -> Iterator[None]:
    """Context after which all has been printed, letters that a console has not as their numbers."""
    out: Any = sys.stdout
    errors, changes = getattr(out, "errors", None), hasattr(out, "reconfigure")
    if changes:
        out.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if out is not None:
            out.flush()
        if changes:
            out.reconfigure(errors=errors)


def _status(args: list[str]) -> int:
    """A command's exit status, its error said in one line."""
    try:
        with full_disks_in_one_place():
            return _run(args)
    except (DitflowError, MemoryError, RuntimeError, OSError) as error:
        said = None if isinstance(error, BrokenPipeError) else failure(error)
        if said is None:
            raise
        print(f"ditflow: error: {printable(said)}", file=sys.stderr)
        return 1 if isinstance(error, MemoryError | RuntimeError) else 2


def _run(args: list[str]) -> int:
    first, *rest = args or ["--help"]
    helped, named = ("-h", "--help"), [each for each in COMMANDS if each.words[0] == first]
    if first in helped:
        print(f"{HEADING}\n\n{usage()}\n\n{NOTE}")
    elif first == "--version":
        from ditflow.utils.versions import describe_versions

        print(describe_versions())
    elif found := [each for each in named if each.words == args[: len(each.words)]]:
        check_paths(found[0].name, args)
        run = found[0].load()
        with notices_silenced(), signals_as_interrupt():
            return run(args[len(found[0].words) :]) or 0
    elif named and rest and rest[0] in helped:
        print(f"{usage(named)}\n\nEach has --help.")
    elif named:
        several = " or ".join(each.name for each in named)
        raise DitflowError(f"{' '.join([first, *rest[:1]])} is unknown; use {several}.")
    else:
        known = ", ".join(dict.fromkeys(each.words[0] for each in COMMANDS))
        raise DitflowError(f"command {first!r} is unknown; use one of {known}.")
    return 0


def run() -> None:
    """Entry point of the `ditflow` script."""
    end_at_signals()
    status = main()
    if status in (STOPPED, UNREAD):
        # Python's own end takes a while, in which a second signal would have another status, and
        # flushes what nobody reads.
        os._exit(status)
    raise SystemExit(status)


if __name__ == "__main__":
    run()
