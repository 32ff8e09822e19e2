"""TensorBoard: losses are logged by the module, pictures and videos here."""

from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from ditflow.module import MotionTransfer
from ditflow.objectives import AttentionMotionFlow
from ditflow.pictures import color_wheel, flow_picture


class MediaLogger(Callback):
    """The motion flow of reference and generation as colours, and the decoded videos.

    Args:
        enabled: off leaves only the scalars.
    """

    def __init__(self, enabled: bool = True):
        self.enabled = enabled

    def on_train_start(self, trainer: Trainer, module: MotionTransfer) -> None:
        writer = self._writer(trainer, module)
        if writer is not None:
            grid = module.backbone.token_grid(tuple(module.reference_latents.shape))
            writer.add_image("flow/color wheel", color_wheel(), 0)
            writer.add_image("flow/reference", flow_picture(module.reference_motion, grid), 0)

    def on_train_epoch_end(self, trainer: Trainer, module: MotionTransfer) -> None:
        writer, outputs = self._writer(trainer, module), module.last_outputs
        if writer is not None and outputs is not None:
            flow = module.objective.reference(outputs)
            picture = flow_picture(flow, outputs.grid)
            writer.add_image("flow/generation", picture, trainer.current_epoch)

    def on_fit_end(self, trainer: Trainer, module: MotionTransfer) -> None:
        logger = self._logger(trainer)
        if logger is None:
            return
        frames = trainer.datamodule.frames
        for name, video in [("reference", frames), *zip(trainer.datamodule.prompts, module.videos)]:
            logger.experiment.add_video(
                f"video/{name}", video[None], module.guided_steps, fps=trainer.datamodule.fps
            )

    def _writer(self, trainer: Trainer, module: MotionTransfer):
        """The event writer, if pictures of flows are wanted and the objective has flows."""
        logger = self._logger(trainer)
        has_flow = isinstance(module.objective, AttentionMotionFlow)
        return logger.experiment if logger is not None and has_flow else None

    def _logger(self, trainer: Trainer) -> TensorBoardLogger | None:
        loggers = [item for item in trainer.loggers if isinstance(item, TensorBoardLogger)]
        return loggers[0] if self.enabled and loggers else None
