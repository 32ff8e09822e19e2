"""An output folder belongs to one run at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ditflow.errors import DitflowError
from ditflow.utils.files import make_output

LOCK = ".ditflow.lock"


class Claimed(DitflowError):
    """Another run that goes on holds the output folder."""


@contextmanager
def claim(folder: Path, shared: bool = False) -> Iterator[None]:
    """Make an output folder and hold it until the block ends, or the process does, however.

    Args:
        folder: of the output.
        shared: whether processes that hold no claim may be writing to it already. What killed ones
            left half written, which cannot be told from theirs, then stays for another run.

    Raises:
        Claimed: another run that goes on writes to it.
        DitflowError: it cannot be written to.
    """
    make_output(folder)
    with locked(folder / LOCK) as own:
        if not own:
            raise Claimed(
                f"output={folder} is being written to by another run; wait for it, or give another "
                "folder."
            )
        if not shared:  # all that is half written is of runs that were killed
            remove_results(folder, (".*.partial*", "checkpoints/.*.partial*"))
        yield


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock until the block ends, or the process does, however; False if another holds it.

    Args:
        path: of the lock's file, which is removed after it.
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        # Unlinked while held: who opened it meanwhile finds that out and opens a new one.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def refuse_results(folder: Path, patterns: Sequence[str], resumable: bool = True) -> None:
    """Refuse to write over what an earlier run left.

    Args:
        folder: of the output.
        patterns: of results, any of which tells of an earlier run.
        resumable: whether the command takes --resume.

    Raises:
        DitflowError: names the first that is there, and what to do.
    """
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            resume = f"go on with that run by --resume {folder}, " if resumable else ""
            raise DitflowError(
                f"output={folder} holds the results of an earlier run ({path.relative_to(folder)});"
                f" {resume}replace it by --overwrite true, or give another folder."
            )


def remove_results(folder: Path, patterns: Sequence[str]) -> None:
    """Remove what an earlier run left, so that nothing of it is taken for the new run's.

    Args:
        folder: of the output.
        patterns: of files inside it; nothing else is touched.
    """
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)  # another process may be faster
