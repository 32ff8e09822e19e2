"""Encode random clips once, so that the transformer's training never waits for the VAE."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from lightning import LightningDataModule
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from ditflow.sprites.models import MAX_TEXT_TOKENS
from ditflow.sprites.render import render
from ditflow.sprites.train_vae import STEPS_PER_EPOCH
from ditflow.sprites.world import Clip, sample_clip

SHARD = 512


@torch.inference_mode()
def encode_shards(
    vae: AutoencoderKLCogVideoX,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    count: int,
    seed: int,
    batch_size: int = 8,
) -> None:
    """Write `count` clips' scaled latents and token ids in shards; whole shards are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in tqdm(range(count // SHARD), desc="encoding", unit="shard"):
        path = folder / f"{shard:03d}.safetensors"
        if path.exists():
            continue
        clips = shard_clips(shard, seed)
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
        save_file({"latents": latents.half(), "ids": ids.to(torch.int16)}, partial)
        partial.rename(path)


def shard_clips(shard: int, seed: int) -> list[Clip]:
    """The clips of a shard, the same every time."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + shard)
    return [sample_clip(generator) for _ in range(SHARD)]


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
    with torch.autocast(vae.device.type, torch.bfloat16):
        mean = vae.encode((video * 2 - 1).transpose(1, 2)).latent_dist.mean
    return mean.transpose(1, 2).float() * vae.config.scaling_factor


class LatentBatches(IterableDataset):
    """One epoch of random batches: latents [B, F, C, h, w], token ids [B, L] and where the sprite
    is [B, F, h, w]."""

    def __init__(self, clips: "LatentClips", seed: int):
        self.clips, self.seed = clips, seed

    def __iter__(self):
        clips, generator = self.clips, torch.Generator().manual_seed(self.seed)
        for _ in range(STEPS_PER_EPOCH):
            rows = torch.randint(len(clips.latents), (clips.batch_size,), generator=generator)
            latents = clips.latents[rows].float()
            places = sprite_places(clips.paths[rows], clips.radii[rows], latents.shape[-1])
            yield latents, clips.ids[rows].long(), places


class LatentClips(LightningDataModule):
    """The encoded clips of a folder, in memory.

    Args:
        folder: of `encode_shards`.
        seed: that the shards were made with, and of the batches.
        batch_size: clips a step.
    """

    def __init__(self, folder: Path, seed: int, batch_size: int = 12):
        super().__init__()
        shards = {int(path.stem): load_file(path) for path in sorted(folder.glob("*.safetensors"))}
        self.latents = torch.cat([shard["latents"] for shard in shards.values()])
        self.ids = torch.cat([shard["ids"] for shard in shards.values()])
        clips = [clip for shard in shards for clip in shard_clips(shard, seed)]
        self.paths = torch.tensor([clip.path for clip in clips])
        self.radii = torch.tensor([clip.radius for clip in clips])
        self.seed, self.batch_size = seed, batch_size

    def train_dataloader(self) -> DataLoader:
        seed = self.seed * 1_000_003 + self.trainer.current_epoch
        return DataLoader(LatentBatches(self, seed), batch_size=None)
