"""Write a fit's and a predict's videos into the run's folder."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from ditflow.data import SampleItem
from ditflow.module import MotionTransfer
from ditflow.video import side_by_side, write_video


class VideoWriter(BasePredictionWriter):
    """Names files by what they hold; `paths` lists what a run has written.

    A fit writes `reference.mp4`, `video.mp4` and `comparison.mp4` (with several prompts one video
    each, named by prompt); a predict one file a prompt and seed, and `comparison.mp4` of
    all, the reference first.
    """

    def __init__(self):
        super().__init__(write_interval="batch")
        self.paths: list[Path] = []
        self._videos: list[torch.Tensor] = []

    def on_fit_end(self, trainer: Trainer, module: MotionTransfer) -> None:
        data, folder = trainer.datamodule, Path(trainer.default_root_dir)
        videos = module.finish()
        self._write(data.frames, folder / "reference.mp4", data.fps)
        for index, (prompt, video) in enumerate(zip(data.prompts, videos, strict=True)):
            name = "video" if index == 0 else f"video-{index}-{slug(prompt)}"
            self._write(video, folder / f"{name}.mp4", data.fps)
        comparison = side_by_side([data.frames, *videos])
        self._write(comparison, folder / "comparison.mp4", data.fps)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        module: MotionTransfer,
        prediction: torch.Tensor,
        batch_indices: Sequence[int] | None,
        batch: SampleItem,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        self._videos.append(prediction)
        name = f"{slug(batch.prompt)}-seed{batch.seed}"
        taken = {path.stem for path in self.paths}
        if name in taken:  # another prompt that shortens to the same words
            name = f"{name}-{batch_idx}"
        folder = Path(trainer.default_root_dir)
        self._write(prediction, folder / f"{name}.mp4", trainer.datamodule.fps)

    def on_predict_end(self, trainer: Trainer, module: MotionTransfer) -> None:
        """All videos side by side; first the reference, if the embedding carries its latents."""
        header, videos = module.embedding.header, self._videos
        if module.reference_latents is not None:
            videos = [module.decode(module.reference_latents, header.num_frames), *videos]
        if videos:
            name = "comparison" if trainer.world_size == 1 else f"comparison-{trainer.global_rank}"
            path = Path(trainer.default_root_dir) / f"{name}.mp4"
            self._write(side_by_side(videos), path, trainer.datamodule.fps)
        self._videos.clear()

    def _write(self, video: torch.Tensor, path: Path, fps: float) -> None:
        write_video(video, path, fps)
        self.paths.append(path)


def slug(prompt: str, length: int = 60) -> str:
    """A prompt as part of a file name: lower-case words joined by hyphens."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")
    return words[:length].rstrip("-") or "prompt"
