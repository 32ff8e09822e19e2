"""A reference as the model sees it, and the part of it that guides."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ditflow.backbones.base import Backbone, PassInput
from ditflow.backbones.images import check_image
from ditflow.errors import DitflowError
from ditflow.functional.token_mask import token_mask
from ditflow.utils.cache import cached_tensor
from ditflow.utils.hashing import hash_of_tensors
from ditflow.video.cropping import Crop
from ditflow.video.folder import read_still
from ditflow.video.in_memory import Frames, image_pixels, open_video_or_frames
from ditflow.video.masks import read_mask
from ditflow.video.reading import DamagedFootage, Footage, FrameRange
from ditflow.video.sizing import fit_length, fit_size, fitting_count, resize_and_crop

log = logging.getLogger(__name__)


class ReferenceVideo(NamedTuple):
    """A reference video at a backbone's size.

    Attributes:
        frames: [T, 3, height, width] in [0, 1], T = 4k+1.
        mask: [T, height, width] in [0, 1], 1 where the object is that guides; None for all of it.
        numbers: of the frames in the file, as `start_frame` counts them; None of no file.
        source: (height, width) that they had there; None of no file.
    """

    frames: torch.Tensor
    mask: torch.Tensor | None
    numbers: tuple[int, ...] | None = None
    source: tuple[int, int] | None = None


def read_reference(
    backbone: Backbone,
    video: Path | Frames | None,
    mask: Path | Frames | None = None,
    frames: FrameRange = FrameRange(),
    height: int | None = None,
    width: int | None = None,
    crop: Crop = Crop(),
) -> ReferenceVideo:
    """Read a reference and its mask, cut, resized and cropped to what a backbone takes.

    Args:
        backbone: what the reference is for.
        video: file, folder of frames, or frames in memory.
        mask: of the part that guides; see `read_mask`.
        frames: to take; at most what the backbone was trained on, unless they say a count, and as
            many a second, unless they say how many or a stride.
        height, width: in pixels; by default what the backbone was trained on.
        crop: how the frames come to that size; what is added to them does not guide.

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
    fps = frames.fps or backbone.fps
    frames = replace(frames, count=count if frames.resample else most, fps=fps)
    footage = fit_length(open_video_or_frames(video, frames), most, ratio)
    try:
        return _fitted(footage, mask, (height, width), crop)
    except DamagedFootage as error:
        if error.usable < 1 + ratio:
            raise
        said = "Reference: damaged from frame %d on: the %d frames to take before it are taken."
        log.warning(said, error.number, error.usable)
        before = fit_length(footage[: error.usable], most, ratio)
        return _fitted(before, mask, (height, width), crop)


def _fitted(
    footage: Footage, mask: Path | Frames | None, size: tuple[int, int], crop: Crop
) -> ReferenceVideo:
    """Footage with its mask, at a height and width."""
    source, fitted = (footage.height, footage.width), None
    crop.taken(*source, f"video={footage.path}")
    if mask is not None:
        fitted = read_mask(mask, footage, size, crop)
    elif crop.padded:
        inside = resize_and_crop(torch.ones(1, 1, *source), *size, crop)[0].round()
        fitted = None if inside.all() else inside.expand(len(footage), -1, -1)
    pixels = fit_size(footage, *size, crop)
    return ReferenceVideo(pixels, fitted, tuple(footage.numbers), source)


def reference_input(
    backbone: Backbone,
    latents: torch.Tensor,
    empty: torch.Tensor,
    condition: Any = None,
) -> PassInput:
    """The pass that reads a reference's motion: its clean latents at t = 0 with an empty prompt,
    encoded, and the stock ρ (Algorithm 1, line 2).

    Args:
        backbone: that reads it.
        latents: [1, F, C, h, w].
        empty: the prompt.
        condition: by the reference's own first frame, where generations are given an image.
    """
    return PassInput(latents, 0, empty, backbone.positions(tuple(latents.shape)), condition)


def read_image(
    backbone: Backbone, image: Path | Frames | None, height: int, width: int
) -> torch.Tensor | None:
    """The image that a backbone's videos begin with, resized and cropped to their size.

    Args:
        backbone: what the image is for.
        image: a picture's file, or in memory: [3, height, width] of floats in [0, 1] or
            [height, width, 3] of uint8.
        height, width: in pixels.

    Returns:
        [3, height, width] in [0, 1], or None where there is none.

    Raises:
        DitflowError: no picture, one that the backbone does not take, or none where it needs one.
    """
    check_image(backbone, image)
    if image is None:
        return None
    pixels = read_still(image) if isinstance(image, Path) else image_pixels(image)
    return fit_size(pixels, height, width, named="Image")[0]


def encode(backbone: Backbone, frames: torch.Tensor, cache: bool) -> torch.Tensor:
    """Frames [T, 3, height, width] in [0, 1] to latents [1, F, C, h, w].

    Args:
        backbone: its VAE encodes.
        frames: of the reference.
        cache: take the latents of the same frames and VAE from the cache, or keep them there.

    Raises:
        DitflowError: the VAE gave values that are not finite, as it may in float16.
    """
    if not cache:
        return _encode(backbone, frames)
    key = [hash_of_tensors(frames, length=64), backbone.encoder_identity()]
    latents = cached_tensor("references", key, lambda: _encode(backbone, frames))
    return latents.to(backbone.device)


def _encode(backbone: Backbone, frames: torch.Tensor) -> torch.Tensor:
    backbone.release()
    latents = backbone.encode_video(frames)
    backbone.release()
    expected = backbone.latent_shape(len(frames), *frames.shape[-2:])
    if tuple(latents.shape) != expected:
        raise DitflowError(
            f"{backbone.name} encodes {tuple(frames.shape)} as {tuple(latents.shape)}, but its "
            f"transformer takes {expected}; leave out what changes how its VAE works."
        )
    if not torch.isfinite(latents).all():
        raise DitflowError(
            "the reference's latents are not finite; use --dtype bfloat16 or --dtype float32."
        )
    return latents


def mask_on_tokens(
    backbone: Backbone, mask: torch.Tensor | None, latents: torch.Tensor
) -> torch.Tensor | None:
    """A reference's mask [T, height, width] on the tokens [F, S] of its latents [1, F', C, h, w],
    on their device; None stays None."""
    if mask is None:
        return None
    grid = backbone.token_grid(tuple(latents.shape))
    return token_mask(mask.to(latents.device), grid, latents.shape[1], backbone.temporal_ratio)
