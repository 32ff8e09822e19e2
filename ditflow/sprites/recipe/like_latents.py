"""Encoded clips beside their frames: what a VAE learns another one's latents from."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, IterableDataset

from ditflow.sprites.recipe.latents import SHARD, EncodedClips, shard_clips
from ditflow.sprites.recipe.train_vae import STEPS_PER_EPOCH
from ditflow.sprites.render import render
from ditflow.sprites.world import NUM_FRAMES, SIZE


class LikeLatents(IterableDataset):
    """One epoch of the first frames of encoded clips [B, 3, frames, size, size] in [-1, 1], with
    the latents [B, C, F, h, w] that another VAE made of them."""

    def __init__(
        self,
        folder: Path,
        clips_seed: int,
        seed: int,
        crop: int,
        batch_size: int,
        frames: int,
    ):
        self.folder, self.clips_seed, self.seed = folder, clips_seed, seed
        self.crop, self.batch_size, self.frames = crop, batch_size, frames

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self.seed)
        encoded = EncodedClips(self.folder / "latents", shards=8)
        count, latent_frames = len(encoded.latents), (self.frames - 1) // 4 + 1
        clips = [
            clip
            for shard in range(count // SHARD)
            for clip in shard_clips(shard, self.clips_seed, NUM_FRAMES)
        ]
        for _ in range(STEPS_PER_EPOCH):
            batch = []
            for row in torch.randint(count, (self.batch_size,), generator=generator).tolist():
                clip = clips[row]
                cut = replace(clip, path=clip.path[: self.frames])
                # Around the sprite, and on whole latents.
                centre = torch.tensor(cut.path[self.frames // 2]) * SIZE
                offset = self.crop * torch.rand(2, generator=generator)
                corner = (centre - offset).clamp(0, SIZE - self.crop).long() // 4
                left, top = corner.tolist()
                rows, columns = slice(top, top + self.crop // 4), slice(left, left + self.crop // 4)
                pixels = render([cut])[0] * 2 - 1
                video = pixels[..., top * 4 :, left * 4 :][..., : self.crop, : self.crop]
                latents = encoded.latents[row, :latent_frames, :, rows, columns].float()
                batch.append((video.transpose(0, 1), latents.transpose(0, 1)))
            yield [torch.stack(part) for part in zip(*batch, strict=True)]


class LatentFrames(LightningDataModule):
    """Crops of short clips first, whole clips last.

    Args:
        folder: holds `latents`, of `encode_shards`.
        seed: that these were made with, and of the batches.
        full_from_epoch: which epochs have whole clips.
    """

    trainer: Trainer

    def __init__(self, folder: Path, seed: int, full_from_epoch: int):
        super().__init__()
        self.folder, self.seed, self.full_from_epoch = folder, seed, full_from_epoch

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch
        full = epoch >= self.full_from_epoch
        batches = LikeLatents(
            self.folder,
            self.seed,
            self.seed * 1_000_003 + epoch,
            crop=SIZE if full else SIZE // 2,
            batch_size=1 if full else 6,
            # What later frames take over from those before is learned from whole clips only.
            frames=NUM_FRAMES if full else 9,
        )
        return DataLoader(batches, batch_size=None)
