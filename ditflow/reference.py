"""A reference as the model sees it, and the part of it that guides."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from ditflow.backbones.cogvideox import CogVideoXBackbone
from ditflow.errors import DitflowError
from ditflow.masks import read_mask
from ditflow.reading import FrameRange, open_footage
from ditflow.video import fit_length, fit_size, fitting_count


class ReferenceVideo(NamedTuple):
    """A reference video at a backbone's size.

    Attributes:
        frames: [T, 3, height, width] in [0, 1], T = 4k+1.
        mask: [T, height, width] in [0, 1], 1 where the object is that guides; None for all of it.
        numbers: of the frames in the file, as `start_frame` counts them; None of no file.
    """

    frames: torch.Tensor
    mask: torch.Tensor | None
    numbers: tuple[int, ...] | None = None


def read_reference(
    backbone: CogVideoXBackbone,
    video: Path | None,
    mask: Path | None = None,
    frames: FrameRange = FrameRange(),
    height: int | None = None,
    width: int | None = None,
) -> ReferenceVideo:
    """Read a reference and its mask, cut, resized and cropped to what a backbone takes.

    Args:
        backbone: what the reference is for.
        video: file or folder of frames.
        mask: of the part that guides; see `read_mask`.
        frames: to take; at most what the backbone was trained on, unless they say a count.
        height, width: in pixels; by default what the backbone was trained on.

    Raises:
        DitflowError: no video, one that cannot be read, or a size or mask that does not fit.
    """
    if video is None:
        raise DitflowError("video is not given; use --video with a file or a frames folder.")
    most, own_height, own_width = backbone.default_size()
    height, width = height or own_height, width or own_width
    backbone.check_size(most, height, width)
    most, ratio = frames.count or most, backbone.temporal_ratio
    # Resampling hits a fitting count at once; cutting says what was asked for and kept.
    count = fitting_count(most, ratio)
    frames = replace(frames, count=count if frames.resample else most)
    footage = fit_length(open_footage(video, frames), most, ratio)
    fitted = None
    if mask is not None:
        source = len(footage), footage.height, footage.width
        fitted = read_mask(mask, video, frames, source, (height, width))
    return ReferenceVideo(fit_size(footage, height, width), fitted, tuple(footage.numbers))
