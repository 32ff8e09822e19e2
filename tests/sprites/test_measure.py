"""The measurer against clips whose truth is known: drawn, and drawn and passed through the VAE."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from ditflow.backbones.kernels import take_quick_convolutions
from ditflow.sprites.measure import attributes, motion_agreement, motion_share, sprite_path
from ditflow.sprites.render import render
from ditflow.sprites.world import BACKGROUNDS, COLORS, SHAPES, Clip, sample_clip
from ditflow.utils.shipped import EMBEDDED
from tests.conftest import reversed_clip


def clips() -> list[Clip]:
    """One of each shape and colour, backgrounds in turn."""
    generator = torch.Generator().manual_seed(3)
    pairs = itertools.product(SHAPES, COLORS)
    return [
        replace(
            sample_clip(generator),
            shape=shape,
            color=color,
            background=list(BACKGROUNDS)[i % len(BACKGROUNDS)],
        )
        for i, (shape, color) in enumerate(pairs)
    ]


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    return render(clips())


@pytest.fixture(scope="module")
def decoded(drawn) -> torch.Tensor:
    vae = AutoencoderKLCogVideoX.from_pretrained(
        str(EMBEDDED / "sprites-rope"), subfolder="vae", torch_dtype=torch.float32
    ).eval()
    take_quick_convolutions(vae)
    videos = []
    with torch.inference_mode():
        for video in drawn[::4]:
            latents = vae.encode((video * 2 - 1).transpose(0, 1)[None]).latent_dist.mode()
            videos.append(vae.decode(latents).sample[0].transpose(0, 1) / 2 + 0.5)
    return torch.stack(videos).clamp(0, 1)


def check(videos: torch.Tensor, truths: list[Clip], most: float) -> None:
    for video, clip in zip(videos, truths, strict=True):
        found = attributes(video)
        assert found == {name: getattr(clip, name) for name in found}
        # A triangle's centre of area lies this far below the point it is drawn around.
        below = 0.15 * clip.radius if clip.shape == "triangle" else 0.0
        centres = torch.tensor(clip.path) + torch.tensor([0.0, below])
        assert (sprite_path(video) - centres).norm(dim=1).mean() < most


def test_names_and_finds_drawn_sprites(drawn):
    check(drawn, clips(), most=0.01)


@pytest.mark.slow
def test_names_and_finds_decoded_sprites(decoded):
    check(decoded, clips()[::4], most=0.015)


def test_vae_error(drawn, decoded):
    """Mean absolute error on [-1, 1], as the training's README reports it."""
    error = 2 * (decoded - drawn[::4]).abs().mean().item()
    print(f"VAE error {error:.4f}")
    assert error < 0.04


def test_agreement_of_known_motions(drawn):
    moving = next(clip for clip in clips() if clip.motion == "line")
    forward, backward = render([moving])[0], render([reversed_clip(moving)])[0]
    assert motion_agreement(forward, forward) == pytest.approx(1)
    assert motion_agreement(backward, forward) == pytest.approx(-1, abs=0.01)
    still = forward[:1].expand_as(forward)
    assert motion_agreement(still, forward) == 0


def test_share_of_known_motions(drawn):
    """Half of a straight path, as fast, is half of its motion: agreement cannot tell."""
    moving = next(clip for clip in clips() if clip.motion == "line")
    start, end = (np.array(moving.path[i]) for i in (0, -1))
    half = replace(moving, path=tuple(map(tuple, np.linspace(start, (start + end) / 2, 25))))
    forward, backward, slow = render([moving, reversed_clip(moving), half])
    assert motion_share(forward, forward) == pytest.approx(1)
    assert motion_share(backward, forward) == pytest.approx(-1, abs=0.01)
    assert motion_share(slow, forward) == pytest.approx(0.5, abs=0.05)
    assert motion_agreement(slow, forward) > 0.98
    still = forward[:1].expand_as(forward)
    assert motion_share(still, forward) == motion_share(forward, still) == 0
