"""A command that the page runs or has run."""

import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ditflow.app.command_lines import Form
from ditflow.runs.progress import Progress, read_progress

TAIL = 200_000
"""Bytes of a log that are read."""

ERROR = "ditflow: error: "
"""How the line begins that a command ends with when its input is wrong."""


@dataclass
class Job:
    """A command that runs or has run.

    Attributes:
        kind: `preview`, `fit` or `predict`.
        folder: of its output.
        args: after `ditflow`.
        log: file of what it writes to its terminal.
        process: that runs it; None for one of an earlier start of the app.
        started: when, in seconds since the epoch.
        cwd: folder that it was started in, from which its arguments' paths lead.
        ended: when, likewise; None while it runs.
        asked_to_stop: whether it was cancelled.
        form: that it was begun with; None of a predict, and of those of earlier versions.
    """

    kind: str
    folder: Path
    args: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(repr=False)
    started: float
    cwd: Path
    ended: float | None = None
    asked_to_stop: bool = False
    form: Form | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def state(self) -> str:
        """`running`, `finished`, `stopped` or `failed`."""
        if self.process is None:
            return self._last_state
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
        return (time.time() if running or self.ended is None else self.ended) - self.started

    @property
    def command(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(["ditflow", *self.args])

    def progress(self) -> Progress | None:
        """What it has written of how far it is; None before it holds its folder."""
        found = read_progress(self.folder)
        # An earlier run of the same folder, which this one goes on with, may have left its own.
        return found if found is not None and found.started >= self.started else None

    def said(self, level: str) -> list[str]:
        """What it has said so far, of a level of `ditflow.runs.progress.Message`."""
        progress = self.progress()
        return [] if progress is None else [text for of, text in progress.messages if of == level]

    def lines(self) -> list[str]:
        """The end of what it wrote to its terminal, to be shown."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
        return [line for line in map(str.rstrip, text.splitlines()) if line]

    def error(self) -> str | None:
        """What ended it, in its own words; None where it could say nothing."""
        if said := self.said("error"):
            return said[-1]
        # What is wrong with its input is found before it holds a folder to say so in.
        last = "".join(self.lines()[-1:])
        return last.removeprefix(ERROR) if last.startswith(ERROR) else None

    @cached_property
    def _last_state(self) -> str:
        """Of an earlier start of the app; one that was killed has not said how it ended."""
        progress = self.progress()
        if progress is not None:
            return "stopped" if progress.state == "running" else progress.state
        if any(self.folder.glob("*.mp4")):  # of an earlier version, which told no progress
            return "finished"
        return "stopped" if self.error() is None else "failed"
