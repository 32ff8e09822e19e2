"""What a run is given: a reference video and prompts to fit, or prompts and seeds to sample."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from ditflow.compatibility import check_fits
from ditflow.embedding import MotionEmbedding
from ditflow.errors import DitflowError
from ditflow.video import FrameRange, fit_length, fit_size, read_video


class MotionItem(NamedTuple):
    """One optimisation pass: make this prompt's motion at this timestep the reference's."""

    reference: torch.Tensor
    prompt_index: int
    timestep: torch.Tensor


class SampleItem(NamedTuple):
    """One video to sample."""

    prompt: str
    seed: int


class GuidedSteps(Dataset):
    """The items of the current guided step: every prompt once for each optimisation step.

    Without any optimisation step the epoch still has to take place: it has one round of items.
    """

    def __init__(self, module, reference: torch.Tensor):
        self.module, self.reference = module, reference

    def __len__(self) -> int:
        return max(1, self.module.optimization_steps) * len(self.module.samplers)

    def __getitem__(self, index: int) -> MotionItem:
        prompt_index = index % len(self.module.samplers)
        timestep = self.module.samplers[prompt_index].timesteps[self.module.current_epoch]
        return MotionItem(self.reference, prompt_index, timestep)


class MotionDataModule(LightningDataModule):
    """Reference video and prompts of a fit, or embedding, prompts and seeds of a predict.

    Args:
        video: reference of a fit: a video file or a folder of frames.
        prompts: of the videos to make; a fit with several shares one positional embedding.
        prompts_file: more prompts, one a line.
        start_frame: first frame taken from the reference.
        num_frames: frames taken at most, cut to 4k+1; by default what the backbone was trained on.
        stride: take every so many frames.
        resample: resample the whole reference to `num_frames` in place of cutting it.
        height, width: of the video, in pixels; by default what the backbone was trained on.
        fps: frames a second of written videos.
        embedding: of a predict: the motion.safetensors of a fit.
        seeds: of a predict, one video each for every prompt; by default the fit's.
        store_reference: keep the reference's latents in the embedding, for KV injection.
    """

    def __init__(
        self,
        video: Path | None = None,
        prompts: list[str] | None = None,
        prompts_file: Path | None = None,
        start_frame: int = 0,
        num_frames: int | None = None,
        stride: int = 1,
        resample: bool = False,
        height: int | None = None,
        width: int | None = None,
        fps: float = 8.0,
        embedding: Path | None = None,
        seeds: list[int] | None = None,
        store_reference: bool = True,
    ):
        super().__init__()
        self.video, self.embedding = video, embedding
        self.prompts = read_prompts(prompts or (), prompts_file)
        self.range = FrameRange(start_frame, None if resample else num_frames, stride)
        self.num_frames, self.resample = num_frames, resample
        self.height, self.width = height, width
        if not fps > 0:
            raise DitflowError(f"fps={fps} must be greater than 0.")
        self.fps = fps
        self.seeds = seeds
        self.store_reference = store_reference
        self.frames: torch.Tensor | None = None
        self.motion: MotionEmbedding | None = None
        self.reference: torch.Tensor | None = None

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.reference is None:
            module = self.trainer.lightning_module
            if self.frames is None:
                self.frames = self.read_frames(module.backbone)
            self.reference = module.encode_reference(self.frames)
        elif stage == "predict":
            self.load_motion(self.trainer.lightning_module)

    def load_motion(self, module) -> MotionEmbedding:
        """The embedding, once it is known to fit the module's backbone and sampler."""
        if self.embedding is None:
            raise DitflowError("embedding is not given; use --embedding DIR/motion.safetensors.")
        if self.motion is None:
            motion = MotionEmbedding.load(self.embedding)
            scheduler = type(module.backbone.scheduler).__name__
            check_fits(motion.header, module.backbone, scheduler, module.timesteps())
            self.motion = motion
        return self.motion

    def read_frames(self, backbone) -> torch.Tensor:
        """The reference as the model sees it, [T, 3, height, width] in [0, 1]."""
        if self.video is None:
            raise DitflowError("video is not given; use --video with a file or a frames folder.")
        frames, height, width = backbone.default_size()
        height, width = self.height or height, self.width or width
        most = self.num_frames or frames
        backbone.check_size(frames, height, width)
        chosen = FrameRange(self.range.start, None if self.resample else most, self.range.stride)
        video = fit_length(
            read_video(self.video, chosen), most, backbone.temporal_ratio, self.resample
        )
        return fit_size(video, height, width)

    def train_dataloader(self) -> DataLoader:
        items = GuidedSteps(self.trainer.lightning_module, self.reference)
        return DataLoader(items, batch_size=None)

    def predict_dataloader(self) -> DataLoader:
        seeds = self.seeds or [self.motion.header.seed]
        items = [SampleItem(prompt, seed) for prompt in self.prompts for seed in seeds]
        return DataLoader(items, batch_size=None)

    def reference_name(self) -> tuple[str, str]:
        """File name and SHA-256 of the reference, for the embedding's header."""
        if self.video.is_dir():
            files = sorted(path for path in self.video.iterdir() if path.is_file())
        else:
            files = [self.video]
        digest = hashlib.sha256()
        for path in files:
            digest.update(path.read_bytes())
        return self.video.name, digest.hexdigest()


def read_prompts(prompts: Sequence[str], file: Path | None) -> list[str]:
    """Prompts as given and from a file, one a line; blank lines do not count."""
    collected = list(prompts)
    if file is not None:
        try:
            collected += file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DitflowError(
                f"prompts_file={file} cannot be read as text; give a file with one prompt a line."
            ) from error
    kept = [prompt.strip() for prompt in collected if prompt.strip()]
    if not kept:
        raise DitflowError('prompts is empty; give at least one, such as --prompts "a red circle".')
    return kept
