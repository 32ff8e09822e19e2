"""Where a reference changes its scene: no patch moves across a cut."""

import logging
from collections.abc import Sequence

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

    Example:
        >>> frames = torch.cat([torch.zeros(4, 3, 32, 32), torch.ones(4, 3, 32, 32)])
        >>> scene_cuts(frames)
        [4]
    """
    small = F.adaptive_avg_pool2d(frames, size)
    change = (small[1:] - small[:-1]).abs().mean(dim=(1, 2, 3))
    usual = change.median()
    return [
        index + 1 for index, value in enumerate(change.tolist()) if value > max(least, 4 * usual)
    ]


def describe_cuts(frames: torch.Tensor, numbers: Sequence[int] | None = None) -> str | None:
    """Where a reference changes its scene and what to do, if it does.

    Args:
        frames: [T, 3, height, width] in [0, 1].
        numbers: of the frames in their file, which options count by; by default from 0 on.
    """
    cuts = scene_cuts(frames)
    if not cuts:
        return None
    named = cuts if numbers is None else [numbers[cut] for cut in cuts]
    return (
        f"The reference seems to change its scene at frame {', '.join(map(str, named))}, counted "
        "from 0; no motion leads across a cut, so choose frames of one scene by --start-frame and "
        "--num-frames."
    )


def warn_of_cuts(frames: torch.Tensor, numbers: Sequence[int] | None = None) -> None:
    """Say where a reference changes its scene, if it does; see `describe_cuts`."""
    said = describe_cuts(frames, numbers)
    if said is not None:
        log.warning(said)
