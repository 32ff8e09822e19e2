"""Progress bars on a terminal, and lines now and then where there is none."""

import time
from typing import Any

from tqdm import tqdm

EVERY = 30
"""Seconds between two lines of a bar at least, but for its last."""


class Bar(tqdm):
    """tqdm's bar; into a file or a pipe, which keeps all that it is given, a line of it each half
    minute and one at its end.

    Args:
        args, options: of tqdm.
    """

    def __init__(self, *args: Any, **options: Any):
        self._said = 0, time.monotonic()
        super().__init__(*args, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if self.fp.isatty():
            return super().display(msg, pos)
        if time.monotonic() - self._said[1] >= EVERY:
            self._say()
        return True

    def reset(self, total: float | None = None) -> None:
        if not self.disable and not self.fp.isatty():
            self._say()
            self._said = 0, time.monotonic()
        super().reset(total)

    def close(self) -> None:
        if getattr(self, "disable", True) or self.fp.isatty():
            super().close()
            return
        self._say()
        self.disable = True
        self._decr_instances(self)

    def _say(self) -> None:
        """Write the bar as a line, unless it says what the last one did."""
        if self.n not in (0, self._said[0]):
            self.fp.write(f"{self}\n")
            self.fp.flush()
        self._said = self.n, time.monotonic()
