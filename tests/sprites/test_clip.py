"""The shipped sprites CLIP tells captions apart, on frames it has not seen."""

from itertools import product

import torch

from ditflow.backbones.loading import load_backbone
from ditflow.metrics import load_clip
from ditflow.sprites.recipe.evaluate import HELD_OUT
from ditflow.sprites.recipe.models import build_clip_processor
from ditflow.sprites.recipe.train_clip import (
    ClipTraining,
    FrameBatches,
    labelled_frames,
    through_vae,
)
from ditflow.sprites.world import COLORS, SHAPES, caption, captions
from ditflow.utils.shipped import EMBEDDED


def accuracy(frames: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of frames whose shape and colour are chosen among all 48, with and without the
    background named, by the shipped model."""
    clip = load_clip()
    pairs = list(product(SHAPES, COLORS))
    everything = captions()
    images = clip.processor(images=[(255 * f).round().byte() for f in frames], return_tensors="pt")
    embedded = torch.nn.functional.normalize(clip.model.get_image_features(**images), dim=-1)
    right = 0
    for image, label in zip(embedded, labels.tolist(), strict=True):
        background = everything[label].split()[-2]
        texts = [caption(*pair, background) for pair in pairs]
        inputs = clip.processor(text=texts, padding=True, return_tensors="pt")
        features = torch.nn.functional.normalize(clip.model.get_text_features(**inputs), dim=-1)
        right += texts[int((features @ image).argmax())] == everything[label]
    return right / len(labels)


def test_it_chooses_the_right_caption_among_48():
    generator = torch.Generator().manual_seed(HELD_OUT)
    frames, labels = labelled_frames(200, generator)
    drawn = accuracy(frames, labels)
    decoded = accuracy(through_vae(load_backbone("sprites-rope").pipeline.vae, frames), labels)
    print(f"sprites-clip, of 48 captions: {drawn:.3f} drawn, {decoded:.3f} through the VAE")
    assert drawn >= 0.95
    assert decoded >= 0.95


def test_it_is_shipped_whole():
    names = {path.name for path in (EMBEDDED / "sprites-clip").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names


def test_a_step_lowers_the_loss():
    torch.manual_seed(0)
    module = ClipTraining(build_clip_processor(), epochs=1)
    module.log_dict = lambda *_args, **_options: None  # there is no trainer
    frames, labels = labelled_frames(16, torch.Generator().manual_seed(0))
    batch = next(iter(FrameBatches(frames, labels, batch_size=16, seed=0)))
    assert batch[0].shape == (16, 3, 64, 64)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
