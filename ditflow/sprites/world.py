"""What a sprites clip is: its attributes, its caption, and the path its sprite follows.

A caption names shape, colour and background and never the motion, so that the motion of a
generated video can come from nowhere but its noise or a reference.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch

SIZE = 64
"""Height and width of a clip, in pixels."""
NUM_FRAMES = 25
"""Frames of a clip: 4k+1, seven latent frames."""
FPS = 8

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "orange": (1.00, 0.55, 0.05),
    "yellow": (0.98, 0.90, 0.15),
    "green": (0.15, 0.75, 0.20),
    "cyan": (0.10, 0.85, 0.90),
    "blue": (0.15, 0.35, 1.00),
    "purple": (0.55, 0.15, 0.80),
    "pink": (1.00, 0.50, 0.78),
}
BACKGROUNDS: dict[str, tuple[float, float, float]] = {
    "gray": (0.50, 0.50, 0.50),
    "black": (0.13, 0.13, 0.13),
    "white": (0.87, 0.87, 0.87),
    "brown": (0.42, 0.27, 0.16),
    "navy": (0.12, 0.14, 0.38),
    "teal": (0.10, 0.42, 0.42),
}
MOTIONS = {"line": 0.5, "arc": 0.25, "bend": 0.15, "still": 0.1}
"""Share of each kind of motion among random clips."""
RADII = (0.20, 0.30)
"""Range of the sprite's radius, as a fraction of the width."""


@dataclass(frozen=True)
class Clip:
    """One clip: everything `render` needs.

    Attributes:
        shape, color, background: names from `SHAPES`, `COLORS`, `BACKGROUNDS`.
        radius: of the sprite, in widths.
        path: `NUM_FRAMES` centres of the sprite as (column, row), in widths.
        texture_seed: seed of the background's static texture.
        motion: the kind of motion, a key of `MOTIONS`.
    """

    shape: str
    color: str
    background: str
    radius: float
    path: tuple[tuple[float, float], ...]
    texture_seed: int
    motion: str = "line"

    @property
    def caption(self) -> str:
        return caption(self.shape, self.color, self.background)

    def at(self, time: int) -> "Clip":
        """One frame of it, as a clip."""
        return replace(self, path=self.path[time : time + 1])


def caption(shape: str, color: str, background: str) -> str:
    """The prompt that describes these attributes."""
    return f"a {color} {shape} on a {background} background"


def captions() -> list[str]:
    """Every caption there is, shape by shape, then by colour and background."""
    return [caption(*names) for names in product(SHAPES, COLORS, BACKGROUNDS)]


def sample_clip(generator: torch.Generator, motion: str | None = None) -> Clip:
    """A random clip; `motion` fixes the kind of motion, otherwise drawn from `MOTIONS`."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    def choice(options: Sequence[str]) -> str:
        return options[int(torch.randint(len(options), (), generator=generator))]

    if motion is None:
        kinds = torch.tensor(list(MOTIONS.values()))
        motion = list(MOTIONS)[int(torch.multinomial(kinds, 1, generator=generator))]
    radius = uniform(*RADII)
    while True:
        path = _path(motion, uniform)
        if all(radius * 0.9 <= c <= 1 - radius * 0.9 for point in path for c in point):
            break
    return Clip(
        shape=choice(SHAPES),
        color=choice(list(COLORS)),
        background=choice(list(BACKGROUNDS)),
        radius=radius,
        path=tuple(path),
        texture_seed=int(torch.randint(2**31, (), generator=generator)),
        motion=motion,
    )


def _path(motion: str, uniform: Callable[[float, float], float]) -> list[tuple[float, float]]:
    """`NUM_FRAMES` centres of one kind of motion; it may leave the picture (the caller redraws)."""
    start = complex(uniform(0.1, 0.9), uniform(0.1, 0.9))
    heading = uniform(0, 2 * math.pi)
    length = uniform(0.25, 0.65)
    times = [i / (NUM_FRAMES - 1) for i in range(NUM_FRAMES)]

    def step(angle: float, distance: float) -> complex:
        return distance * complex(math.cos(angle), math.sin(angle))

    if motion == "still":
        points = [start for _ in times]
    elif motion == "line":
        points = [start + step(heading, length * t) for t in times]
    elif motion == "arc":
        turn = uniform(0.5, 1.5) * math.pi * (1 if uniform(0, 1) < 0.5 else -1)
        arc_radius = length / abs(turn) * 1.3
        centre = start - step(heading, arc_radius)
        points = [centre + step(heading + turn * t, arc_radius) for t in times]
    elif motion == "bend":
        corner, turn = uniform(0.35, 0.65), uniform(0.4, 1.0) * math.pi
        second = heading + turn * (1 if uniform(0, 1) < 0.5 else -1)
        points = [
            start
            + step(heading, length * min(t, corner))
            + step(second, length * max(t - corner, 0.0))
            for t in times
        ]
    else:
        raise ValueError(f"motion={motion!r} is unknown; use one of {', '.join(MOTIONS)}.")
    return [(p.real, p.imag) for p in points]
