"""Draw sprites clips: signed distances give antialiased shapes over a textured background."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from ditflow.sprites.world import BACKGROUNDS, COLORS, SIZE, Clip

TEXTURE = 0.12
"""Amplitude of the background's texture. Without one, attention has nothing in the background
to hold on to, and most of the reference's motion flow is noise."""
SHADING = 0.12
"""Brightness from the sprite's middle to its top: tells the sprite's own patches apart."""


def render(clips: Sequence[Clip], size: int = SIZE) -> torch.Tensor:
    """Frames of clips of one length.

    Returns:
        [len(clips), frames, 3, size, size], float32 in [0, 1].
    """
    centres = torch.tensor([clip.path for clip in clips])  # [B, T, 2]
    radius = torch.tensor([clip.radius for clip in clips])[:, None, None, None]
    pixels = (torch.arange(size) + 0.5) / size
    # Position of each pixel relative to the sprite, in radii: [B, T, size, size].
    u = (pixels[None, None, None, :] - centres[:, :, 0, None, None]) / radius
    v = (pixels[None, None, :, None] - centres[:, :, 1, None, None]) / radius
    distance = torch.stack([SIGNED_DISTANCE[c.shape](u[b], v[b]) for b, c in enumerate(clips)])
    coverage = (0.5 - distance * radius * size).clamp(0, 1)[:, :, None]

    sprite = torch.tensor([COLORS[clip.color] for clip in clips])[:, None, :, None, None]
    sprite = sprite - SHADING * v.clamp(-1, 1)[:, :, None]
    ground = torch.tensor([BACKGROUNDS[clip.background] for clip in clips])[:, None, :, None, None]
    ground = (
        ground + torch.stack([texture(clip.texture_seed, size) for clip in clips])[:, None, None]
    )
    return (coverage * sprite + (1 - coverage) * ground).clamp(0, 1)


def texture(seed: int, size: int = SIZE) -> torch.Tensor:
    """A smooth random brightness field [size, size] within ±`TEXTURE`, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 1, 8, 8, generator=generator)
    field = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)[0, 0]
    return (TEXTURE * field / 1.2).clamp(-TEXTURE, TEXTURE)


def _box(u: torch.Tensor, v: torch.Tensor, half_u: float, half_v: float) -> torch.Tensor:
    return torch.maximum(u.abs() - half_u, v.abs() - half_v)


def _triangle(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    # Point up, inscribed in the unit circle and lowered a little to look centred.
    v = v - 0.15
    return torch.maximum(v - 0.6, 0.866 * u.abs() - 0.5 * v - 0.6)


SIGNED_DISTANCE: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "circle": lambda u, v: torch.hypot(u, v) - 0.95,
    "square": lambda u, v: _box(u, v, 0.85, 0.85),
    "triangle": _triangle,
    "diamond": lambda u, v: (u.abs() + v.abs() - 1.1) * 0.707,
    "cross": lambda u, v: torch.minimum(_box(u, v, 1.0, 0.33), _box(u, v, 0.33, 1.0)),
    "ring": lambda u, v: (torch.hypot(u, v) - 0.72).abs() - 0.28,
}
"""Signed distance of each shape's outline at (u, v), in radii; negative inside."""
