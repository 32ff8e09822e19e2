"""Where a reference changes its scene: no patch moves across a cut."""

import logging

import torch
import torch.nn.functional as F

log = logging.getLogger(__name__)


def scene_cuts(frames: torch.Tensor, size: int = 16, least: float = 0.1) -> list[int]:
    """Frames that begin another scene.

    A cut changes the picture at large, all at once: small pictures of neighbouring frames differ by
    more than `least`, and by several times of what they do elsewhere.

    Args:
        frames: [T, 3, height, width] in [0, 1].
        size: of the small pictures, pixels.
        least: mean absolute difference of a cut.
    """
    small = F.adaptive_avg_pool2d(frames, size)
    change = (small[1:] - small[:-1]).abs().mean(dim=(1, 2, 3))
    usual = change.median()
    return [
        index + 1 for index, value in enumerate(change.tolist()) if value > max(least, 4 * usual)
    ]


def describe_cuts(frames: torch.Tensor) -> str | None:
    """Where a reference [T, 3, height, width] changes its scene and what to do, if it does."""
    cuts = scene_cuts(frames)
    if not cuts:
        return None
    return (
        f"The reference seems to change its scene at frame {', '.join(map(str, cuts))} of "
        f"{len(frames)}; no motion leads across a cut, so choose frames of one scene by "
        "--start-frame and --num-frames."
    )


def warn_of_cuts(frames: torch.Tensor) -> None:
    """Say where a reference [T, 3, height, width] changes its scene, if it does."""
    said = describe_cuts(frames)
    if said is not None:
        log.warning(said)
