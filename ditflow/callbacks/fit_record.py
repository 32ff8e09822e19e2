"""Keep in memory what a fit gives: its losses and its embedding."""

from typing import Any

import torch
from lightning import Callback, Trainer

from ditflow.callbacks.embedding_checkpoint import build_embedding
from ditflow.denoising import GuidedSampling
from ditflow.embedding.motion_embedding import MotionEmbedding


class FitRecord(Callback):
    """Keeps the loss of each optimisation step, and the embedding once it is whole."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self.embedding: MotionEmbedding | None = None

    @property
    def losses(self) -> list[float]:
        """The loss of each optimisation step, in order."""
        return [loss.item() for loss in self._losses]  # only now, for a GPU waits for it

    def on_train_batch_end(
        self, trainer: Trainer, module: GuidedSampling, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (loss := trainer.callback_metrics.get("loss")) is not None:
            self._losses.append(loss.detach().clone())

    def on_fit_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        made = build_embedding(trainer, module)  # here, for KV injection is gone after the fit
        tensors = {name: tensor.detach().cpu() for name, tensor in made.tensors.items()}
        self.embedding = MotionEmbedding(made.header, tensors)
