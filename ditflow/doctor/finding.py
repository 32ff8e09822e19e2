"""One thing looked at."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What was found of one thing.

    Attributes:
        name: of the thing.
        said: what was found, a line.
        remedy: what to do about it, a line; empty where nothing is amiss.
        needed: whether the embedded world cannot run with it amiss.
    """

    name: str
    said: str
    remedy: str = ""
    needed: bool = False

    @property
    def fatal(self) -> bool:
        return bool(self.remedy) and self.needed

    def __str__(self) -> str:
        mark = "FAIL" if self.fatal else "note" if self.remedy else "ok"
        line = f"{mark:<6}{self.name:<22}{self.said}"
        return f"{line}\n{'':<28}-> {self.remedy}" if self.remedy else line
