"""Train the sprites CLIP: which caption a frame shows, among all there are."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX
from lightning import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm
from transformers import CLIPProcessor

from ditflow.sprites.recipe.models import build_clip
from ditflow.sprites.recipe.train_vae import STEPS_PER_EPOCH, cosine
from ditflow.sprites.render import render
from ditflow.sprites.world import BACKGROUNDS, captions, sample_clip

LEAST_TEMPERATURE = 0.05
"""Of the softmax over cosines. A smaller one would let all cosines lie close together, and a
frame that shows something else would hardly score less."""


class Frames(LightningDataModule):
    """Random frames of clips, some of them through the VAE, with the number of their caption.

    Args:
        vae: generated frames are its decodings; drawn ones are sharper.
        seed: of frames and batches.
        pool: how many frames are made at the start, to draw batches from.
        decoded: how many of them go through the VAE.
        batch_size: of a step.
    """

    trainer: Trainer

    def __init__(
        self,
        vae: AutoencoderKLCogVideoX,
        seed: int,
        pool: int = 20480,
        decoded: int = 3072,
        batch_size: int = 96,
    ):
        super().__init__()
        self.vae, self.seed, self.pool, self.decoded = vae, seed, pool, decoded
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.frames, self.labels = labelled_frames(self.pool, generator)
        for start in tqdm(range(0, self.decoded, 32), desc="through the VAE"):
            chosen = slice(start, min(start + 32, self.decoded))
            self.frames[chosen] = through_vae(self.vae, self.frames[chosen])

    def train_dataloader(self) -> DataLoader:
        seed = self.seed * 1_000_003 + self.trainer.current_epoch
        batches = FrameBatches(self.frames, self.labels, self.batch_size, seed)
        return DataLoader(batches, batch_size=None)


class FrameBatches(IterableDataset):
    """One epoch of frames [B, 3, H, W] in [0, 1] and their labels.

    Frames are mirrored, shifted by up to an eighth, blurred and noised at random: without it, the
    model knows the frames of the pool by heart before it knows shapes.
    """

    def __init__(self, frames: torch.Tensor, labels: torch.Tensor, batch_size: int, seed: int):
        self.frames, self.labels = frames, labels
        self.batch_size, self.seed = batch_size, seed

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self.seed)
        size = self.frames.shape[-1]
        for _ in range(STEPS_PER_EPOCH):
            rows = torch.randint(len(self.frames), (self.batch_size,), generator=generator)
            frames = self.frames[rows]
            if torch.rand((), generator=generator) < 0.5:
                frames = frames.flip(-1)
            reach = size // 8
            top, left = torch.randint(2 * reach + 1, (2,), generator=generator).tolist()
            frames = F.pad(frames, (reach,) * 4, mode="replicate")
            frames = frames[..., top : top + size, left : left + size]
            small = int(torch.randint(5 * size // 8, size + 1, (), generator=generator))
            frames = F.interpolate(frames, size=small, mode="bilinear", antialias=True)
            frames = F.interpolate(frames, size=size, mode="bilinear")
            noise = torch.randn(frames.shape, generator=generator)
            yield (frames + 0.03 * noise).clamp(0, 1), self.labels[rows]


class ClipTraining(LightningModule):
    """Contrast of each frame's embedding with those of all captions, whole and without background.

    Args:
        processor: its tokenizer and the pictures' mean and deviation.
        epochs: of 100 steps, for the cosine fall of the rate.
        learning_rate: at its highest.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, processor: CLIPProcessor, epochs: int, learning_rate: float = 1e-3):
        super().__init__()
        self.clip = build_clip(processor)
        self.epochs, self.learning_rate = epochs, learning_rate
        images = processor.image_processor
        self.register_buffer("mean", torch.tensor(images.image_mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(images.image_std)[:, None, None])
        whole = captions()
        short = [text.partition(" on ")[0] for text in whole]
        tokens = processor(text=whole + short, padding=True, return_tensors="pt")
        self.register_buffer("ids", tokens.input_ids)
        self.register_buffer("mask", tokens.attention_mask)

    def training_step(
        self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int
    ) -> torch.Tensor:
        frames, labels = batch
        images = self.clip.get_image_features((frames - self.mean) / self.deviation).pooler_output
        texts = self.clip.get_text_features(self.ids, self.mask).pooler_output
        cosines = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
        scale = self.clip.logit_scale.exp().clamp(max=1 / LEAST_TEMPERATURE)
        whole, short = (scale * cosines).chunk(2, dim=1)
        # Captions without background repeat for every background: one of each.
        backgrounds = len(BACKGROUNDS)
        losses = (
            F.cross_entropy(whole, labels),
            F.cross_entropy(short[:, ::backgrounds], labels // backgrounds),
        )
        right = (whole.argmax(1) == labels).float().mean()
        self.log_dict({"loss": losses[0], "loss/short": losses[1], "right": right}, prog_bar=True)
        return (losses[0] + losses[1]) / 2

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.clip.parameters(), lr=self.learning_rate, weight_decay=0.01, betas=(0.9, 0.98)
        )
        return cosine(optimizer, self.epochs * STEPS_PER_EPOCH)


def labelled_frames(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames [N, 3, H, W] of random clips at random times, and the number of their caption [N]."""
    numbers = {text: number for number, text in enumerate(captions())}
    frames, labels = [], []
    for _ in range(count):
        clip = sample_clip(generator)
        time = int(torch.randint(len(clip.path), (), generator=generator))
        frames.append(render([clip.at(time)])[0, 0])
        labels.append(numbers[clip.caption])
    return torch.stack(frames), torch.tensor(labels)


@torch.inference_mode()
def through_vae(vae: AutoencoderKLCogVideoX, frames: torch.Tensor) -> torch.Tensor:
    """Frames [N, 3, H, W] in [0, 1], encoded and decoded one by one."""
    video = (frames * 2 - 1)[:, :, None]
    decoded = vae.decode(vae.encode(video).latent_dist.mean).sample
    return (decoded[:, :, 0] / 2 + 0.5).clamp(0, 1)
