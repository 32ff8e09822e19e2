"""Write videos, whole or not at all."""

import errno
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch

from ditflow.utils.files import atomic_write
from ditflow.video.ffmpeg import Failed
from ditflow.video.file import open_file
from ditflow.video.sizing import as_pixels


def write_video(video: torch.Tensor, path: Path, fps: float = 8) -> None:
    """Write [T, 3, height, width] in [0, 1] as H.264 mp4 or as gif, whole or not at all.

    Raises:
        DitflowError: the disk is full or does not take it.
    """
    pixels = as_pixels(video)
    with atomic_write(path) as partial:
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
    try:
        written = len(open_file(path).times)
    except Failed:
        written = 0
    if written != frames:
        raise OSError(errno.ENOSPC, f"{written} of {frames} frames written; the disk may be full")


def encode_gif(video: torch.Tensor, fps: float = 8) -> bytes:
    """[T, 3, height, width] in [0, 1] as an endless gif."""
    return iio.imwrite("<bytes>", as_pixels(video), extension=".gif", duration=1000 / fps, loop=0)
