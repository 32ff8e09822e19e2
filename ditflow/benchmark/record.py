"""What a benchmark keeps of each fit beside its video: losses and motion flows."""

import torch
import torch.nn.functional as F
from lightning import Callback, Trainer

from ditflow.module import MotionTransfer
from ditflow.objectives import AttentionMotionFlow
from ditflow.pictures import flow_picture


class FitRecord(Callback):
    """Keeps what a benchmark's page shows of a fit, without a logger.

    Attributes:
        flows: a picture [3, height, width] in [0, 1]: at the left the reference's motion flow, at
            the right the video's after the last optimisation step. None of an objective that has no
            flow, or of a method that optimises nothing.
    """

    def __init__(self) -> None:
        self.flows: torch.Tensor | None = None
        self._losses: list[torch.Tensor] = []

    @property
    def losses(self) -> list[float]:
        """The loss of each optimisation step, in order."""
        return [loss.item() for loss in self._losses]  # only now, for a GPU waits for it

    def on_train_batch_end(
        self, trainer: Trainer, module: MotionTransfer, outputs, batch, batch_idx: int
    ) -> None:
        if (loss := trainer.callback_metrics.get("loss")) is not None:
            self._losses.append(loss.detach().clone())

    def on_train_end(self, trainer: Trainer, module: MotionTransfer) -> None:
        objective, outputs = module.objective, module.last_outputs
        if isinstance(objective, AttentionMotionFlow) and outputs is not None:
            flows = module.reference_motion, objective.reference(outputs)
            pictures = [flow_picture(flow, outputs.grid) for flow in flows]
            self.flows = torch.cat([F.pad(pictures[0], (0, 12), value=1.0), pictures[1]], dim=2)
