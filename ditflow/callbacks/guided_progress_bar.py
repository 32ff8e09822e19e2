"""A progress bar that counts guided steps, not epochs."""

import sys
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from ditflow.utils.bars import Bar


class GuidedProgressBar(TQDMProgressBar):
    """Reads "Guided step 3/10"; a predict shows the bars of its own steps beside its videos'."""

    def init_train_tqdm(self) -> Bar:
        return self._bar(self.train_description)

    def init_predict_tqdm(self) -> Bar:
        return self._bar(self.predict_description)

    def _bar(self, description: str) -> Bar:
        return Bar(
            desc=description,
            position=2 * self.process_position,
            disable=self.is_disabled,
            dynamic_ncols=True,
            file=sys.stdout,
            smoothing=0,
            bar_format=self.BAR_FORMAT,
        )

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer, *_)
        step, steps = trainer.current_epoch + 1, trainer.max_epochs
        self.train_progress_bar.set_description(f"Guided step {step}/{steps}")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
