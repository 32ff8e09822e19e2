"""The one exception a user should ever see as a message."""


class DitflowError(ValueError):
    """Something the user can mend: the message names the option, the value and the remedy."""
