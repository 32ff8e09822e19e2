"""Read a reference video or a folder of frames."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ditflow.errors import DitflowError

log = logging.getLogger(__name__)

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
