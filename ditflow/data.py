"""What a run is given: a reference video and prompts to fit, or prompts and seeds to sample."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ditflow.backbones.base import Backbone
from ditflow.denoising import (
    GuidedSampling,
    Injection,
    MotionItem,
    SampleItem,
    injection_arguments,
)
from ditflow.embedding.compatibility import check_fits
from ditflow.embedding.header import LEAST_FPS, MOST_FPS, SEEDS
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.errors import DitflowError
from ditflow.reference import ReferenceVideo, read_image, read_reference
from ditflow.runs.predictions import Predictions
from ditflow.utils.distributed import local_share
from ditflow.utils.files import files_of
from ditflow.utils.hashing import hash_of, hash_of_files, hash_of_tensors
from ditflow.utils.prompts import read_prompts
from ditflow.video.cropping import Crop
from ditflow.video.in_memory import Frames
from ditflow.video.reading import FrameRange

log = logging.getLogger(__name__)


class GuidedSteps(Dataset):
    """The items of the current guided step: every prompt once for each gradient.

    Without any optimisation step the epoch still has to take place: it has one round of items.
    """

    def __init__(self, module: GuidedSampling):
        self.module = module

    def __len__(self) -> int:
        return max(1, self.module.gradients) * len(self.module.samplers)

    def __getitem__(self, index: int) -> MotionItem:
        sampler = self.module.samplers[index % len(self.module.samplers)]
        timestep = sampler.timesteps[self.module.current_epoch]
        return MotionItem(sampler.prompt, timestep)


class MotionDataModule(LightningDataModule):
    """Reference video and prompts of a fit, or embedding, prompts and seeds of a predict.

    Args:
        video: reference of a fit: a video file or a folder of frames.
        mask: only this part of the reference guides, what is white: an image for all frames, or a
            video or folder with one for each; by default all of it.
        image: that the videos begin with, of an image-to-video model: a picture's file.
        prompts: of the videos to make; a fit with several shares one positional embedding.
        prompts_file: more prompts, one a line.
        start_frame: first frame taken from the reference.
        num_frames: frames taken at most, cut to 4k+1; by default what the backbone was trained on.
        stride: take every so many frames; by default so many of a video file a second as `fps`.
        resample: resample the whole reference to `num_frames` in place of cutting it.
        height, width: of the video, in pixels; by default what the backbone was trained on.
        crop: how the reference comes to that size: `center` cuts its sides off, `none` adds black,
            which does not guide, and `x,y,w,h` takes that part of it, in its pixels.
        fps: frames a second of written videos; by default what the backbone was trained at, and of
            a predict the fit's.
        embedding: of a predict: the motion.safetensors of a fit, its folder, or `user/name` on the
            Hugging Face hub, the only case that may download.
        seeds: of a predict, one video each for every prompt; by default the fit's.
        store_reference: keep the reference's latents in the embedding, for KV injection.
        cache: encode a reference once for all runs, see `ditflow.utils.cache`.
    """

    def __init__(
        self,
        video: Path | None = None,
        mask: Path | None = None,
        image: Path | None = None,
        prompts: list[str] | None = None,
        prompts_file: Path | None = None,
        start_frame: int = 0,
        num_frames: int | None = None,
        stride: int | None = None,
        resample: bool = False,
        height: int | None = None,
        width: int | None = None,
        crop: str = "center",
        fps: float | None = None,
        embedding: Path | None = None,
        seeds: list[int] | None = None,
        store_reference: bool = True,
        cache: bool = True,
    ):
        super().__init__()
        self.video: Path | Frames | None = None if video is None else Path(video)
        self.mask: Path | Frames | None = None if mask is None else Path(mask)
        self.image: Path | Frames | None = None if image is None else Path(image)
        """Each may be set to frames in memory."""
        self.embedding = None if embedding is None else Path(embedding)
        self.prompts = read_prompts(prompts or (), prompts_file)
        self.range = FrameRange(start_frame, num_frames, stride, resample, fps)
        self.height, self.width, self.crop = height, width, Crop.parse(crop)
        if fps is not None and not LEAST_FPS <= fps <= MOST_FPS:
            raise DitflowError(f"fps={fps} must be at least {LEAST_FPS} and at most {MOST_FPS}.")
        for seed in seeds or ():
            if not SEEDS.start <= seed < SEEDS.stop:
                raise DitflowError(f"seeds={seed} must be {SEEDS.start} to {SEEDS.stop - 1}.")
        self._fps, self._own_fps = fps, 8.0
        self.seeds = seeds
        self.store_reference, self.cache = store_reference, cache
        self.read: ReferenceVideo | None = None
        self._read_for: tuple[Any, ...] = (None, None, None)
        self._image_read: tuple[Any, Any, torch.Tensor | None] = (None, None, None)
        self.video_file, self.mask_file = ("", ""), ("", "")
        """File name and SHA-256 of what was read, for the embedding's header."""
        self.motion: MotionEmbedding | None = None
        """Of a predict; may be set in place of reading `embedding`."""
        self.finished: set[SampleItem] = set()
        """Of a predict: what is there already, and is not made again."""

    @property
    def fps(self) -> float:
        """Frames a second of written videos."""
        if self._fps is not None:
            return self._fps
        return self._own_fps if self.motion is None else self.motion.header.fps

    @property
    def _module(self) -> GuidedSampling:
        assert self.trainer is not None
        module = self.trainer.lightning_module
        assert isinstance(module, GuidedSampling)
        return module

    def setup(self, stage: str) -> None:
        module = self._module
        if stage == "fit":
            read = self.read_reference(module.backbone)
            self.read_image(module)
            module.encode_prompts(local_share(module.trainer, self.prompts))
            module.encode_reference(read.frames, self.cache, read.mask, read.numbers)
        elif stage == "predict":
            self.load_motion(module)
            self.read_image(module)
            module.encode_prompts(item.prompt for item in self.missing())

    def load_motion(self, module: GuidedSampling) -> MotionEmbedding:
        """The embedding, once it is known to fit the module's backbone and sampler."""
        motion = self.motion
        if motion is None:
            if self.embedding is None:
                raise DitflowError(
                    "embedding is not given; use --embedding DIR/motion.safetensors."
                )
            motion = MotionEmbedding.from_pretrained(self.embedding)
        backbone = module.backbone
        check_fits(motion.header, backbone, module.schedule())
        if motion.header.target == "positions":
            shape = motion.header.latent_shape
            stock, coordinates = backbone.positions(shape), backbone.coordinates(shape)
            motion.positions_at_step(0, stock, coordinates, backbone.positions_at)
        self.motion = motion
        return motion

    @property
    def frames(self) -> torch.Tensor:
        """The reference as the model sees it, [T, 3, height, width] in [0, 1], once it is read."""
        assert self.read is not None
        return self.read.frames

    @property
    def mask_on_frames(self) -> torch.Tensor | None:
        """The mask as `ReferenceVideo` has it, once it is read."""
        assert self.read is not None
        return self.read.mask

    @property
    def numbers(self) -> list[int]:
        """Of the reference's frames in its file, once it is read."""
        assert self.read is not None
        return list(self.read.numbers or ())

    @property
    def loaded_motion(self) -> MotionEmbedding:
        """The embedding of a predict, once it is loaded."""
        assert self.motion is not None
        return self.motion

    def read_reference(self, backbone: Backbone) -> ReferenceVideo:
        """The reference and its mask at the backbone's size; read once for backbones of one."""
        wanted = *backbone.default_size(), backbone.temporal_ratio, backbone.fps
        size, video, mask = self._read_for
        # Either may be set anew, to frames, which have no other equality.
        other = video is not self.video or mask is not self.mask
        if self.read is None or size != wanted or other:
            self.read = read_reference(
                backbone, self.video, self.mask, self.range, self.height, self.width, self.crop
            )
            self._read_for = wanted, self.video, self.mask
            self._own_fps = backbone.fps
            # Now, for at the end of a fit the files may have been moved.
            assert self.video is not None
            self.video_file = _name_and_hash(self.video)
            self.mask_file = ("", "") if self.mask is None else _name_and_hash(self.mask)
        return self.read

    def read_image(self, module: GuidedSampling) -> None:
        """Give the module the image that its videos begin with, if any, once their size is known;
        read once for modules of one."""
        motion = self.motion
        size = (motion.header.height, motion.header.width) if motion else self.frames.shape[-2:]
        image, own_size, read = self._image_read
        if image is not self.image or own_size != size or read is None:
            read = read_image(module.backbone, self.image, *size)
            self._image_read = self.image, size, read
        module.image = read

    def begin_with_own(self, backbone: Backbone) -> None:
        """Have the videos of a fit begin as the reference does, where the backbone needs an image
        and none is given; said."""
        if backbone.needs_image and self.image is None:
            self.image = self.read_reference(backbone).frames[0]
            log.info("Image: none is given, the reference's own first frame is taken.")

    def train_dataloader(self) -> DataLoader:
        items = GuidedSteps(self._module)
        # Of one process: several share the prompts (`ditflow.utils.distributed`), not these items.
        sampler = DistributedSampler[MotionItem](items, num_replicas=1, rank=0, shuffle=False)
        return DataLoader(items, batch_size=None, sampler=sampler)

    def predict_dataloader(self) -> DataLoader:
        missing: Any = self.missing()
        return DataLoader(missing, batch_size=None)

    def missing(self) -> list[SampleItem]:
        """The videos of a predict that are not there yet."""
        return [item for item in self.items() if item not in self.finished]

    def items(self) -> list[SampleItem]:
        """The videos of a predict, each once."""
        seeds = self.seeds or [self.loaded_motion.header.seed]
        return list(
            dict.fromkeys(SampleItem(prompt, seed) for prompt in self.prompts for seed in seeds)
        )

    def predictions(
        self, folder: Path, module: GuidedSampling, injection: Injection | None
    ) -> Predictions:
        """A predict's videos in a folder, the embedding once loaded.

        Args:
            folder: of the output.
            module: that samples.
            injection: of keys and values, if it is on.
        """
        motion = self.loaded_motion
        header = asdict(motion.header)
        for added in ("frames_taken", "crop"):  # records of earlier versions hold without them
            del header[added]
        contents = [header, hash_of_tensors(*motion.tensors.values())]
        made_with = {
            "embedding": hash_of(contents),
            "backbone": module.backbone.fingerprint(),
            "sampling": asdict(module.sampler_options),
            "kv_injection": injection_arguments(injection),
            "fps": self.fps,
        }
        if module.image is not None:  # records of earlier versions hold without it
            made_with["image"] = hash_of_tensors(module.image)
        return Predictions(folder, self.items(), made_with)


def data_of(trainer: Trainer) -> MotionDataModule:
    """The data of a trainer's run."""
    return trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it, undeclared


def _name_and_hash(video: Path | Frames) -> tuple[str, str]:
    if isinstance(video, Path):
        return video.name, hash_of_files(files_of(video))
    return "in memory", hash_of_tensors(torch.as_tensor(video), length=64)


def run_of(
    module: GuidedSampling, data: MotionDataModule, injection: Injection | None
) -> dict[str, Any]:
    """What must be the same for a run to go on from another's checkpoint, primitives only."""
    sampling = module.sampling_arguments()
    del sampling["num_inference_steps"]  # the timesteps say more
    objective = {
        name: value
        for name, value in sorted(vars(module.objective).items())
        if isinstance(value, bool | int | float | str | None)
    }
    return {
        "backbone": module.backbone.fingerprint(),
        "prompts": list(data.prompts),
        "frames taken": data.numbers,
        "crop": str(data.crop),
        "reference frames": hash_of_tensors(data.frames),
        "mask": None if data.mask_on_frames is None else hash_of_tensors(data.mask_on_frames),
        "image": None if module.image is None else hash_of_tensors(module.image),
        **sampling,
        "objective": {"name": type(module.objective).__name__, **objective},
        "kv_injection": injection_arguments(injection),
        "guided_steps": module.guided_steps,
        "optimization_steps": module.optimization_steps,
        "gradient_reuse": module.gradient_reuse,
        "rates": list(module.rates),
        "timesteps": list(module.schedule().timesteps),
    }
