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
from ditflow.sprites.world import sample_clip

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
        generator = torch.Generator().manual_seed(seed * 1_000_003 + shard)
        clips = [sample_clip(generator) for _ in range(SHARD)]
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


def encode(vae: AutoencoderKLCogVideoX, video: torch.Tensor) -> torch.Tensor:
    """Frames [B, T, 3, H, W] in [0, 1] to scaled latents [B, F, C, h, w] (posterior means)."""
    with torch.autocast(vae.device.type, torch.bfloat16):
        mean = vae.encode((video * 2 - 1).transpose(1, 2)).latent_dist.mean
    return mean.transpose(1, 2).float() * vae.config.scaling_factor


class LatentBatches(IterableDataset):
    """One epoch of random batches: latents [B, F, C, h, w] and token ids [B, L]."""

    def __init__(self, latents: torch.Tensor, ids: torch.Tensor, seed: int, batch_size: int):
        self.latents, self.ids, self.seed, self.batch_size = latents, ids, seed, batch_size

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(STEPS_PER_EPOCH):
            rows = torch.randint(len(self.latents), (self.batch_size,), generator=generator)
            yield self.latents[rows].float(), self.ids[rows].long()


class LatentClips(LightningDataModule):
    def __init__(self, folder: Path, seed: int, batch_size: int = 12):
        super().__init__()
        shards = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
        self.latents = torch.cat([shard["latents"] for shard in shards])
        self.ids = torch.cat([shard["ids"] for shard in shards])
        self.seed, self.batch_size = seed, batch_size

    def train_dataloader(self) -> DataLoader:
        seed = self.seed * 1_000_003 + self.trainer.current_epoch
        batches = LatentBatches(self.latents, self.ids, seed, self.batch_size)
        return DataLoader(batches, batch_size=None)
