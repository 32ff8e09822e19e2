"""Output folders, and files written whole or not at all."""

import os
import re
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, ENOSPC, ENOTDIR
from pathlib import Path

from ditflow.errors import DitflowError, reason_of


def missing(option: str, path: Path) -> DitflowError:
    """That a file an option names is not there; of an address, what to do first."""
    address = re.match(r"(https?|ftp):[/\\\\]+(.+)", str(path))  # of which a path keeps one slash
    if address is not None:
        named = f"{address[1]}://{address[2]}"
        return DitflowError(
            f"{option}={named} is not downloaded; do so first, such as by curl -LO {named}, and "
            "give the file."
        )
    wanted = "a picture's file" if option == "image" else "a video file or a folder of frames"
    return DitflowError(f"{option}={path} does not exist; give {wanted}.")


def make_output(folder: Path) -> None:
    """Make an output folder, before any work whose result would be lost without it.

    Raises:
        DitflowError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # of a name that no other process takes
            pass
    except OSError as error:
        raise DitflowError(
            f"output={folder} is not writable ({error.strerror}); give another folder."
        ) from error


def check_output(folder: Path) -> None:
    """Refuse an output folder that cannot be made or written to; it is not made yet.

    Raises:
        DitflowError: as `make_output`.
    """
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    for amiss, code in ((not there.is_dir(), ENOTDIR), (not os.access(there, os.W_OK), EACCES)):
        if amiss:
            raise DitflowError(
                f"output={folder} is not writable ({os.strerror(code)}); give another folder."
            )


@contextmanager
def atomic_write(path: Path, flush: bool = True) -> Iterator[Path]:
    """Write a file whole or not at all: yields the name to write it under, beside its own.

    What was written is flushed to the disk and renamed; after an exception nothing of it is left,
    and what had the name before is still there. The name is each writer's own: several of a
    benchmark, on one machine or several, may make the same reference at once.

    Args:
        path: of the file.
        flush: to the disk, so that it is whole also after the machine has lost its power.

    Raises:
        DitflowError: the disk is full or does not take the file.
    """
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if flush:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        _put_in_place(partial, path)
    except OSError as error:
        raise DitflowError(
            f"{path} could not be written ({error.strerror or reason_of(error)}); make room on its "
            "disk, or give another output folder."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _put_in_place(partial: Path, path: Path) -> None:
    """Give a file its name, also where another process reads the one that has it: Windows lets that
    one be replaced only once it is closed."""
    for seconds in (0.01, 0.1, 0.4) if sys.platform == "win32" else ():
        with suppress(PermissionError):
            partial.replace(path)
            return
        time.sleep(seconds)
    partial.replace(path)


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or what caused it, is that there is no room."""
    causes = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in (ENOSPC, EDQUOT) for e in causes)


@contextmanager
def full_disks_in_one_place() -> Iterator[None]:
    """Context in which a thread that finds the disk full prints nothing: TensorBoard's raises the
    same in the main thread, where it is said in a line."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is None or not is_full_disk(failed.exc_value):
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def write_text(path: Path, text: str, flush: bool = True) -> None:
    """Write a text, whole or not at all; see `atomic_write`."""
    with atomic_write(path, flush) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")  # the same on every system


def written(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder that are written whole, in order; not those that a killed process left."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def files_of(path: Path) -> list[Path]:
    """A video's or mask's own file, or all those of its folder, in order."""
    if path.is_dir():
        return sorted(inside for inside in path.iterdir() if inside.is_file())
    return [path]
