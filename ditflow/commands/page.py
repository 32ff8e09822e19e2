"""`ditflow page`, and the page that fit, predict and benchmark write at their end."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from ditflow.errors import DitflowError, reason_of
from ditflow.page.benchmark import write_benchmark_page
from ditflow.page.run import CONFIG, write_run_page
from ditflow.parsing import CommandParser

log = logging.getLogger(__name__)


def page(args: Sequence[str]) -> int:
    """Write the page of a fit's, predict's or benchmark's output folder, `index.html` in it.

    They write it themselves when they end; this does it for a run that was stopped or is older,
    and for a folder whose files were changed.

    Returns:
        0.
    """
    folder = page_parser().parse_args(list(args)).folder
    if not folder.is_dir():
        raise DitflowError(f"folder={folder} does not exist; give the output folder of a run.")
    if (folder / "results").is_dir():
        written = write_benchmark_page(folder)
    elif (folder / CONFIG).is_file():
        written = write_run_page(folder)
    else:
        raise DitflowError(
            f"folder={folder} is not the output of a fit, predict or benchmark (it has neither "
            f"{CONFIG} nor results); give one that is."
        )
    print(f"Wrote {written}")
    return 0


def page_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow page", description=page.__doc__)
    parser.add_argument("folder", type=Path, help="Output folder of a fit, predict or benchmark.")
    return parser


def write_page_if_possible(write: Callable[[Path], Path], folder: Path) -> None:
    """Write a page at the end of a run, whose results matter more: what is wrong is one line."""
    try:
        write(folder)
    except Exception as error:  # whatever it is, the run has done its work
        log.warning(
            "The page of %s could not be written (%s: %s); mend that, then: ditflow page %s",
            *(folder, type(error).__name__, reason_of(error), folder),
        )
