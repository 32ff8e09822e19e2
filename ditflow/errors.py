"""The one exception a user should ever see as a message, and what goes into messages."""

import re
from typing import Any

LIBRARY_MEMORY = re.compile(r"_STATUS_(\w+_)?ALLOC(ATION)?_FAILED|CUDA error: out of memory")
"""What CUDA and its libraries say of memory that could not be had, in errors of no own type."""


class DitflowError(ValueError):
    """Something the user can mend: the message names the option, the value and the remedy."""


def reason_of(error: Exception) -> str:
    """What an exception of a library says, its first line.

    Example:
        >>> reason_of(ValueError("no such model\\nTraceback ..."))
        'no such model'
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)


def out_of_memory(error: Exception) -> str | None:
    """What an exception says of memory that could not be had; None of any other."""
    if isinstance(error, MemoryError):
        return str(error) or "out of memory"
    import torch  # takes seconds, but has been imported where its memory ran out

    _, on_cpu, said = str(error).partition("DefaultCPUAllocator: ")
    if on_cpu:
        return said.partition(". ")[0]
    if isinstance(error, torch.OutOfMemoryError) or LIBRARY_MEMORY.search(str(error)):
        return reason_of(error).partition(". ")[0]
    return None


def printable(text: str) -> str:
    """Text that a terminal shows as it is: what would steer it, but for line ends, becomes `?`.

    Example:
        >>> printable("\\x1b[31mred")
        '?[31mred'
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def shortened(value: Any, length: int = 60) -> str:
    """A stranger's value as a short piece of text that a terminal shows as it is.

    Example:
        >>> shortened("a" * 100, 5)
        'aaaaa...'
    """
    text = printable(value if isinstance(value, str) else repr(value)).replace("\n", "?")
    return text if len(text) <= length else f"{text[:length]}..."
