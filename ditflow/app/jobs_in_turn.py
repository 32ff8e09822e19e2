"""The commands that the page runs: processes of their own, one at a time."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ditflow.app.command_lines import Form
from ditflow.app.job import Job
from ditflow.app.remembered import LOGS, remember, remembered
from ditflow.errors import DitflowError
from ditflow.utils.files import make_output

PATIENCE = 60
"""Seconds that a command may take to end cleanly when the app ends."""


STOP: int = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
"""Ctrl-C to every command, and heeded by a shell's background jobs, too. Windows ends a process by
SIGTERM without asking it."""


class Jobs:
    """Runs commands into folders of their own, `fit-1`, `predict-2`, one command at a time.

    A command is a process: cancelled, killed or crashed it takes nothing else with it, and its
    memory is given back.

    Args:
        root: folder of all of them, also of earlier starts of the app.
    """

    def __init__(self, root: Path):
        self.root = root
        self.runs: dict[str, Job] = {job.name: job for job in remembered(root)}
        """Fits and predicts by name, the latest last."""
        self.run: Job | None = next(reversed(self.runs.values()), None)
        """The fit or predict that is shown, which stays on the page while other commands run."""
        self.last: Job | None = self.run
        self.preview: Job | None = None
        """The last preview, likewise."""
        self._lock = threading.Lock()

    def start(
        self, kind: str, args: Callable[[Path], Sequence[str]], form: Form | None = None
    ) -> Job:
        """Start a command in a new folder.

        Args:
            kind: of command.
            args: the command line after `ditflow`, given the folder.
            form: that it is begun with, for pages that are loaded later.

        Raises:
            DitflowError: another one runs, or nothing can be written.
        """
        with self._lock:
            self._check_free()
            folder = self._new_folder(kind)
            return self._start(kind, folder, args(folder), form)

    def show(self, name: str) -> None:
        """Have the page show a fit or predict of these; one that runs stays the last command.

        Raises:
            DitflowError: there is none of this name.
        """
        with self._lock:
            if name not in self.runs:
                raise DitflowError(f"run={name} is not one of the output folder's.")
            self.run = self.runs[name]
            if self.last is None or self.last.state != "running":
                self.last = self.run

    def resume(self) -> Job:
        """Go on with the fit that is shown, which was stopped or has failed.

        Raises:
            DitflowError: none is shown, it was begun in another folder than this, in which its
                files are not found, or another command runs.
        """
        with self._lock:
            self._check_free()
            job = self.run
            if job is None or not job.can_go_on:
                raise DitflowError("there is no stopped fit to go on with.")
            if job.cwd != Path.cwd():
                raise DitflowError(
                    f"{job.name} was begun in {job.cwd}; start the app there to go on with it."
                )
            args = list(job.args)
            if "--resume" not in args and job.folder.is_dir():
                args += ["--resume", str(job.folder)]
            return self._start(job.kind, job.folder, args, job.form)

    def cancel(self) -> None:
        """End the command as Ctrl-C does; asked a second time, at once."""
        with self._lock:
            job = self.last
            if job is not None and job.process is not None and job.state == "running":
                if job.asked_to_stop:
                    job.process.kill()
                else:
                    job.process.send_signal(STOP)
                job.asked_to_stop = True

    def close(self) -> None:
        """End the command that runs, if any, and wait until it has ended."""
        self.cancel()
        if self.last is not None and (process := self.last.process) is not None:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _check_free(self) -> None:
        if self.last is not None and self.last.state == "running":
            raise DitflowError(
                f"a {self.last.kind} runs already ({self.last.folder}); wait for it, or cancel it."
            )

    def _start(self, kind: str, folder: Path, args: Sequence[str], form: Form | None) -> Job:
        log = self.root / LOGS / f"{folder.name}.log"
        make_output(log.parent)
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "ditflow", *args],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                # Ctrl-C in the app's terminal is the app's.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        known = log, process, time.time(), Path.cwd()
        self.last = job = Job(kind, folder, args, *known, form=form)
        if kind == "preview":
            self.preview = job
        else:
            self.run = job
            self.runs.pop(job.name, None)
            self.runs[job.name] = job  # the latest last
            remember(job)
        return job

    def _new_folder(self, kind: str) -> Path:
        """Named by the next number; one without results leaves at least its log."""
        taken = [*self.root.glob(f"{kind}-*"), *(self.root / LOGS).glob(f"{kind}-*.log")]
        numbers = [path.stem.removeprefix(f"{kind}-") for path in taken]
        highest = max((int(number) for number in numbers if number.isdecimal()), default=0)
        return self.root / f"{kind}-{highest + 1}"
