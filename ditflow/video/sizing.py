"""Fit a video to a length and a size."""

import logging
import math
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from ditflow.errors import DitflowError
from ditflow.video.cropping import NOTICED, Crop
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
            "give a longer video, or a smaller stride, such as --stride 1."
        )
    most = len(video) if num_frames is None else min(num_frames, len(video))
    count = fitting_count(most, ratio)
    if count != len(video):
        log.info("Reference: %d frames cut to %d (%dk+1).", len(video), count, ratio)
    return video[:count]


def fit_size(
    video: Frames, height: int, width: int, crop: Crop = Crop(), named: str = "Reference"
) -> torch.Tensor:
    """Bring frames to a size, keeping the aspect ratio; see `resize_and_crop`.

    One frame at a time, so that those of a large video are never all in memory as floats. What
    becomes of them is said, with what they are `named`.

    Returns:
        [T, 3, height, width], float32 in [0, 1].

    Example:
        >>> fit_size(np.zeros((5, 4, 8, 3), np.uint8), height=2, width=2).shape
        torch.Size([5, 3, 2, 2])
    """
    fitted = torch.empty(len(video), height, width, 3).permute(0, 3, 1, 2)  # as `as_tensor` has it
    for index, pixels in enumerate(video):
        frame: torch.Tensor = as_tensor(pixels[None])
        if crop.box is not None or tuple(frame.shape[-2:]) != (height, width):
            if index == 0:
                _say_fit(frame, height, width, crop, named)
            frame = resize_and_crop(frame, height, width, crop)
        fitted[index] = frame[0]
    return fitted


def _say_fit(frame: torch.Tensor, height: int, width: int, crop: Crop, named: str) -> None:
    """Say what becomes of frames like this one, and warn where much of them is lost."""
    own_height, own_width = frame.shape[-2:]
    box = crop.kept((own_height, own_width), (height, width))
    lost = 1 - box.width * box.height / (own_height * own_width)
    said = f"{named}: {own_height}x{own_width} fitted to {height}x{width} (height x width), "
    if crop.padded:
        log.info("%snone of it cut off, and black added, which does not guide.", said)
    elif crop.box is None and lost > NOTICED:
        other = "choose another part by --crop x,y,w,h, or all of it by --crop none"
        if named != "Reference":
            other = "give one of the video's proportions"
        log.warning(
            "%s%.0f%% of it cut off at the sides: it keeps %s; %s.", said, 100 * lost, box, other
        )
    else:
        log.info("%sof which %s (x,y,w,h) is kept.", said, box)


def resize_and_crop(
    frames: torch.Tensor, height: int, width: int, crop: Crop = Crop()
) -> torch.Tensor:
    """Frames [T, C, ., .] in [0, 1], resized until they cover a size and centre-cropped to it; of a
    crop with a box the part in it, of one that pads until they fit, with zeros around them.

    Raises:
        DitflowError: the crop's box is not inside of them.

    Example:
        >>> resize_and_crop(torch.zeros(1, 3, 4, 8), 2, 2).shape
        torch.Size([1, 3, 2, 2])
    """
    own_height, own_width = frames.shape[-2:]
    left, top, own_width, own_height = crop.taken(own_height, own_width, "the video")
    frames = frames[..., top : top + own_height, left : left + own_width]
    if crop.padded:
        scale = min(height / own_height, width / own_width)
        resized = max(1, round(own_height * scale)), max(1, round(own_width * scale))
    else:
        resized = _covering(frames, height, width)
        if resized[0] > FARTHEST * height or resized[1] > FARTHEST * width:
            frames = _of_proportions(frames, height, width)
            resized = _covering(frames, height, width)
    frames = F.interpolate(
        frames, size=resized, mode="bilinear", antialias=True, align_corners=False
    )
    top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
    # Where there is less than the size, these are negative: zeros are added, not pixels taken away.
    sides = -left, width - resized[1] + left, -top, height - resized[0] + top
    return F.pad(frames, sides).clamp(0, 1)


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
