"""An output folder belongs to one run at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ditflow.errors import DitflowError
from ditflow.files import make_output

LOCK = ".ditflow.lock"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Make an output folder and hold it until the block ends, or the process does, however.

    Raises:
        DitflowError: it cannot be written to, or another run that goes on writes to it.
    """
    make_output(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DitflowError(
            f"output={folder} is being written to by another run; wait for it, or give another "
            "folder."
        ) from error
    remove_results(folder, (".*.partial*", "checkpoints/.*.partial*"))  # of runs that were killed
    try:
        yield
    finally:
        # Unlinked while held: who opened it meanwhile finds that out and opens a new one.
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def refuse_results(folder: Path, names: Sequence[str]) -> None:
    """Refuse to write over what an earlier run left.

    Args:
        folder: of the output.
        names: of results, any of which tells of an earlier run.

    Raises:
        DitflowError: names the first that is there, and what to do.
    """
    for name in names:
        if (folder / name).exists():
            raise DitflowError(
                f"output={folder} holds the results of an earlier run ({name}); go on with that "
                f"run by --resume {folder}, replace it by --overwrite true, or give another folder."
            )


def remove_results(folder: Path, patterns: Sequence[str]) -> None:
    """Remove what an earlier run left, so that nothing of it is taken for the new run's.

    Args:
        folder: of the output.
        patterns: of files inside it; nothing else is touched.
    """
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()
