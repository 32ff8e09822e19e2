"""TensorBoard: losses are logged by the module, pictures and videos here."""

import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from ditflow.data import data_of
from ditflow.denoising import GuidedSampling
from ditflow.utils.distributed import local_share
from ditflow.video.pictures import color_wheel, flow_picture
from ditflow.video.writing import encode_gif


class MediaLogger(Callback):
    """The motion flow of reference and generation as colours, and the decoded videos.

    Args:
        enabled: off leaves only the scalars.
    """

    def __init__(self, enabled: bool = True):
        self.enabled = enabled

    def on_train_start(self, trainer: Trainer, module: GuidedSampling) -> None:
        logger = self._logger(trainer)
        if logger is not None and module.reference_flow is not None:
            logger.experiment.add_image("flow/color wheel", color_wheel(), 0)
            picture = flow_picture(module.reference_flow, module.grid)
            logger.experiment.add_image("flow/reference", picture, 0)

    def on_train_epoch_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        logger, outputs = self._logger(trainer), module.last_outputs
        if logger is None or outputs is None:
            return
        if (flow := module.objective.flow(outputs)) is not None:
            picture = flow_picture(flow, module.grid)
            logger.experiment.add_image("flow/generation", picture, trainer.current_epoch)

    def on_fit_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        logger = self._logger(trainer)
        if logger is None:
            return
        data = data_of(trainer)
        videos = dict(zip(local_share(trainer, data.prompts), module.finish(), strict=True))
        for name, video in {"reference": data.frames, **videos}.items():
            summary = video_summary(f"video/{name}", video, data.fps)
            logger.experiment.file_writer.add_summary(summary, module.guided_steps)

    def _logger(self, trainer: Trainer) -> TensorBoardLogger | None:
        if not trainer.is_global_zero:
            return None
        loggers = [item for item in trainer.loggers if isinstance(item, TensorBoardLogger)]
        return loggers[0] if self.enabled and loggers else None


def video_summary(tag: str, video: torch.Tensor, fps: float) -> Summary:
    """A video [T, 3, height, width] as TensorBoard shows videos: a gif among the images."""
    _, _, height, width = video.shape
    image = Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=encode_gif(video, fps)
    )
    return Summary(value=[Summary.Value(tag=tag, image=image)])
