"""Train the sprites VAE: reconstruction of short clips, crops first and whole frames last."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ModelMixin
from lightning import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, IterableDataset

from ditflow.backbones.kernels import take_quick_convolutions
from ditflow.sprites.render import render
from ditflow.sprites.world import SIZE, sample_clip

STEPS_PER_EPOCH = 100
"""Checkpoints are taken, and data reseeded, at epochs' ends, so that resuming is exact."""


class ClipBatches(IterableDataset):
    """One epoch of rendered clips [B, 3, frames, size, size] in [-1, 1].

    Crops cost a quarter of whole frames a step; they teach colours and edges, and the whole
    frames at the end settle the group norms, whose statistics depend on the frame's size.
    """

    def __init__(self, seed: int, crop: int, batch_size: int, frames: int = 9):
        self.seed, self.crop, self.batch_size, self.frames = seed, crop, batch_size, frames

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(STEPS_PER_EPOCH):
            clips = [sample_clip(generator) for _ in range(self.batch_size)]
            video = render(clips) * 2 - 1
            batch = []
            for clip, frames in zip(clips, video, strict=True):
                start = int(torch.randint(len(frames) - self.frames + 1, (), generator=generator))
                # A crop that holds the sprite's middle: the background alone is easy.
                centre = torch.tensor(clip.path[start + self.frames // 2]) * SIZE
                offset = self.crop * torch.rand(2, generator=generator)
                left, top = (centre - offset).clamp(0, SIZE - self.crop).long().tolist()
                batch.append(
                    frames[
                        start : start + self.frames,
                        :,
                        top : top + self.crop,
                        left : left + self.crop,
                    ]
                )
            yield torch.stack(batch).transpose(1, 2)


class VAEClips(LightningDataModule):
    trainer: Trainer

    def __init__(self, seed: int, full_from_epoch: int):
        super().__init__()
        self.seed, self.full_from_epoch = seed, full_from_epoch

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch
        full = epoch >= self.full_from_epoch
        batches = ClipBatches(
            seed=self.seed * 1_000_003 + epoch,
            crop=SIZE if full else SIZE // 2,
            batch_size=4 if full else 6,
        )
        return DataLoader(batches, batch_size=None)


class VAETraining(LightningModule):
    """L1 + L2 + a light KL, Adam with a cosine rate; where latents of another VAE come with the
    videos, L2 from those too, so that a transformer of one is at home in the other."""

    def __init__(
        self,
        vae: ModelMixin,
        epochs: int,
        learning_rate: float = 2e-3,
        kl_weight: float = 1e-4,
    ):
        super().__init__()
        self.vae = vae
        take_quick_convolutions(vae)
        self.epochs, self.learning_rate, self.kl_weight = epochs, learning_rate, kl_weight

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        video, latents = batch if isinstance(batch, list) else (batch, None)
        posterior = self.vae.encode(video).latent_dist
        decoded = self.vae.decode(posterior.sample()).sample.float()
        l1 = F.l1_loss(decoded, video)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss = l1 + F.mse_loss(decoded, video) + self.kl_weight * kl
        figures = {"l1": l1, "kl": kl, "std": posterior.mean.detach().std()}
        if latents is not None:
            figures["latents"] = F.mse_loss(posterior.mean, latents)
            loss = loss + figures["latents"]
        self.log_dict(figures, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.vae.parameters(), lr=self.learning_rate, weight_decay=1e-3, betas=(0.9, 0.98)
        )
        return cosine(optimizer, self.epochs * STEPS_PER_EPOCH)


def cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: int = 100) -> dict:
    """Lightning's description of a linear warm-up and a cosine fall to 1 % of the rate."""

    def rate(step: int) -> float:
        fall = 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
        return min((step + 1) / warmup, 1.0) * max(fall, 0.01)

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
    }
