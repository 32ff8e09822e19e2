"""Frames and masks in memory, taken as those of a file are."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ditflow.errors import DitflowError
from ditflow.video.reading import Footage, FrameRange, frame_count, open_footage
from ditflow.video.sizing import as_pixels

Frames = torch.Tensor | np.ndarray
"""Of a video, a tensor [T, 3, height, width] of floats in [0, 1] or an array [T, height, width, 3]
of uint8; of an image, the same without T; of a mask, [T, height, width] or [height, width] of
bools, floats in [0, 1] or uint8."""

SLACK = 1e-3
"""How far a float may lie outside of [0, 1]: resizing goes a little beyond."""


@dataclass(frozen=True)
class FramesInMemory(Footage):
    """Footage that is there already.

    Attributes:
        pixels: all frames, [T, height, width, 3], uint8.
    """

    pixels: np.ndarray = field(kw_only=True, repr=False, compare=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        for number in self.numbers:
            yield self.pixels[number]


def open_video_or_frames(
    video: Path | str | Frames, frames: FrameRange = FrameRange(), option: str = "video"
) -> Footage:
    """Chosen frames of a file, a folder, or what is in memory; see `open_footage`.

    Raises:
        DitflowError: as `open_footage`, and for what is no video.
    """
    if isinstance(video, Path | str):
        return open_footage(video, frames, option)
    pixels = video_pixels(video) if option == "video" else mask_pixels(video)
    named = Path("the frames given" if option == "video" else f"the {option} given")
    numbers = frames.indices(len(pixels), named)
    if len(numbers) < 2:
        raise DitflowError(
            f"{option}={named} has {len(numbers)} frame to take; motion needs at least 2, "
            "so give a longer video or a smaller start_frame or stride."
        )
    height, width = pixels.shape[1:3]
    return FramesInMemory(named, option, numbers, len(pixels), height, width, pixels=pixels)


def count_frames(video: Path | str | Frames, option: str = "video") -> int:
    """How many frames there are to choose from."""
    return frame_count(video, option) if isinstance(video, Path | str) else len(video)


def video_pixels(video: Frames) -> np.ndarray:
    """A video in memory as [T, height, width, 3], uint8: what a file of it would hold.

    Raises:
        DitflowError: another shape or type, or floats outside of [0, 1].
    """
    size = tuple(getattr(video, "shape", ()))
    if isinstance(video, np.ndarray):
        if video.dtype == np.uint8 and len(size) == 4 and size[3] == 3 and video.size:
            return np.array(video)  # writable, as torch wants it
    elif isinstance(video, torch.Tensor) and len(size) == 4 and size[1] == 3 and _in_range(video):
        return as_pixels(video.detach().float().cpu())
    raise DitflowError(
        f"video: {_described(video)} is no video; give a tensor [T, 3, height, width] of floats in "
        "[0, 1], an array [T, height, width, 3] of uint8, or a path."
    )


def mask_pixels(mask: Frames) -> np.ndarray:
    """A mask in memory as [T, height, width, 3], uint8; T is 1 of one for all frames.

    Raises:
        DitflowError: another shape or type, or floats outside of [0, 1].
    """
    values = torch.from_numpy(mask) if isinstance(mask, np.ndarray) else mask
    if isinstance(values, torch.Tensor) and values.dim() in (2, 3) and values.numel():
        if values.dtype == torch.bool:
            values = values.float()
        if _in_range(values):
            values = (values.detach().clamp(0, 1) * 255).round().byte()
        if values.dtype == torch.uint8:
            values = values.cpu() if values.dim() == 3 else values.cpu()[None]
            return values[..., None].expand(-1, -1, -1, 3).numpy()
    raise DitflowError(
        f"mask: {_described(mask)} is no mask; give [T, height, width] or [height, width] of "
        "bools or of floats in [0, 1], or a path."
    )


def image_pixels(image: Frames) -> np.ndarray:
    """An image in memory as a video of one frame: [1, height, width, 3], uint8.

    Raises:
        DitflowError: another shape or type, or floats outside of [0, 1].
    """
    try:
        return video_pixels(image[None])
    except (DitflowError, IndexError, TypeError) as error:
        raise DitflowError(
            f"image: {_described(image)} is no image; give a tensor [3, height, width] of floats "
            "in [0, 1], an array [height, width, 3] of uint8, or a path."
        ) from error


def _in_range(values: torch.Tensor) -> bool:
    """Whether they are floats, all of them finite and in [0, 1]."""
    if not values.is_floating_point() or values.numel() == 0:
        return False
    return bool(((values >= -SLACK) & (values <= 1 + SLACK)).all())


def _described(value: object) -> str:
    if not isinstance(value, torch.Tensor | np.ndarray):
        return f"a {type(value).__name__}"
    kind = str(value.dtype).removeprefix("torch.")
    text = f"what has the shape {tuple(value.shape)} and is of {kind}"
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
        text += f", from {value.min().item():g} to {value.max().item():g},"
    return text
