"""What a command says of an error that is not its own fault."""

from ditflow.errors import DitflowError, out_of_memory, shortened
from ditflow.utils.files import is_full_disk


def failure(error: BaseException) -> str | None:
    """What went wrong and what to do, in a line; None of an error that only a developer mends."""
    if isinstance(error, DitflowError):
        return str(error)
    if isinstance(error, MemoryError | RuntimeError):
        said = out_of_memory(error)
        remedy = "see what makes it fit with: ditflow plan --config PRESET"
        return None if said is None else f"{said}; {remedy}"
    if isinstance(error, OSError) and error.errno is not None:
        # Of a file or the machine, found where no option is known: a name too long, a disk that is
        # full or fails, what may not be read.
        where = "" if error.filename is None else f" ({shortened(error.filename, 200)})"
        remedy = "; make room on the disk, or give another output folder" * is_full_disk(error)
        return f"{error.strerror}{where}{remedy}."
    return None
