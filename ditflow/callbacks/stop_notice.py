"""Say how to go on with a run that was stopped, and show what there is of it."""

import logging
import signal
from collections.abc import Callable
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from ditflow.errors import DitflowError
from ditflow.runs.progress import STOPPED

log = logging.getLogger(__name__)


class StopNotice(Callback):
    """Says how to go on with a fit or predict that something stopped, and writes its page.

    An error in what was given is not such: the same would meet it again.

    Args:
        write_page: of an output folder.
    """

    def __init__(self, write_page: Callable[[Path], None]):
        self.write_page = write_page
        self.on_interrupt = signal.getsignal(signal.SIGINT)

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, KeyboardInterrupt) and self.on_interrupt is not None:
            # Lightning has it ignored from here on: a second Ctrl-C is to be heeded, too.
            signal.signal(signal.SIGINT, self.on_interrupt)
        if isinstance(exception, DitflowError) and exception.__cause__ is None:
            return
        root = Path(trainer.default_root_dir)
        if trainer.predicting:
            said = "Stopped; the same command makes what is missing in %s."
        else:
            said = "Stopped; go on with the same command and --resume %s."
        log.warning(said, root, extra=STOPPED)
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.experiment.flush()  # the page shows what has happened so far
        self.write_page(root)
