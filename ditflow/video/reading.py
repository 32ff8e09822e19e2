"""Read a reference video or a folder of frames."""

import logging
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ditflow.errors import DitflowError
from ditflow.video.decoding import decoded, evenly_timed, open_video
from ditflow.video.probing import Probed, probe

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

MOST_PIXELS = 2**25
"""Of a frame, height times width: 8K has 33,177,600."""

AT_ONCE = 2**29
"""Bytes of frames that are decoded before they are made use of, such as 21 frames of 4K."""


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


@dataclass(frozen=True)
class Footage:
    """Frames of a file or a folder, all of one size: [height, width, 3], uint8.

    They are read when they are asked for, a few at a time.

    Attributes:
        path: of the file or folder.
        option: that the path was given by, for messages.
        numbers: which of its frames, as `start_frame` counts them.
        height, width: of each, in pixels.
    """

    path: Path
    option: str
    numbers: list[int]
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, part: slice) -> "Footage":
        return replace(self, numbers=self.numbers[part])

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises:
        DitflowError: a frame is damaged, or of another size.
        """
        if self.path.is_dir():
            yield from _of_folder(self)
            return
        # Decord decodes ahead, without end, of whoever takes its time over frames: these are
        # taken as fast as they come, and of large ones the decoder is stopped in between.
        few = max(1, AT_ONCE // (3 * self.height * self.width))
        for first in range(0, len(self), few):
            yield from list(_of_file(self[first : first + few]))


def open_footage(
    path: Path | str, frames: FrameRange = FrameRange(), option: str = "video"
) -> Footage:
    """Chosen frames of a video file or of a folder of images, none of them read yet.

    Args:
        path: of the file or folder.
        frames: which of them.
        option: that the path was given by, for messages.

    Raises:
        DitflowError: no such file, no readable video stream, frames that are not there, a single
            one, or larger ones than `MOST_PIXELS`.
    """
    path = Path(path)
    if not path.exists():
        raise DitflowError(f"{option}={path} does not exist; give a video file or a frames folder.")
    if path.is_dir():
        images = _images(path, option)
        numbers = frames.indices(len(images), path, _name(option))
        height, width, _ = _image(images[numbers[0]], path, option).shape
    else:
        probed = _probe(path, option)
        if probed.even != probed.frames:
            log.info(
                "%s: a variable frame rate, read as %d frames at even times.",
                *(_name(option), probed.even),
            )
        numbers = frames.indices(probed.even, path, _name(option))
        height, width = probed.height, probed.width
    if len(numbers) < 2:
        raise DitflowError(
            f"{option}={path} has {len(numbers)} frame to take; motion needs at least 2, "
            "so give a longer video or a smaller start_frame or stride."
        )
    return Footage(path, option, numbers, height, width)


def read_video(
    path: Path | str, frames: FrameRange = FrameRange(), option: str = "video"
) -> np.ndarray:
    """Frames [T, height, width, 3], uint8, of a video file or of a folder of images.

    Args and errors are those of `open_footage` and of reading its frames.
    """
    path = Path(path)
    footage = open_footage(path, frames, option)
    video = np.empty((len(footage), footage.height, footage.width, 3), np.uint8)
    for index, frame in enumerate((_of_folder if path.is_dir() else _of_file)(footage)):
        video[index] = frame
    return video


def frame_count(path: Path | str, option: str = "video") -> int:
    """How many frames `read_video` has to choose from.

    Raises:
        DitflowError: as `read_video`.
    """
    path = Path(path)
    return len(_images(path, option)) if path.is_dir() else _probe(path, option).even


def _of_folder(footage: Footage) -> Iterator[np.ndarray]:
    images = _images(footage.path, footage.option)
    for number in footage.numbers:
        picture = _image(images[number], footage.path, footage.option)
        if picture.shape != (footage.height, footage.width, 3):
            raise DitflowError(
                f"{footage.option}={footage.path}: {images[number].name} differs in size from "
                f"{images[footage.numbers[0]].name}; frames must all be of one size."
            )
        yield picture


def _image(image: Path, path: Path, option: str) -> np.ndarray:
    try:
        return read_picture(image, "RGB")
    except ValueError as error:
        raise DitflowError(
            f"{option}={path}: {image.name} is not an image, or far too large a one."
        ) from error


def read_picture(path: Path, mode: str) -> np.ndarray:
    """The pixels of a picture, upright, in Pillow's mode `RGB` or `RGBA`.

    Raises:
        ValueError: it is none, damaged, larger than `MOST_PIXELS`, or of numbers without a range.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(f"{opened.height}x{opened.width}")
            kind, image = opened.format, ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16") or (image.mode, kind) == ("I", "PNG"):
                # Pillow would cut these 16 bits off at 255; of colours it takes the upper 8.
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                raise ValueError(image.mode)
            return np.array(image.convert(mode))  # writable, as torch wants it
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


def _probe(path: Path, option: str) -> Probed:
    try:
        probed = probe(path)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_video(path, option) from error
    if probed is None:
        raise _damaged(path, option)
    if probed.height * probed.width > MOST_PIXELS:
        raise DitflowError(
            f"{option}={path} has frames of {probed.height}x{probed.width}, more than "
            f"{MOST_PIXELS} pixels; make it smaller, such as by ffmpeg -vf scale=1920:-2."
        )
    return probed


def _of_file(footage: Footage) -> Iterator[np.ndarray]:
    with _unreadable(footage.path, footage.option):
        reader = open_video(footage.path)
        even = evenly_timed(reader)
    for number in footage.numbers:
        with _unreadable(footage.path, footage.option):
            frame = decoded(reader, even[number])
        if frame.shape != (footage.height, footage.width, 3):
            raise _damaged(footage.path, footage.option)
        yield frame


@contextmanager
def _unreadable(path: Path, option: str) -> Iterator[None]:
    """Context in which a file that cannot be read as a video is refused."""
    import decord
    from decord._ffi.base import DECORDLimitReachedError

    try:
        yield
    except DECORDLimitReachedError as error:
        raise _damaged(path, option) from error
    except (decord.DECORDError, AssertionError, LookupError, RuntimeError, OSError) as error:
        raise _no_video(path, option) from error


def _damaged(path: Path, option: str) -> DitflowError:
    return DitflowError(
        f"{option}={path} has frames that cannot be decoded (damaged, or of another size than "
        "those before them); encode it anew with ffmpeg, or give a folder of frames."
    )


def _no_video(path: Path, option: str) -> DitflowError:
    return DitflowError(
        f"{option}={path} has no readable video stream; give an mp4, mov, webm or gif file, "
        "or a folder of frames."
    )
