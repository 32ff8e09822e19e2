"""What a benchmark keeps of each fit beside its video: losses and motion flows."""

from pathlib import Path

import torch
from lightning import Callback, Trainer

from ditflow.files import whole
from ditflow.module import MotionTransfer
from ditflow.objectives import AttentionMotionFlow
from ditflow.pictures import as_image, flow_picture


class FitRecord(Callback):
    """Keeps what a fit's page shows, without a logger.

    Attributes:
        flows: pictures [3, height, width] in [0, 1] of the motion flow of `reference` and, after
            the last optimisation step, of `generation`; of an objective without flows none.
    """

    def __init__(self) -> None:
        self.flows: dict[str, torch.Tensor] = {}
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
        if not isinstance(objective, AttentionMotionFlow):
            return
        grid = module.backbone.token_grid(tuple(module.reference_latents.shape))
        self.flows["reference"] = flow_picture(module.reference_motion, grid)
        if outputs is not None:
            self.flows["generation"] = flow_picture(objective.reference(outputs), grid)

    def write_flows(self, folder: Path, backbone: str, video: str, result: Path) -> None:
        """Write the pictures of a job.

        Args:
            folder: of the benchmark's output.
            backbone, video: names, under which the reference's is kept once.
            result: file of the result, beside which the generation's goes.
        """
        paths = {
            "reference": folder / reference_flow(backbone, video),
            "generation": result.with_suffix(".png"),
        }
        for name, picture in self.flows.items():
            with whole(paths[name]) as partial:
                as_image(picture).save(partial)


def reference_flow(backbone: str, video: str) -> str:
    """Where a benchmark's folder has the picture of a reference's motion flow."""
    return f"flows/{backbone}/{video}.png"
