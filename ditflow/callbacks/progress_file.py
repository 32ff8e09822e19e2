"""Tell other programs how far a run is."""

from typing import Any

from lightning import Callback, Trainer

from ditflow.denoising import GuidedSampling
from ditflow.runs.progress import RunProgress


class ProgressFile(Callback):
    """Keeps `progress.json` up to date while a trainer fits or predicts.

    Its form is that of `ditflow.runs.progress.Progress`. Where several processes share a run it is
    the first one's.

    Args:
        progress: of the run, entered by who begins it, so that it also has what is said before and
            after the trainer's part.
    """

    def __init__(self, progress: RunProgress):
        self.progress = progress

    def setup(self, trainer: Trainer, module: GuidedSampling, stage: str) -> None:
        module.follow = self._follow

    def teardown(self, trainer: Trainer, module: GuidedSampling, stage: str) -> None:
        module.follow = None

    def on_train_epoch_start(self, trainer: Trainer, module: GuidedSampling) -> None:
        self._guided_step(trainer, module, 0)

    def on_train_batch_end(
        self, trainer: Trainer, module: GuidedSampling, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = trainer.callback_metrics.get("loss")  # none without optimisation steps
        self._guided_step(
            trainer, module, batch_idx + 1, loss=None if loss is None else loss.item()
        )

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        module: GuidedSampling,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        videos = sum(trainer.num_predict_batches)
        self.progress.update(video=batch_idx + 1, videos=int(videos))

    def _guided_step(
        self, trainer: Trainer, module: GuidedSampling, done: int, **more: float | None
    ) -> None:
        step, steps = trainer.current_epoch, module.guided_steps
        share = done / max(1, trainer.num_training_batches)
        self.progress.update(
            phase="guided step", step=step + 1, steps=steps, fraction=(step + share) / steps, **more
        )

    def _follow(self, phase: str, done: int, total: int) -> None:
        self.progress.update(phase=phase, step=done, steps=total, fraction=done / max(1, total))
