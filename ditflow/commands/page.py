"""`ditflow page`, and the page that fit, predict and benchmark write at their end."""

from pathlib import Path

from ditflow.errors import DitflowError
from ditflow.pages.benchmark import write_benchmark_page
from ditflow.pages.run import write_run_page
from ditflow.runs.folder import CONFIG


def page(folder: Path) -> None:
    """Write the page of a fit's, predict's or benchmark's output folder, `index.html` in it.

    They write it themselves when they end; this does it for a run that was stopped or is older,
    and for a folder whose files were changed.

    Args:
        folder: Output folder of a fit, predict or benchmark.
    """
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
