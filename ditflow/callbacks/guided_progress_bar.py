"""A progress bar that counts guided steps, not epochs."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class GuidedProgressBar(TQDMProgressBar):
    """Reads "Guided step 3/10"; a predict shows the bars of its own steps instead."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer, *_)
        step, steps = trainer.current_epoch + 1, trainer.max_epochs
        self.train_progress_bar.set_description(f"Guided step {step}/{steps}")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
