"""Write a fit's and a predict's videos into the run's folder."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from ditflow.data import MotionDataModule, data_of
from ditflow.denoising import GuidedSampling, SampleItem
from ditflow.runs.folder import COMPARISON, REFERENCE
from ditflow.runs.predictions import Predictions, slug
from ditflow.utils.distributed import local_share
from ditflow.video.pictures import grid
from ditflow.video.reading import FrameRange, read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

log = logging.getLogger(__name__)

COMPARED = 20
"""Videos in a comparison at most: more would be too small to see and too large to encode."""


class VideoWriter(BasePredictionWriter):
    """Names files by what they hold; `paths` lists what a run has written.

    A fit writes `reference.mp4`, `video.mp4` and `comparison.mp4` (with several prompts one video
    each, named by prompt); a predict one file a prompt and seed, with a record of what it was made
    with, `reference.mp4` and `comparison.mp4` of all, the reference first.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self.paths: list[Path] = []

    def on_fit_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        data, folder = data_of(trainer), Path(trainer.default_root_dir)
        if trainer.is_global_zero:
            self._write(data.frames, folder / REFERENCE, data.fps)
        names = ["video", *(f"video-{n}-{slug(p)}" for n, p in enumerate(data.prompts) if n > 0)]
        paths = [folder / f"{name}.mp4" for name in names]
        videos = dict(zip(local_share(trainer, paths), module.finish(), strict=True))
        for path, video in videos.items():
            self._write(video, path, data.fps)
        trainer.strategy.barrier()  # until the other processes of the fit have written theirs
        if trainer.is_global_zero:
            others = (path for path in paths[:COMPARED] if path not in videos)
            videos |= {path: as_tensor(read_video(path)) for path in others}
            self.paths += [path for path in paths if path not in self.paths]
            shown = [data.frames, *videos.values()]
            self._compare(shown, 1 + len(paths), folder, data.fps)

    def on_predict_start(self, trainer: Trainer, module: GuidedSampling) -> None:
        folder = Path(trainer.default_root_dir)
        self.predictions = data_of(trainer).predictions(folder, module, module.injection)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        module: GuidedSampling,
        prediction: torch.Tensor,
        batch_indices: Sequence[int] | None,
        batch: SampleItem,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        self.predictions.begin(batch)
        self._write(prediction, self.predictions.path(batch), data_of(trainer).fps)
        self.predictions.file(batch)

    def on_predict_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        trainer.strategy.barrier()  # until every process has written its videos
        if trainer.is_global_zero:
            self.compare(module, data_of(trainer), self.predictions)

    def compare(
        self, module: GuidedSampling, data: MotionDataModule, predictions: Predictions
    ) -> None:
        """All videos of a predict side by side, also those of earlier processes; first the
        reference, if the embedding carries its latents."""
        motion, shown = data.loaded_motion, predictions.paths()
        folder = shown[0].parent
        videos = [as_tensor(read_video(path, FrameRange())) for path in shown[:COMPARED]]
        reference = motion.tensors.get("reference_latents")
        if reference is not None:
            videos = [module.decode(reference, motion.header.num_frames), *videos]
            if not (folder / REFERENCE).exists():  # such as a fit's own, undecoded
                write_video(videos[0], folder / REFERENCE, data.fps)
        total = len(shown) + (reference is not None)
        self._compare(videos, total, folder, data.fps)

    def _compare(
        self, videos: Sequence[torch.Tensor], total: int, folder: Path, fps: float
    ) -> None:
        if total > COMPARED:
            log.info("comparison.mp4 shows the first %d of %d videos.", COMPARED, total)
        self._write(grid(videos[:COMPARED]), folder / COMPARISON, fps)

    def _write(self, video: torch.Tensor, path: Path, fps: float) -> None:
        write_video(video, path, fps)
        self.paths.append(path)
