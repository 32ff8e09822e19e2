"""Drawn reference clips for benchmarks, with exact scores on pixels beside the tracks'."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ditflow.benchmark.references import Reference, References
from ditflow.errors import DitflowError
from ditflow.sprites.measure import attributes, motion_agreement, motion_share
from ditflow.sprites.recipe.evaluate import HELD_OUT
from ditflow.sprites.render import render
from ditflow.sprites.world import BACKGROUNDS, COLORS, FPS, SHAPES, Clip, caption, sample_clip
from ditflow.video.writing import write_video


class SpritesReferences(References):
    """Random clips that move, the same for the same numbers, each with initial noise of its own.

    Args:
        count: how many.
        first_seed: of the clips; the default ones were never trained or tuned on.
    """

    def __init__(self, count: int = 24, first_seed: int = HELD_OUT + 1):
        if not 1 <= count <= 10_000:
            raise DitflowError(f"count={count} must be 1 to 10000.")
        if not 0 <= first_seed < 2**62:
            raise DitflowError(f"first_seed={first_seed} must be 0 or more, and below 2^62.")
        self.count, self.first_seed = count, first_seed

    def problems(self) -> list[str]:
        return []

    def videos(self, folder: Path) -> list[Reference]:
        made = []
        for seed in range(self.first_seed, self.first_seed + self.count):
            clip, prompts = clip_and_prompts(seed)
            path = folder / f"clip-{seed}.mp4"
            if not path.exists():
                write_video(render([clip])[0], path, FPS)
            noise = seed - self.first_seed
            made.append(Reference(name=f"clip-{seed}", video=path, stride=1, seed=noise, **prompts))
        return made

    def extra(self, video: torch.Tensor, reference: torch.Tensor, prompt: str) -> dict[str, float]:
        """Motion agreement and share, and whether shape, colour and background are right."""
        drawn = attributes(video)
        named = caption(drawn["shape"], drawn["color"], drawn["background"])
        return {
            "agreement": motion_agreement(video, reference),
            "share": motion_share(video, reference),
            "attributes": float(named == prompt),
        }


def clip_and_prompts(seed: int) -> tuple[Clip, dict[str, Any]]:
    """A clip that moves, and its three prompts.

    `caption` is the clip's own; `subject` has another shape and colour on its background; `scene`
    has all three different.
    """
    generator = torch.Generator().manual_seed(seed)
    clip = sample_clip(generator)
    while clip.motion == "still":
        clip = sample_clip(generator)

    def other(options: Iterable[str], own: str) -> str:
        rest = [name for name in options if name != own]
        return rest[int(torch.randint(len(rest), (), generator=generator))]

    subject = other(SHAPES, clip.shape), other(COLORS, clip.color)
    scene = other(SHAPES, clip.shape), other(COLORS, clip.color)
    return clip, {
        "caption": clip.caption,
        "subject": caption(*subject, clip.background),
        "scene": caption(*scene, other(BACKGROUNDS, clip.background)),
    }
