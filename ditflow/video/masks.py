"""Read a mask: which part of the reference is to guide."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ditflow.errors import DitflowError
from ditflow.utils.files import missing
from ditflow.video.cropping import Crop
from ditflow.video.folder import IMAGE_SUFFIXES, read_picture
from ditflow.video.in_memory import Frames, count_frames, mask_pixels, open_video_or_frames
from ditflow.video.reading import Footage
from ditflow.video.sizing import resize_and_crop

OBJECT = 64
"""A pixel with a channel brighter than this, of 255, is the object's: white, but also the colours
of DAVIS annotations; what compression leaves of black is not."""


def read_mask(
    mask: Path | Frames, reference: Footage, size: tuple[int, int], crop: Crop = Crop()
) -> torch.Tensor:
    """A mask of a reference, cut, resized and cropped exactly as the reference is.

    Args:
        mask: one image for all frames, or a video or folder with one for each of the reference's;
            or either in memory.
        reference: the frames that are taken of it.
        size: (height, width) that it is fitted to.
        crop: how.

    Returns:
        [T, height, width], float32 in [0, 1], 1 where the object is.

    Raises:
        DitflowError: no such file, not a mask of this reference, or one that leaves nothing.
    """
    if isinstance(mask, Path) and not mask.exists():
        raise missing("mask", mask)
    path = mask if isinstance(mask, Path) else "the mask given"
    still = _still_image(mask)
    if still is not None:
        covered: Iterable[np.ndarray] = still
        height, width = still.shape[1:]
    else:
        count = count_frames(mask, "mask")
        if count != reference.available:
            raise DitflowError(
                f"mask={path} has {count} frames, but video={reference.path} has "
                f"{reference.available}; give a mask with a frame for each, or one image for all."
            )
        footage = replace(open_video_or_frames(mask, option="mask"), numbers=reference.numbers)
        height, width = footage.height, footage.width
        covered = (frame.max(-1) > OBJECT for frame in footage)
    own = reference.height, reference.width
    # Another resolution is no harm; other proportions are another picture.
    if abs(height * own[1] - width * own[0]) > max(height, width, *own):
        raise DitflowError(
            f"mask={path} is {height}x{width}, but video={reference.path} is {own[0]}x{own[1]} "
            "(height x width); give a mask of the reference's size or proportions."
        )
    crop = crop.scaled(height / own[0], width / own[1])
    fitted = [
        resize_and_crop(torch.from_numpy(frame)[None, None].float(), *size, crop)
        for frame in covered
    ]
    whole = torch.cat(fitted)[:, 0]
    if not whole.any():
        raise DitflowError(
            f"mask={path} leaves nothing of the reference as the model sees it; the object must "
            "be white and the rest black, and inside the crop and the frames taken."
        )
    return whole.expand(len(reference), -1, -1)


def _still_image(mask: Path | Frames) -> np.ndarray | None:
    """[1, height, width] of bool, of one for all frames; None of one for each."""
    if not isinstance(mask, Path):
        pixels = mask_pixels(mask)
        return pixels.max(-1) > OBJECT if len(pixels) == 1 else None
    if mask.is_file() and mask.suffix.lower() in IMAGE_SUFFIXES:
        return _read_image(mask)
    return None


def _read_image(path: Path) -> np.ndarray:
    """[1, height, width] of bool; what is transparent is not the object's."""
    try:
        pixels = read_picture(path, "RGBA")
    except ValueError as error:
        raise DitflowError(f"mask={path} is not an image, or far too large a one.") from error
    return ((pixels[..., :3].max(-1) > OBJECT) & (pixels[..., 3] > 127))[None]
