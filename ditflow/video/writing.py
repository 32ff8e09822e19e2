"""Fit a video to a length and a size, put videos side by side, and write them."""

import errno
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import imageio.v3 as iio
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ditflow.errors import DitflowError
from ditflow.files import whole
from ditflow.reading import Footage

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
    """
    fitted = torch.empty(len(video), height, width, 3).permute(0, 3, 1, 2)  # as `as_tensor` has it
    for index, pixels in enumerate(video):
        frame = as_tensor(pixels[None])
        own = frame.shape[-2:]
        if index == 0 and own != (height, width):
            log.info(
                "Reference: %dx%d resized to %dx%d and centre-cropped to %dx%d (height x width).",
                *(*own, *_covering(frame, height, width), height, width),
            )
        fitted[index] = (
            frame[0] if own == (height, width) else resize_and_crop(frame, height, width)[0]
        )
    return fitted


def resize_and_crop(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Frames [T, C, ., .] in [0, 1], resized until they cover a size and centre-cropped to it."""
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
    """Frames [T, height, width, 3], uint8, as [T, 3, height, width], float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(video)).permute(0, 3, 1, 2).float() / 255


def side_by_side(videos: Sequence[torch.Tensor], gap: int = 4) -> torch.Tensor:
    """Videos [T, 3, height, width] in a row, cut to the shortest, scaled to the first's height."""
    length = min(len(video) for video in videos)
    height = videos[0].shape[-2]
    columns: list[torch.Tensor] = []
    for video in videos:
        video = video[:length]
        if video.shape[-2] != height:
            width = round(video.shape[-1] * height / video.shape[-2])
            video = F.interpolate(video, size=(height, width), mode="bilinear", antialias=True)
        if columns:
            columns.append(torch.ones(length, 3, height, gap))
        columns.append(video)
    return torch.cat(columns, dim=-1)


def grid(videos: Sequence[torch.Tensor], columns: int = 5, gap: int = 4) -> torch.Tensor:
    """Videos [T, 3, height, width] in rows of so many, cut to the shortest."""
    length = min(len(video) for video in videos)
    rows = [
        side_by_side([video[:length] for video in videos[first : first + columns]], gap)
        for first in range(0, len(videos), columns)
    ]
    width = max(row.shape[-1] for row in rows)
    rows = [F.pad(row, (0, width - row.shape[-1], 0, gap), value=1.0) for row in rows]
    return torch.cat(rows, dim=-2)[..., :-gap, :]


def write_video(video: torch.Tensor, path: Path, fps: float = 8) -> None:
    """Write [T, 3, height, width] in [0, 1] as H.264 mp4 or as gif, whole or not at all.

    Raises:
        DitflowError: the disk is full or does not take it.
    """
    pixels = _pixels(video)
    with whole(path) as partial:
        if path.suffix == ".gif":
            partial.write_bytes(encode_gif(video, fps))
        else:
            # H.264 in yuv420p halves the colour resolution and takes even sizes only.
            pad = [(0, 0), *((0, size % 2) for size in pixels.shape[1:3]), (0, 0)]
            iio.imwrite(
                partial,
                np.pad(pixels, pad, mode="edge"),
                plugin="FFMPEG",
                fps=fps,
                codec="libx264",
                macro_block_size=1,
                output_params=["-crf", "12"],
                ffmpeg_log_level="error",
            )
            _check_written(partial, len(pixels))


def _check_written(path: Path, frames: int) -> None:
    """Raise `OSError` where ffmpeg left less than it was given, as on a full disk: it says nothing.
    The index of an mp4 is its end."""
    import decord

    try:
        written = len(decord.VideoReader(str(path)))
    except (decord.DECORDError, RuntimeError):
        written = 0
    if written != frames:
        raise OSError(errno.ENOSPC, f"{written} of {frames} frames written; the disk may be full")


def encode_gif(video: torch.Tensor, fps: float = 8) -> bytes:
    """[T, 3, height, width] in [0, 1] as an endless gif."""
    return iio.imwrite("<bytes>", _pixels(video), extension=".gif", duration=1000 / fps, loop=0)


def _pixels(video: torch.Tensor) -> np.ndarray:
    return (video.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def contact_sheet(videos: Sequence[torch.Tensor], columns: int = 7) -> Image.Image:
    """One row a video, `columns` of its frames evenly spaced, at the first video's size."""
    height, width = videos[0].shape[-2:]
    rows = []
    for video in videos:
        if video.shape[-2:] != (height, width):
            video = F.interpolate(video, size=(height, width), mode="bilinear", antialias=True)
        picked = video[torch.linspace(0, len(video) - 1, columns).round().long()]
        rows.append(F.pad(picked, (1, 1, 1, 1), value=1.0).permute(1, 2, 0, 3).flatten(2))
    return as_image(torch.cat(rows, dim=1))


def as_image(picture: torch.Tensor) -> Image.Image:
    """A picture [3, height, width] in [0, 1]."""
    return Image.fromarray(_pixels(picture[None])[0])
