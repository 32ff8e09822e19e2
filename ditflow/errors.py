"""The one exception a user should ever see as a message."""


class DitflowError(ValueError):
    """Something the user can mend: the message names the option, the value and the remedy."""


def reason_of(error: Exception) -> str:
    """What an exception of a library says, its first line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)
