"""Shared fixtures: the shipped sprites pipelines, tiny untrained ones, and a reference clip."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)

from ditflow import load_backbone
from ditflow.backbones import CogVideoXBackbone
from ditflow.sprites.recipe.models import SCHEDULE, build_text_encoder, build_tokenizer
from ditflow.sprites.render import render
from ditflow.sprites.world import Clip
from ditflow.video.writing import write_video

pytest.register_assert_rewrite("tests.backbones.conformance")

SPRITES = ("sprites-rope", "sprites-sincos")

collect_ignore = ["speed", "mutation.py"]
"""Scripts that are run by hand."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's cache is read or written, by subprocesses neither."""
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.getbasetemp()
        # One for all of pytest-xdist's processes, which have folders of their own inside of it.
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        patch.setenv("DITFLOW_CACHE", str(shared / "cache"))
        yield


def straight_clip(frames: int = 25) -> Clip:
    """A red circle that crosses the picture from left to right."""
    path = tuple((0.25 + 0.5 * t / (frames - 1), 0.45) for t in range(frames))
    return Clip("circle", "red", "gray", 0.2, path, texture_seed=3)


def reversed_clip(clip: Clip) -> Clip:
    """The same clip played backwards."""
    return replace(clip, path=clip.path[::-1])


def tiny_pipeline(kind: str) -> CogVideoXPipeline:
    """An untrained pipeline of the real classes, shaped as `2b`, `5b` or `1.5`, or as the
    image-to-video models `5b-i2v` and `1.5-i2v`."""
    torch.manual_seed(0)
    kind, _, with_image = kind.partition("-")
    tokenizer = build_tokenizer()
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8 if with_image else 4,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=64,
        num_layers=3,
        # 1.5 slices its positions from a table of its own size, so it takes nothing larger.
        sample_width=24 if kind == "1.5" else 8,
        sample_height=24 if kind == "1.5" else 8,
        sample_frames=9,
        patch_size=2,
        patch_size_t=2 if kind == "1.5" else None,
        patch_bias=kind != "1.5",
        max_text_seq_length=8,
        use_rotary_positional_embeddings=kind != "2b",
        use_learned_positional_embeddings=bool(with_image) and kind == "5b",
        ofs_embed_dim=8 if with_image and kind == "1.5" else None,
    )
    # The modulations start at zero in the class, which would hide positions and text.
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        block_out_channels=(8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
        sample_height=32,
        sample_width=32,
        invert_scale_latents=kind == "1.5",
    )
    scheduler = CogVideoXDDIMScheduler if kind == "2b" else CogVideoXDPMScheduler
    made = CogVideoXImageToVideoPipeline if with_image else CogVideoXPipeline
    pipeline = made(
        tokenizer=tokenizer,
        text_encoder=build_text_encoder(len(tokenizer)).eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=scheduler(**SCHEDULE),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(params=["2b", "5b", "1.5"])
def tiny(request: pytest.FixtureRequest) -> CogVideoXBackbone:
    return CogVideoXBackbone(tiny_pipeline(request.param), request.param)


@pytest.fixture(scope="session", params=SPRITES)
def sprites(request: pytest.FixtureRequest) -> CogVideoXBackbone:
    return load_backbone(request.param)


@pytest.fixture(scope="session")
def rope() -> CogVideoXBackbone:
    return load_backbone("sprites-rope")


@pytest.fixture(scope="session")
def reference_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "reference.mp4"
    write_video(render([straight_clip()])[0], path)
    return path
