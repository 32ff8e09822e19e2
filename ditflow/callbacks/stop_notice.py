"""Say how to go on with a run that was stopped."""

import logging
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from ditflow.errors import DitflowError

log = logging.getLogger(__name__)


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
