"""Run a command as `ditflow` does, with a mark before what it warns of, for the page to tell it by.

python -m ditflow.commands.run_command fit ...
"""

import logging

from ditflow.app.job import WARNING
from ditflow.cli import main


class Marking(logging.Formatter):
    """Plain messages, warnings marked as a preview marks its own."""

    def format(self, record: logging.LogRecord) -> str:
        mark = WARNING if record.levelno == logging.WARNING else ""
        return f"{mark}{super().format(record)}"


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setFormatter(Marking())
    logging.basicConfig(handlers=[handler])
    raise SystemExit(main())
