"""Write the portable motion embedding."""

import logging
from dataclasses import replace
from pathlib import Path

import torch
from lightning import Callback, Trainer

from ditflow.data import MotionDataModule, data_of
from ditflow.denoising import GuidedSampling, Injection, injection_arguments
from ditflow.embedding.checks import LOADER
from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.embedding.reader import check_readable
from ditflow.functional.parameterization import pack
from ditflow.runs.folder import EMBEDDING
from ditflow.runs.progress import STOPPED
from ditflow.version import __version__

log = logging.getLogger(__name__)


class EmbeddingCheckpoint(Callback):
    """Saves `motion.safetensors` before the rest of the video is denoised and decoded.

    If the fit is stopped by an error or by hand, what the finished guided steps learned is saved
    all the same, under the same name and with their number in the header.

    Args:
        filename: inside the run's output folder.
    """

    def __init__(self, filename: str = EMBEDDING):
        self.filename = filename
        self._is_whole = False
        """Whether this fit has saved all of its guided steps."""

    def path(self, trainer: Trainer) -> Path:
        return Path(trainer.default_root_dir) / self.filename

    def setup(self, trainer: Trainer, module: GuidedSampling, stage: str) -> None:
        self._is_whole = False
        if stage == "fit":
            check_readable(header_of(module, data_of(trainer), module.injection))

    def on_train_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        if len(module.finished) == module.guided_steps:
            self._save(trainer, module)
            self._is_whole = True

    def on_fit_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        # A run resumed after its last guided step skips `on_train_end`. What is there may be of
        # when it was stopped before, with fewer steps.
        if not self._is_whole:
            self.on_train_end(trainer, module)

    def on_exception(
        self, trainer: Trainer, module: GuidedSampling, exception: BaseException
    ) -> None:
        finished = len(module.finished)
        if 0 < finished < module.guided_steps:
            self._save(trainer, module)
            log.warning(
                "Stopped; %s keeps the %d of %d guided steps that were finished.",
                self.path(trainer),
                finished,
                module.guided_steps,
                extra=STOPPED,
            )

    def _save(self, trainer: Trainer, module: GuidedSampling) -> None:
        if not trainer.is_global_zero:
            return  # positions are the same in all processes of a fit
        build_embedding(trainer, module).save(self.path(trainer))


def build_embedding(trainer: Trainer, module: GuidedSampling) -> MotionEmbedding:
    """The embedding of the guided steps finished so far."""
    data = data_of(trainer)
    header = header_of(module, data, module.injection)
    header = replace(header, guided_steps=len(module.finished))
    tensors: dict[str, torch.Tensor] = {}
    if module.target == "latents":
        # Each z_t overwrites the one before: only the last guided one matters.
        tensors["latents"] = module.finished[-1]
        if module.previous_predictions is not None:
            tensors["previous_prediction"] = module.previous_predictions
    else:
        tensors["positions"] = pack(module.finished, module.initial, module.parameterization)
    if data.store_reference:
        tensors["reference_latents"] = module.z_ref.half()
    return MotionEmbedding(header, tensors)


def header_of(
    module: GuidedSampling, data: MotionDataModule, injection: Injection | None
) -> EmbeddingHeader:
    """The header of a fit's embedding with all of its guided steps, known once the reference is
    read."""
    backbone, schedule = module.backbone, module.schedule()
    num_frames, _, height, width = data.frames.shape
    reference, digest = data.video_file
    mask, mask_digest = data.mask_file
    return EmbeddingHeader(
        ditflow_version=__version__,
        family=backbone.family,
        backbone=backbone.name,
        fingerprint=backbone.fingerprint(),
        num_frames=num_frames,
        height=height,
        width=width,
        latent_shape=backbone.latent_shape(num_frames, height, width),
        target=module.target,
        parameterization=module.parameterization,
        scheduler=schedule.name,
        timesteps=schedule.timesteps,
        guided_steps=module.guided_steps,
        objective=type(module.objective).__name__,
        block=module.block,
        prompts=tuple(data.prompts),
        seed=module.seed,
        reference=reference,
        reference_sha256=digest,
        fps=data.fps,
        model={
            "backbone": {"class_path": LOADER, "init_args": backbone.recorded_options},
            **module.sampling_arguments(),
        },
        injection=injection_arguments(injection),
        scheduler_fingerprint=schedule.fingerprint,
        masked=data.mask is not None,
        mask=mask,
        mask_sha256=mask_digest,
        frames_taken=tuple(data.numbers),
        crop=str(data.crop),
        confidence=getattr(module.objective, "confidence", False) is True,
    )
