"""How far a run is, in a file that other programs can read: `progress.json` in its folder."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, NamedTuple, Self

import msgspec

from ditflow.errors import DitflowError, printable
from ditflow.utils.files import write_text

PROGRESS = "progress.json"

EVERY = 0.5
"""Seconds between two writes within a phase at least."""

MOST_MESSAGES = 100

State = Literal["running", "finished", "stopped", "failed"]


class Message(NamedTuple):
    """What a run has said, and how serious it is: `warning` or `error`."""

    level: str
    text: str


@dataclass(frozen=True)
class Progress:
    """What the file holds: one JSON object of these names.

    Attributes:
        started: when the run began, in seconds since the epoch.
        state: `stopped` is by Ctrl-C or SIGTERM. A run that was killed stays `running`, and is told
            by its `updated`.
        phase: `encoding the reference`, `guided step`, `guided steps` (of a predict, which samples
            them again), `denoising` or `decoding`; empty before the first.
        step, steps: of the phase: the guided step that is being optimised, or how many are done.
        fraction: of the phase that is over, in [0, 1].
        video, videos: which one of how many a predict is making; 0 of a fit.
        loss: the last one; None before the first, and of a predict.
        messages: warnings, each once, and the error that ended the run, as [level, text].
        updated: when this was written, likewise.
    """

    started: float
    state: State = "running"
    phase: str = ""
    step: int = 0
    steps: int = 0
    fraction: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    video: int = 0
    videos: int = 0
    loss: float | None = None
    messages: tuple[Message, ...] = ()
    updated: float = 0.0


class RunProgress:
    """Context that keeps a run's file, with what is warned of in it and how it ends.

    The file is written whole or not at all: as phases begin, now and then within them, and at the
    end. It never fails a run: where it cannot be written, it is old.

    Args:
        folder: of the output; None while it is not known, or where nothing is to be written.
    """

    def __init__(self, folder: Path | None = None):
        self.folder, self.now = folder, Progress(time.time())
        self._due = 0.0
        self._listener = _Listener(self.say)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._listener)
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self._listener)
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if error is None:
            self.now = replace(self.now, state="finished", fraction=1.0)
        elif isinstance(cause, KeyboardInterrupt):  # for which Lightning exits
            self.now = replace(self.now, state="stopped")
        else:
            self.now = replace(self.now, state="failed")
            self.say("error", str(error) or type(error).__name__)
        self._write()

    def begin(self, folder: Path) -> None:
        """Write into a folder from now on, in place of what an earlier run has left there."""
        self.folder = folder
        self._write()

    def update(self, **changes: Any) -> None:
        """Note what is new, by the names of `Progress`."""
        is_next = changes.get("phase", self.now.phase) != self.now.phase
        self.now = replace(self.now, **changes)
        if is_next or time.monotonic() >= self._due:
            self._write()

    def say(self, level: str, text: str) -> None:
        """Note a warning or an error; the same is noted once."""
        message = Message(level, printable(text))
        if message not in self.now.messages:
            messages = (*self.now.messages, message)[-MOST_MESSAGES:]
            self.now = replace(self.now, messages=messages)
            self._write()

    def _write(self) -> None:
        if self.folder is None:
            return
        self.now = replace(self.now, updated=time.time())
        with suppress(DitflowError):
            text = msgspec.json.encode(self.now).decode()
            write_text(self.folder / PROGRESS, text, flush=False)
        self._due = time.monotonic() + EVERY


def read_progress(folder: Path) -> Progress | None:
    """What a run's folder says of how far it is; None where nothing does that a run wrote."""
    try:
        return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=Progress)
    except (OSError, ValueError, RecursionError):
        return None


class _Listener(logging.Handler):
    """Passes on what is warned of, and has it printed as if it were not there."""

    def __init__(self, say: Callable[[str, str], None]):
        super().__init__(logging.WARNING)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.say(record.levelname.lower(), record.getMessage())
        except Exception:  # a message whose parts do not fit, as every handler takes it
            self.handleError(record)
        if logging.getLogger().handlers == [self] and logging.lastResort is not None:
            logging.lastResort.handle(record)
