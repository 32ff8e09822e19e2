"""Fit a video to a length and a size."""

import logging
import math
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from ditflow.errors import DitflowError
from ditflow.video.reading import Footage

log = logging.getLogger(__name__)

Frames = TypeVar("Frames", np.ndarray, Footage)
"""Frames [T, height, width, 3], uint8, in memory or still to be read."""

FARTHEST = 8
"""Times a size that frames are resized to before they are cropped; longer ones are cropped first,
for a frame of 2x8000 that covers 480x720 has 480x1,920,000 pixels."""


def fitting_count(num_frames: int, ratio: int) -> int:
    """The largest `ratio`·k + 1 that is at most `num_frames`.

    Raises:
        DitflowError: too few for k = 1.

    Example:
        >>> fitting_count(24, ratio=4)
        21
    """
    if num_frames < 1 + ratio:
        raise DitflowError(f"num_frames={num_frames} is too few; give at least {1 + ratio}.")
    return (num_frames - 1) // ratio * ratio + 1


def fit_length(video: Frames, num_frames: int | None, ratio: int) -> Frames:
    """Cut a video to `ratio`·k + 1 frames, at most `num_frames`, and say so (24 → 21 for ratio 4).

    Raises:
        DitflowError: too few frames for k = 1.
    """
    if len(video) < 1 + ratio:
        raise DitflowError(
            f"the reference has {len(video)} frames to take, but at least {1 + ratio} are needed; "
            "give a longer video or a smaller stride."
        )
    most = len(video) if num_frames is None else min(num_frames, len(video))
    count = fitting_count(most, ratio)
    if count != len(video):
        log.info("Reference: %d frames cut to %d (%dk+1).", len(video), count, ratio)
    return video[:count]


def fit_size(video: Frames, height: int, width: int) -> torch.Tensor:
    """Resize and centre-crop to a size, keeping the aspect ratio.

    One frame at a time, so that those of a large video are never all in memory as floats.

    Returns:
        [T, 3, height, width], float32 in [0, 1].

    Example:
        >>> fit_size(np.zeros((5, 4, 8, 3), np.uint8), height=2, width=2).shape
        torch.Size([5, 3, 2, 2])
    """
    fitted = torch.empty(len(video), height, width, 3).permute(0, 3, 1, 2)  # as `as_tensor` has it
    for index, pixels in enumerate(video):
        frame: torch.Tensor = as_tensor(pixels[None])
        if tuple(frame.shape[-2:]) != (height, width):
            if index == 0:
                log.info(
                    "Reference: %dx%d resized to %dx%d and centre-cropped to %dx%d (height x "
                    "width).",
                    *(*frame.shape[-2:], *_covering(frame, height, width), height, width),
                )
            frame = resize_and_crop(frame, height, width)
        fitted[index] = frame[0]
    return fitted


def resize_and_crop(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Frames [T, C, ., .] in [0, 1], resized until they cover a size and centre-cropped to it.

    Example:
        >>> resize_and_crop(torch.zeros(1, 3, 4, 8), 2, 2).shape
        torch.Size([1, 3, 2, 2])
    """
    resized = _covering(frames, height, width)
    if resized[0] > FARTHEST * height or resized[1] > FARTHEST * width:
        frames = _of_proportions(frames, height, width)
        resized = _covering(frames, height, width)
    frames = F.interpolate(
        frames, size=resized, mode="bilinear", antialias=True, align_corners=False
    )
    top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
    return frames[..., top : top + height, left : left + width].clamp(0, 1)


def _of_proportions(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The middle of frames, of a size's proportions but for a part of a pixel."""
    own_height, own_width = frames.shape[-2:]
    kept_height = min(own_height, math.ceil(own_width * height / width))
    kept_width = min(own_width, math.ceil(own_height * width / height))
    top, left = (own_height - kept_height) // 2, (own_width - kept_width) // 2
    return frames[..., top : top + kept_height, left : left + kept_width]


def _covering(frames: torch.Tensor, height: int, width: int) -> tuple[int, int]:
    """The smallest size of the frames' own proportions that covers this one."""
    own_height, own_width = frames.shape[-2:]
    scale = max(height / own_height, width / own_width)
    return max(height, round(own_height * scale)), max(width, round(own_width * scale))


def as_tensor(video: np.ndarray) -> torch.Tensor:
    """Frames [T, height, width, 3], uint8, as [T, 3, height, width], float32 in [0, 1].

    Example:
        >>> as_tensor(np.full((1, 2, 2, 3), 255, np.uint8)).unique()
        tensor([1.])
    """
    return torch.from_numpy(np.ascontiguousarray(video)).permute(0, 3, 1, 2).float() / 255


def as_pixels(video: torch.Tensor) -> np.ndarray:
    """Frames [T, 3, height, width] in [0, 1] as [T, height, width, 3], uint8.

    Example:
        >>> as_pixels(torch.ones(1, 3, 2, 2)).shape
        (1, 2, 2, 3)
    """
    return (video.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
