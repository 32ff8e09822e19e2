"""Read a reference video or a folder of frames."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ditflow.errors import DitflowError
from ditflow.mp4_boxes import claimed_frames

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

    def indices(self, available: int, path: Path, name: str = "Reference") -> list[int]:
        """Frame numbers to read, said where they are not all; a start beyond the end is refused."""
        chosen = list(range(self.start, available, self.stride))
        if not chosen:
            raise DitflowError(
                f"start_frame={self.start} is beyond the {available} frames of {path}; "
                f"use 0 to {available - 1}."
            )
        if self.resample and self.count is not None:
            spread = np.linspace(0, len(chosen) - 1, self.count).round().astype(int)
            log.info("%s: %d frames resampled to %d.", name, len(chosen), self.count)
            return [chosen[index] for index in spread]
        taken = chosen[: self.count]
        if len(taken) < available:
            log.info(
                "%s: %d of %d frames taken (from frame %d, every %d).",
                *(name, len(taken), available, self.start, self.stride),
            )
        return taken


def read_video(
    path: Path | str, frames: FrameRange = FrameRange(), option: str = "video"
) -> np.ndarray:
    """Frames [T, height, width, 3], uint8, of a video file or of a folder of images.

    Args:
        path: of the file or folder.
        frames: which of them.
        option: that the path was given by, for messages.

    Raises:
        DitflowError: no such file, no readable video stream, or frames that are not there.
    """
    path = Path(path)
    if not path.exists():
        raise DitflowError(f"{option}={path} does not exist; give a video file or a frames folder.")
    video = (_read_folder if path.is_dir() else _read_file)(path, frames, option)
    if len(video) < 2:
        raise DitflowError(
            f"{option}={path} has {len(video)} frame to take; motion needs at least 2, "
            "so give a longer video or a smaller start_frame or stride."
        )
    return video


def frame_count(path: Path | str, option: str = "video") -> int:
    """How many frames `read_video` has to choose from.

    Raises:
        DitflowError: as `read_video`.
    """
    path = Path(path)
    if path.is_dir():
        return len(_images(path, option))
    with _unreadable(path, option):
        return len(_evenly_timed(_reader(path)))


def _read_folder(path: Path, frames: FrameRange, option: str) -> np.ndarray:
    images = _images(path, option)
    pictures = []
    for index in frames.indices(len(images), path, _name(option)):
        try:
            pictures.append(read_picture(images[index], "RGB"))
        except ValueError as error:
            raise DitflowError(
                f"{option}={path}: {images[index].name} is not an image, or far too large a one."
            ) from error
        if pictures[-1].shape != pictures[0].shape:
            raise DitflowError(
                f"{option}={path}: {images[index].name} differs in size from {images[0].name}; "
                "frames must all be of one size."
            )
    return np.stack(pictures)


def read_picture(path: Path, mode: str) -> np.ndarray:
    """The pixels of a picture, in Pillow's mode `RGB` or `RGBA`.

    Raises:
        ValueError: it is none, damaged, or far too large.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode))
    except Exception as error:  # over damaged data decoders raise what they like: SyntaxError, ...
        raise ValueError(f"{path} is no picture") from error


def _images(path: Path, option: str) -> list[Path]:
    images = sorted(
        (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."),
        key=_natural,
    )
    if not images:
        raise DitflowError(f"{option}={path} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return images


def _name(option: str) -> str:
    """What a path is called when something is said of it."""
    return "Reference" if option == "video" else option.capitalize()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


def _read_file(path: Path, frames: FrameRange, option: str) -> np.ndarray:
    with _unreadable(path, option):
        reader = _reader(path)
        even = _evenly_timed(reader)
        if len(even) != len(reader):
            log.info(
                "%s: a variable frame rate, read as %d frames at even times.",
                *(_name(option), len(even)),
            )
        chosen = [even[index] for index in frames.indices(len(even), path, _name(option))]
        return np.stack([_unpadded(reader[index].asnumpy()) for index in chosen])


def _reader(path: Path):
    """decord's reader of a file with at least one frame."""
    import decord  # loads native libraries: only where a file is read

    size = path.stat().st_size
    if size == 0:
        raise OSError("an empty file")
    if claimed_frames(path) > size:
        raise OSError("more frames than bytes")
    # In the place of a frame that it cannot decode, as after a change of size, decord gives memory
    # that nothing was written to; with the least of tolerances it raises.
    reader = decord.VideoReader(str(path), num_threads=1, fault_tol=1e-9)
    if len(reader) == 0:
        raise OSError("no frames")
    return reader


@contextmanager
def _unreadable(path: Path, option: str) -> Iterator[None]:
    """Context in which a file that cannot be read as a video is refused."""
    import decord
    from decord._ffi.base import DECORDLimitReachedError

    try:
        yield
    except DECORDLimitReachedError as error:
        raise DitflowError(
            f"{option}={path} has frames that cannot be decoded (damaged, or of another size than "
            "those before them); encode it anew with ffmpeg, or give a folder of frames."
        ) from error
    except (decord.DECORDError, AssertionError, RuntimeError, OSError) as error:
        raise DitflowError(
            f"{option}={path} has no readable video stream; give an mp4, mov, webm or gif file, "
            "or a folder of frames."
        ) from error


def _evenly_timed(reader) -> list[int]:
    """Frame numbers at even times: of a variable rate, such as a phone's, some come twice."""
    count = len(reader)
    try:
        starts = reader.get_frame_timestamp(list(range(count)))[:, 0]
    except IndexError as error:
        raise OSError("frames without times") from error
    steps = np.diff(starts)
    if count < 3 or not (steps > 0).all():
        return list(range(count))
    step = np.percentile(steps, 10)  # not the shortest, which may be a slip
    times = np.arange(starts[0], starts[-1] + step / 2, step)
    if steps.max() < 1.5 * step or len(times) > 10 * count:  # steady, or no camera's
        return list(range(count))
    # The frame that is shown at each time, with some room for how times were rounded.
    return (np.searchsorted(starts, times + step / 4, side="right") - 1).tolist()


def _unpadded(frame: np.ndarray) -> np.ndarray:
    """One frame [height, width, 3]; where rows are padded to a multiple of the width (of 48 and 96
    pixels, on some machines of 16 and 32), decord takes the padding for further channels."""
    height, width, channels = frame.shape
    if channels > 3:
        rows = frame.reshape(height, width * channels)
        frame = rows[:, : width * 3].reshape(height, width, 3)
    return frame
