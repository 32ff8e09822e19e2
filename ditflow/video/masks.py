"""Read a mask: which part of the reference is to guide."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from ditflow.errors import DitflowError
from ditflow.video.reading import (
    IMAGE_SUFFIXES,
    FrameRange,
    frame_count,
    open_footage,
    read_picture,
)
from ditflow.video.sizing import resize_and_crop

OBJECT = 64
"""A pixel with a channel brighter than this, of 255, is the object's: white, but also the colours
of DAVIS annotations; what compression leaves of black is not."""


def read_mask(
    path: Path, video: Path, frames: FrameRange, source: tuple[int, int, int], size: tuple[int, int]
) -> torch.Tensor:
    """A mask of a reference, cut, resized and cropped exactly as the reference was.

    Args:
        path: one image for all frames, or a video or folder with one for each of the reference's.
        video: the reference's file or folder.
        frames: taken from the reference.
        source: (frames, height, width) of the reference as it was read, cut but not resized.
        size: (height, width) that it was fitted to.

    Returns:
        [T, height, width], float32 in [0, 1], 1 where the object is.

    Raises:
        DitflowError: no such file, not a mask of this reference, or one that leaves nothing.
    """
    if not path.exists():
        raise DitflowError(
            f"mask={path} does not exist; give an image, a video or a frames folder."
        )
    length, *own = source
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        covered: Iterable[np.ndarray] = (image := _read_image(path))
        height, width = image.shape[1:]
    else:
        counts = frame_count(path, "mask"), frame_count(video)
        if counts[0] != counts[1]:
            raise DitflowError(
                f"mask={path} has {counts[0]} frames, but video={video} has {counts[1]}; give a "
                "mask with a frame for each, or one image for all."
            )
        footage = open_footage(path, frames, "mask")[:length]
        height, width = footage.height, footage.width
        covered = (frame.max(-1) > OBJECT for frame in footage)
    # Another resolution is no harm; other proportions are another picture.
    if abs(height * own[1] - width * own[0]) > max(height, width, *own):
        raise DitflowError(
            f"mask={path} is {height}x{width}, but video={video} is {own[0]}x{own[1]} (height x "
            "width); give a mask of the reference's size or proportions."
        )
    fitted = [
        resize_and_crop(torch.from_numpy(frame)[None, None].float(), *size) for frame in covered
    ]
    mask = torch.cat(fitted)[:, 0]
    if not mask.any():
        raise DitflowError(
            f"mask={path} leaves nothing of the reference as the model sees it; the object must "
            "be white and the rest black, and inside the centre crop and the frames taken."
        )
    return mask.expand(length, -1, -1)


def _read_image(path: Path) -> np.ndarray:
    """[1, height, width] of bool; what is transparent is not the object's."""
    try:
        pixels = read_picture(path, "RGBA")
    except ValueError as error:
        raise DitflowError(f"mask={path} is not an image, or far too large a one.") from error
    return ((pixels[..., :3].max(-1) > OBJECT) & (pixels[..., 3] > 127))[None]
