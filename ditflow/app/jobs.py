"""The commands that the page runs: processes of their own, one at a time."""

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ditflow.errors import DitflowError
from ditflow.files import make_output

LOGS = "logs"
"""Folder of what the commands wrote to their terminals."""

TAIL = 200_000
"""Bytes of a log that are read: progress bars of a long run fill megabytes."""

PATIENCE = 60
"""Seconds that a command may take to end cleanly when the app ends."""


@dataclass
class Job:
    """A command that runs or has run.

    Attributes:
        kind: `preview`, `fit` or `predict`.
        folder: of its output.
        args: after `ditflow`.
        log: file of what it writes to its terminal.
        process: that runs it.
        started: when, in seconds of the monotonic clock.
        ended: likewise, None while it runs.
        asked_to_stop: whether it was cancelled.
    """

    kind: str
    folder: Path
    args: Sequence[str]
    log: Path
    process: subprocess.Popen = field(repr=False)
    started: float
    ended: float | None = None
    asked_to_stop: bool = False

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def state(self) -> str:
        """`running`, `finished`, `stopped` or `failed`."""
        status = self.process.poll()
        if status is None:
            return "running"
        if self.ended is None:
            self.ended = time.monotonic()
        if status == 0:
            return "finished"
        return "stopped" if self.asked_to_stop or status == 130 else "failed"

    @property
    def seconds(self) -> float:
        """How long it has run."""
        running = self.state == "running"  # notes the end, if it has come
        return (time.monotonic() if running else self.ended) - self.started

    @property
    def command(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(["ditflow", *self.args])

    def output(self) -> str:
        """The end of what it wrote to its terminal."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL))
            return file.read().decode(errors="replace")


class Jobs:
    """Runs commands into folders of their own, `fit-1`, `predict-2`, one command at a time.

    A command is a process: cancelled, killed or crashed it takes nothing else with it, and its
    memory is given back.

    Args:
        root: folder of all of them.
    """

    def __init__(self, root: Path):
        self.root = root
        self.last: Job | None = None
        self.preview: Job | None = None
        """The last preview, which stays on the page while other commands run."""
        self.run: Job | None = None
        """The last fit or predict, likewise."""
        self._lock = threading.Lock()

    def start(self, kind: str, args: Callable[[Path], Sequence[str]]) -> Job:
        """Start a command in a new folder.

        Args:
            kind: of command.
            args: the command line after `ditflow`, given the folder.

        Raises:
            DitflowError: another one runs, or nothing can be written.
        """
        with self._lock:
            self._check_free()
            return self._start(kind, self._new_folder(kind), args)

    def resume(self) -> Job:
        """Go on with the last command, a fit that was stopped or has failed.

        Raises:
            DitflowError: there is none, or another command runs.
        """
        with self._lock:
            self._check_free()
            job = self.last
            if job is None or job.kind != "fit" or job.state == "finished":
                raise DitflowError("there is no stopped fit to go on with.")
            args = list(job.args)
            if "--resume" not in args and job.folder.is_dir():
                args += ["--resume", str(job.folder)]
            return self._start(job.kind, job.folder, lambda folder: args)

    def cancel(self) -> None:
        """End the command as Ctrl-C does; asked a second time, at once."""
        with self._lock:
            job = self.last
            if job is None or job.state != "running":
                return
            # SIGTERM, which a shell's background jobs heed too, is Ctrl-C to every command.
            (job.process.kill if job.asked_to_stop else job.process.terminate)()
            job.asked_to_stop = True

    def close(self) -> None:
        """End the command that runs, if any, and wait until it has ended."""
        self.cancel()
        if self.last is not None:
            try:
                self.last.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.last.process.kill()
                self.last.process.wait()

    def _check_free(self) -> None:
        if self.last is not None and self.last.state == "running":
            raise DitflowError(
                f"a {self.last.kind} runs already ({self.last.folder}); wait for it, or cancel it."
            )

    def _start(self, kind: str, folder: Path, args: Callable[[Path], Sequence[str]]) -> Job:
        given = list(args(folder))
        log = self.root / LOGS / f"{folder.name}.log"
        make_output(log.parent)
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "ditflow.cli", *given],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C in the app's terminal is the app's
            )
        self.last = Job(kind, folder, given, log, process, time.monotonic())
        if kind == "preview":
            self.preview = self.last
        else:
            self.run = self.last
        return self.last

    def _new_folder(self, kind: str) -> Path:
        """Named by the next number; one without results leaves at least its log."""
        taken = [*self.root.glob(f"{kind}-*"), *(self.root / LOGS).glob(f"{kind}-*.log")]
        numbers = [path.stem.removeprefix(f"{kind}-") for path in taken]
        highest = max((int(number) for number in numbers if number.isdecimal()), default=0)
        return self.root / f"{kind}-{highest + 1}"
