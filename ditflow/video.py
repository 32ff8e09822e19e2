"""Read a reference video or a folder of frames, fit it to a size, and write videos."""

import errno
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ditflow.errors import DitflowError
from ditflow.files import whole

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".gif", ".mkv", ".avi", ".m4v")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True)
class FrameRange:
    """Which frames to take: at most `count` from `start`, every `stride`-th; None takes all.

    With `resample` exactly `count`, spread evenly over all of these.
    """

    start: int = 0
    count: int | None = None
    stride: int = 1
    resample: bool = False

    def __post_init__(self) -> None:
        for option, value, least in (("start", self.start, 0), ("stride", self.stride, 1)):
            if value < least:
                raise DitflowError(f"{option}={value} must be at least {least}.")
        if self.count is not None and self.count < 1:
            raise DitflowError(f"num_frames={self.count} must be at least 1.")

    def indices(self, available: int, path: Path) -> list[int]:
        """Frame numbers to read, said where they are not all; a start beyond the end is refused."""
        chosen = list(range(self.start, available, self.stride))
        if not chosen:
            raise DitflowError(
                f"start_frame={self.start} is beyond the {available} frames of {path}; "
                f"use 0 to {available - 1}."
            )
        if self.resample and self.count is not None:
            spread = np.linspace(0, len(chosen) - 1, self.count).round().astype(int)
            log.info("Reference: %d frames resampled to %d.", len(chosen), self.count)
            return [chosen[index] for index in spread]
        taken = chosen[: self.count]
        if len(taken) < available:
            log.info(
                "Reference: %d of %d frames taken (from frame %d, every %d).",
                *(len(taken), available, self.start, self.stride),
            )
        return taken


def read_video(path: Path | str, frames: FrameRange = FrameRange()) -> np.ndarray:
    """Frames [T, height, width, 3], uint8, of a video file or of a folder of images.

    Raises:
        DitflowError: no such file, no readable video stream, or frames that are not there.
    """
    path = Path(path)
    if not path.exists():
        raise DitflowError(f"video={path} does not exist; give a video file or a frames folder.")
    video = _read_folder(path, frames) if path.is_dir() else _read_file(path, frames)
    if len(video) < 2:
        raise DitflowError(
            f"video={path} has {len(video)} frame to take; motion needs at least 2, "
            "so give a longer video or a smaller start_frame or stride."
        )
    return video


def _read_folder(path: Path, frames: FrameRange) -> np.ndarray:
    images = sorted(
        (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."),
        key=_natural,
    )
    if not images:
        raise DitflowError(f"video={path} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    pictures = []
    for index in frames.indices(len(images), path):
        try:
            pictures.append(np.asarray(Image.open(images[index]).convert("RGB")))
        except (OSError, Image.DecompressionBombError) as error:
            raise DitflowError(
                f"video={path}: {images[index].name} is not an image, or far too large a one."
            ) from error
        if pictures[-1].shape != pictures[0].shape:
            raise DitflowError(
                f"video={path}: {images[index].name} differs in size from {images[0].name}; "
                "frames must all be of one size."
            )
    return np.stack(pictures)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


def _read_file(path: Path, frames: FrameRange) -> np.ndarray:
    import decord  # loads native libraries: only where a file is read

    unreadable = DitflowError(
        f"video={path} has no readable video stream; give an mp4, mov, webm or gif file, "
        "or a folder of frames."
    )
    if path.stat().st_size == 0:
        raise unreadable
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        available = len(reader)
    except (decord.DECORDError, RuntimeError, OSError) as error:
        raise unreadable from error
    if available == 0:
        raise unreadable
    try:
        even = _evenly_timed(reader)
        chosen = [even[index] for index in frames.indices(len(even), path)]
        return np.stack([_frame(reader, index) for index in chosen])
    except (decord.DECORDError, RuntimeError) as error:
        raise unreadable from error


def _evenly_timed(reader) -> list[int]:
    """Frame numbers at even times: of a variable rate, such as a phone's, some come twice."""
    count = len(reader)
    starts = reader.get_frame_timestamp(list(range(count)))[:, 0]
    steps = np.diff(starts)
    if count < 3 or not (steps > 0).all():
        return list(range(count))
    step = np.percentile(steps, 10)  # not the shortest, which may be a slip
    times = np.arange(starts[0], starts[-1] + step / 2, step)
    if steps.max() < 1.5 * step or len(times) > 10 * count:  # steady, or no camera's
        return list(range(count))
    log.info("Reference: a variable frame rate, read as %d frames at even times.", len(times))
    # The frame that is shown at each time, with some room for how times were rounded.
    return (np.searchsorted(starts, times + step / 4, side="right") - 1).tolist()


def _frame(reader, index: int) -> np.ndarray:
    """One frame [height, width, 3]; decord takes the padding of some widths (48, 96) for a fourth
    channel."""
    frame = reader[index].asnumpy()
    height, width, channels = frame.shape
    if channels == 4:
        frame = frame.reshape(height, width * 4)[:, : width * 3].reshape(height, width, 3)
    return frame


def fitting_count(num_frames: int, ratio: int) -> int:
    """The largest `ratio`·k + 1 that is at most `num_frames`.

    Raises:
        DitflowError: too few for k = 1.
    """
    if num_frames < 1 + ratio:
        raise DitflowError(f"num_frames={num_frames} is too few; give at least {1 + ratio}.")
    return (num_frames - 1) // ratio * ratio + 1


def fit_length(video: np.ndarray, num_frames: int | None, ratio: int) -> np.ndarray:
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


def fit_size(video: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Resize and centre-crop to a size, keeping the aspect ratio.

    Returns:
        [T, 3, height, width], float32 in [0, 1].
    """
    frames = as_tensor(video)
    own_height, own_width = frames.shape[-2:]
    if (own_height, own_width) == (height, width):
        return frames
    scale = max(height / own_height, width / own_width)
    resized = max(height, round(own_height * scale)), max(width, round(own_width * scale))
    frames = F.interpolate(
        frames, size=resized, mode="bilinear", antialias=True, align_corners=False
    )
    top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
    log.info(
        "Reference: %dx%d resized to %dx%d and centre-cropped to %dx%d (height x width).",
        *(own_height, own_width, *resized, height, width),
    )
    return frames[..., top : top + height, left : left + width].clamp(0, 1)


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
    pixels = (torch.cat(rows, dim=1).clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
