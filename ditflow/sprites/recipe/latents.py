"""Encode random clips once, so that the transformer's training never waits for the VAE."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from lightning import LightningDataModule, Trainer
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from ditflow.backbones.kernels import take_quick_convolutions
from ditflow.sprites.recipe.models import MAX_TEXT_TOKENS
from ditflow.sprites.recipe.train_vae import STEPS_PER_EPOCH
from ditflow.sprites.render import render
from ditflow.sprites.world import NUM_FRAMES, Clip, sample_clip

SHARD = 512


@torch.inference_mode()
def encode_shards(
    vae: AutoencoderKLCogVideoX,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    count: int,
    seed: int,
    frames: int = NUM_FRAMES,
    batch_size: int = 8,
) -> None:
    """Write the first `frames` frames of `count` clips in shards: scaled latents, token ids, and
    the sprites' paths and radii. Whole shards are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    take_quick_convolutions(vae)
    for shard in tqdm(range(count // SHARD), desc="encoding", unit="shard"):
        path = folder / f"{shard:03d}.safetensors"
        if path.exists():
            continue
        clips = shard_clips(shard, seed, frames)
        latents = torch.cat(
            [encode(vae, render(clips[i : i + batch_size])) for i in range(0, SHARD, batch_size)]
        )
        ids = tokenizer(
            [clip.caption for clip in clips],
            padding="max_length",
            max_length=MAX_TEXT_TOKENS,
            return_tensors="pt",
        ).input_ids
        partial = path.with_suffix(".partial")
        tensors = {
            "latents": latents.half(),
            "ids": ids.to(torch.int16),
            "paths": torch.tensor([clip.path for clip in clips]),
            "radii": torch.tensor([clip.radius for clip in clips]),
        }
        save_file(tensors, partial)
        partial.rename(path)


def shard_clips(shard: int, seed: int, frames: int) -> list[Clip]:
    """The clips of a shard, cut to `frames`, the same every time."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + shard)
    clips = [sample_clip(generator) for _ in range(SHARD)]
    return [replace(clip, path=clip.path[:frames]) for clip in clips]


def sprite_places(paths: torch.Tensor, radii: torch.Tensor, size: int) -> torch.Tensor:
    """Where sprites pass in each latent frame: [B, F, size, size] of 0 and 1.

    Args:
        paths: [B, T, 2] centres (column, row) in widths.
        radii: [B] in widths.
        size: of the latents.
    """
    axis = (torch.arange(size) + 0.5) / size
    u = axis[None, None, None, :] - paths[:, :, 0, None, None]
    v = axis[None, None, :, None] - paths[:, :, 1, None, None]
    near = torch.hypot(u, v) < radii[:, None, None, None] * 1.2
    # The first latent frame stands for one frame, each other for four.
    first, others = near[:, :1], near[:, 1:].unflatten(1, (-1, 4)).any(2)
    return torch.cat([first, others], dim=1).float()


def encode(vae: AutoencoderKLCogVideoX, video: torch.Tensor) -> torch.Tensor:
    """Frames [B, T, 3, H, W] in [0, 1] to scaled latents [B, F, C, h, w] (posterior means)."""
    mean = vae.encode((video * 2 - 1).transpose(1, 2)).latent_dist.mean
    return mean.transpose(1, 2) * vae.config.scaling_factor


class EncodedClips:
    """The encoded clips of a folder, in memory.

    Args:
        folder: of `encode_shards`.
        shards: how many of them, all where not given.
    """

    def __init__(self, folder: Path, shards: int | None = None):
        files = sorted(folder.glob("*.safetensors"))[:shards]
        if not files:
            raise SystemExit(f"{folder} has no encoded clips; run the part `latents` first.")
        loaded = [load_file(path) for path in files]
        self.latents, self.ids, self.paths, self.radii = (
            torch.cat([shard[name] for shard in loaded])
            for name in ("latents", "ids", "paths", "radii")
        )

    def sample(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Latents [B, F, C, h, w], token ids [B, L] and where the sprite is [B, F, h, w]."""
        rows = torch.randint(len(self.latents), (count,), generator=generator)
        latents = self.latents[rows].float()
        places = sprite_places(self.paths[rows], self.radii[rows], latents.shape[-1])
        return latents, self.ids[rows].long(), places


class LatentBatches(IterableDataset):
    """One epoch of pairs of random batches, one of moving clips and one of single frames."""

    def __init__(self, parts: Sequence[tuple[EncodedClips, int]], seed: int):
        self.parts, self.seed = parts, seed

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(STEPS_PER_EPOCH):
            yield [clips.sample(count, generator) for clips, count in self.parts]


class LatentClips(LightningDataModule):
    """Encoded clips for the transformer's training, and single frames beside them.

    The frames of a clip say the same thing seven times about shape, colour and background; single
    frames show seven times as many of them for the same work.

    Args:
        folder: holds `latents` and `stills`, of `encode_shards`.
        seed: of the batches.
        clips: in a step of this process.
        stills: in a step of this process, none where 0.
    """

    trainer: Trainer

    def __init__(self, folder: Path, seed: int, clips: int, stills: int):
        super().__init__()
        self.parts = [(EncodedClips(folder / "latents"), clips)]
        if stills:
            self.parts.append((EncodedClips(folder / "stills"), stills))
        self.seed = seed

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer
        batch = trainer.current_epoch * trainer.world_size + trainer.global_rank
        seed = self.seed * 1_000_003 + batch
        return DataLoader(LatentBatches(self.parts, seed), batch_size=None)
