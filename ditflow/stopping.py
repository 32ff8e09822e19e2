"""What happens when a run is stopped: it ends cleanly, and says how to go on."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lightning import Callback, LightningModule, Trainer

from ditflow.errors import DitflowError

log = logging.getLogger(__name__)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Take SIGTERM, by which schedulers and spot instances stop a job, as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopNotice(Callback):
    """Says how to go on with a fit or predict that something stopped.

    An error in what was given is not such: the same would meet it again.
    """

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, DitflowError) and exception.__cause__ is None:
            return
        root = Path(trainer.default_root_dir)
        if trainer.predicting:
            log.warning("Stopped; the same command makes what is missing in %s.", root)
        else:
            log.warning("Stopped; go on with the same command and --resume %s.", root)
