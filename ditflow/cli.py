"""The `ditflow` command: imports no more than the command asked for, for torch takes seconds."""

import logging
import sys
from collections.abc import Sequence

from ditflow.commands.table import COMMANDS, HEADING, NOTE, usage
from ditflow.errors import DitflowError, printable
from ditflow.utils.failures import failure
from ditflow.utils.files import full_disks_in_one_place
from ditflow.utils.notices import notices_silenced
from ditflow.utils.stopping import sigterm_as_interrupt


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what was asked, 1 if some of it failed (benchmark, selftest,
    doctor), 2 if the input was wrong, in one line, 130 if it was stopped by Ctrl-C or SIGTERM."""
    args = list(sys.argv[1:] if args is None else args)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ditflow").setLevel(logging.INFO)
    try:
        with sigterm_as_interrupt(), full_disks_in_one_place():
            return _run(args)
    except (DitflowError, MemoryError, RuntimeError, OSError) as error:
        said = failure(error)
        if said is None:
            raise
        print(f"ditflow: error: {printable(said)}", file=sys.stderr)
        return 1 if isinstance(error, MemoryError | RuntimeError) else 2
    except KeyboardInterrupt:
        print("ditflow: stopped.", file=sys.stderr)
        return 130
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning has shut down for it
            if args[0] not in ("fit", "predict"):  # those have said how to go on
                print("ditflow: stopped.", file=sys.stderr)
            return 130
        raise


def _run(args: list[str]) -> int:
    first, *rest = args or ["--help"]
    helped, named = ("-h", "--help"), [each for each in COMMANDS if each.words[0] == first]
    if first in helped:
        print(f"{HEADING}\n\n{usage()}\n\n{NOTE}")
    elif first == "--version":
        from ditflow.utils.versions import describe_versions

        print(describe_versions())
    elif found := [each for each in named if each.words == args[: len(each.words)]]:
        run = found[0].load()
        with notices_silenced():
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
    raise SystemExit(main())


if __name__ == "__main__":
    run()
