"""A command that the page runs or has run."""

import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ditflow.app.progress import said

TAIL = 200_000
"""Bytes of a log that are read: progress bars of a long run fill megabytes."""


WROTE = "Wrote to "
"""How the list of what a command has made begins, with which it ends."""

ERROR = "ditflow: error: "
"""How a command's error begins."""

WARNING = "Warning: "
"""How a warning begins, of a preview and of what `run_command` runs."""

STOPPED = "Stopped; "
"""How a command that was stopped says how to go on."""


@dataclass
class Job:
    """A command that runs or has run.

    Attributes:
        kind: `preview`, `fit` or `predict`.
        folder: of its output.
        args: after `ditflow`.
        log: file of what it writes to its terminal.
        process: that runs it; None for one of an earlier start of the app, of which the log is
            all there is.
        started: when, in seconds since the epoch.
        cwd: folder that it was started in, from which its arguments' paths lead.
        ended: when, likewise; None while it runs.
        asked_to_stop: whether it was cancelled.
    """

    kind: str
    folder: Path
    args: Sequence[str]
    log: Path
    process: subprocess.Popen | None = field(repr=False)
    started: float
    cwd: Path
    ended: float | None = None
    asked_to_stop: bool = False
    _warned: list[str] = field(default_factory=list, init=False, repr=False)
    _searched: int = field(default=0, init=False, repr=False)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def state(self) -> str:
        """`running`, `finished`, `stopped` or `failed`."""
        if self.process is None:
            return self._logged_state
        status = self.process.poll()
        if status is None:
            return "running"
        if self.ended is None:
            self.ended = time.time()
        if status == 0:
            return "finished"
        return "stopped" if self.asked_to_stop or status == 130 else "failed"

    @property
    def can_go_on(self) -> bool:
        """Whether it is a fit that ended before it was finished; one that failed before it made its
        folder, over what it was given, would fail again."""
        failed = self.state == "failed" and self.folder.is_dir()
        return self.kind == "fit" and (self.state == "stopped" or failed)

    @property
    def seconds(self) -> float:
        """How long it has run."""
        running = self.state == "running"  # notes the end, if it has come
        return (time.time() if running else self.ended) - self.started

    @property
    def command(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(["ditflow", *self.args])

    def output(self) -> str:
        """The end of what it wrote to its terminal."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL))
            return file.read().decode(errors="replace")

    def warnings(self) -> list[str]:
        """What it has warned of so far, each once: also what the end of its output is far from."""
        start = self._searched
        with self.log.open("rb") as file:
            file.seek(start)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]  # of a line that is being written, later
        self._searched = start + len(new)
        for line in said(new.decode(errors="replace")).splitlines():
            text = line.removeprefix(WARNING)
            if text != line and text not in self._warned and not text.startswith(STOPPED):
                self._warned.append(text)
        return self._warned

    @cached_property
    def _logged_state(self) -> str:
        """From what it said last: one that was killed, with the app or by the machine, no more."""
        lines = said(self.output()).splitlines()
        if any(line.startswith(WROTE) for line in lines):
            return "finished"
        errors = any(line.startswith(ERROR) for line in lines)
        return "failed" if errors else "stopped"
