"""A run put together: what is fitted or sampled, with what, and how it is carried out."""

import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from ditflow.backbones.base import Backbone
from ditflow.callbacks import (
    EmbeddingCheckpoint,
    GuidedProgressBar,
    KVInjection,
    MediaLogger,
    VideoWriter,
)
from ditflow.callbacks.embedding_checkpoint import header_of
from ditflow.callbacks.fit_record import FitRecord
from ditflow.data import MotionDataModule, run_of
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.embedding.reader import check_readable
from ditflow.module import MotionTransfer
from ditflow.runs.checkpoints import WholeCheckpoints
from ditflow.runs.folder import CHECKPOINTS, LAST, TENSORBOARD
from ditflow.runs.predictions import Predictions
from ditflow.runs.quiet import quiet_trainer
from ditflow.runs.resume import check_same_run
from ditflow.settings.stacked import Settings
from ditflow.utils.notices import notices_silenced

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """What a fit gives.

    Attributes:
        embedding: the motion that was learned, to be put into other prompts.
        videos: of each prompt, [T, 3, height, width] in [0, 1].
        losses: of each optimisation step and prompt, in order.
        reference: the reference's frames as the model saw them, [T, 3, height, width] in [0, 1].
    """

    embedding: MotionEmbedding
    videos: list[torch.Tensor]
    losses: list[float]
    reference: torch.Tensor


@dataclass(frozen=True)
class Run:
    """A fit or a predict, put together and not carried out yet.

    Attributes:
        module: what optimises and samples.
        data: the reference and prompts of a fit; embedding, prompts and seeds of a predict.
        injection: of keys and values; it may be switched off.
    """

    module: MotionTransfer
    data: MotionDataModule
    injection: KVInjection

    @classmethod
    def of(
        cls,
        settings: Settings,
        backbone: Backbone,
        data: Mapping[str, Any],
        model: Mapping[str, Any] | None = None,
    ) -> Self:
        """A run by settings, with other arguments of the data and of the model where given."""
        return cls(
            settings.module(backbone, **model or {}),
            MotionDataModule(**{**settings.data, **data}),
            KVInjection(**settings.injection),
        )

    @property
    def used_injection(self) -> KVInjection | None:
        """The injection; None where it is off."""
        return self.injection if self.injection.enabled else None

    def check_fit(self, resumed: Mapping[str, Any] | None = None) -> None:
        """Find all that can be wrong with a fit's input, before anything is written, and warn of
        what will not be heeded.

        Args:
            resumed: what the checkpoint that is gone on from says of its run.

        Raises:
            DitflowError: names it, and what to do.
        """
        self.module.objective.check_mask(self.data.mask)
        earlier = resumed is not None and "frames taken" not in resumed
        if earlier and self.data.range.stride is None:  # of when rates were not looked at
            self.data.range = replace(self.data.range, stride=1)
        mask = self.data.read_reference(self.module.backbone).mask
        self.module.objective.check_mask(mask)
        self.data.read_image(self.module)
        self.injection.check(self.module.backbone)
        if self.module.objective.reads == "prediction":  # which not every family's solver tells of
            self.module.backbone.solver(self.module.sampler_options.num_steps).clean(0)
        self.warn_of_prompts()
        check_readable(header_of(self.module, self.data, self.used_injection))
        if resumed is not None:
            check_same_run(resumed, run_of(self.module, self.data, self.used_injection))

    def check_predict(self) -> None:
        """Find all that can be wrong with a predict's input, and warn of what its videos will be.

        Raises:
            DitflowError: names it, and what to do.
        """
        motion = self.data.load_motion(self.module)
        self.data.read_image(self.module)
        prompts = [item.prompt for item in self.data.items()]
        if (warning := motion.header.look_warning(prompts)) is not None:
            log.warning(warning)
        self.warn_of_prompts()
        self.injection.check(self.module.backbone)

    def warn_of_prompts(self) -> None:
        """Say of each prompt, once, what of it the text encoder does not heed."""
        negative = self.module.sampler_options.negative_prompt
        for prompt in dict.fromkeys([*self.data.prompts, negative]):
            for warning in self.module.backbone.unheeded(prompt):
                log.warning(warning)

    def predictions(self, folder: Path) -> Predictions:
        """A predict's videos in a folder, the embedding once loaded."""
        return self.data.predictions(folder, self.module, self.used_injection)

    def fit(
        self,
        folder: Path | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
    ) -> Fit:
        """Learn the reference's motion, and make a video of it for each prompt.

        Args:
            folder: of what `ditflow fit` leaves; without one nothing is written.
            callbacks: more of them.
            progress: show progress bars.

        Raises:
            DitflowError: something that was given cannot be used.
        """
        record = FitRecord()
        used: list[Callback] = [self.injection, record, *callbacks]
        changes: dict[str, Any] = {}
        if folder is not None:
            used += [*output_callbacks(folder, VideoWriter(), True, True), MediaLogger()]
            changes = {
                "logger": tensorboard(folder),
                "plugins": [LightningEnvironment(), WholeCheckpoints()],
                "enable_checkpointing": True,
                "log_every_n_steps": 1,
            }
        with self._trainer(folder, used, progress, changes) as trainer:
            trainer.fit(self.module, self.data)
        assert record.embedding is not None
        return Fit(record.embedding, self.module.videos, record.losses, self.data.frames)

    def predict(
        self,
        folder: Path | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
    ) -> list[torch.Tensor]:
        """A video [T, 3, height, width] in [0, 1] for each prompt and seed.

        Args:
            folder: of the videos as files, if they are to be written.
            callbacks: more of them.
            progress: show progress bars.

        Raises:
            DitflowError: something that was given cannot be used.
        """
        used = [self.injection, *callbacks, *([] if folder is None else [VideoWriter()])]
        with self._trainer(folder, used, progress) as trainer:
            return cast(list[torch.Tensor], trainer.predict(self.module, self.data))

    @contextmanager
    def _trainer(
        self,
        folder: Path | None,
        callbacks: list[Callback],
        progress: bool,
        changes: Mapping[str, Any] | None = None,
    ) -> Iterator[Trainer]:
        self.module.progress = progress
        if progress:
            callbacks = [*callbacks, GuidedProgressBar()]
        device = self.module.device
        with undisturbed(device):
            yield quiet_trainer(
                folder, callbacks, device, enable_progress_bar=progress, **changes or {}
            )


@torch.no_grad()
def unguided(module: MotionTransfer, prompt: str, seed: int) -> torch.Tensor:
    """A video [T, 3, height, width] with no motion put in: the stock pipeline's, to the bit."""
    module.progress, size = False, module.backbone.default_size()
    sampler = module.sampler(prompt, seed, module.backbone.latent_shape(*size))
    return module.decode(module.denoise_rest(sampler, 0), size[0])


def output_callbacks(
    folder: Path, writer: VideoWriter, logs: bool, checkpoints: bool
) -> list[Callback]:
    """What writes a run's results into a folder.

    Args:
        folder: of the output.
        writer: of the videos.
        logs: whether a fit's learning rates are logged.
        checkpoints: whether a fit can be gone on with when it is stopped.
    """
    callbacks: list[Callback] = [EmbeddingCheckpoint(), writer]
    if logs:
        callbacks.append(LearningRateMonitor())
    if checkpoints:
        path = folder / CHECKPOINTS
        callbacks.append(ModelCheckpoint(path, LAST, enable_version_counter=False))
    return callbacks


def tensorboard(folder: Path) -> TensorBoardLogger:
    """The logger of an output folder."""
    return TensorBoardLogger(folder, name="", version=TENSORBOARD)


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Context of Lightning's work in a caller's process, which is as before after it: warnings,
    logging, torch's random numbers, and the meaning of Ctrl-C."""
    devices = [device] if device.type == "cuda" else []
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with notices_silenced(), torch.random.fork_rng(devices):
            yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning has shut down for it
            raise ended.__context__ from None
        raise
    finally:
        # None is a handler that was not set from Python, and cannot be set again from there.
        if on_interrupt is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)
