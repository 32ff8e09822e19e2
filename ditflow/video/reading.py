"""Read a reference video or a folder of frames."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ditflow.errors import DitflowError
from ditflow.utils.files import missing
from ditflow.video.ffmpeg import Failed
from ditflow.video.file import Damaged, VideoFile, open_file
from ditflow.video.folder import MOST_PIXELS, frames_of_folder, images_of, read_frame
from ditflow.video.refusals import refusal, refusal_of_picture

log = logging.getLogger(__name__)

SAME_RATE = 1.05
"""Times that a rate may be another's and count as the same: to leave out a frame now and then
would show more."""


@dataclass(frozen=True)
class FrameRange:
    """Which frames to take: at most `count` from `start` on; None takes all.

    Every `stride`-th; without a stride, of a file that has more than `fps` frames a second, so many
    of them. With `resample` exactly `count`, spread evenly over all of these.
    """

    start: int = 0
    count: int | None = None
    stride: int | None = None
    resample: bool = False
    fps: float | None = None

    def __post_init__(self) -> None:
        for option, value, least in (("start", self.start, 0), ("stride", self.stride, 1)):
            if value is not None and value < least:
                raise DitflowError(f"{option}={value} must be at least {least}.")
        if self.count is not None and self.count < 1:
            raise DitflowError(f"num_frames={self.count} must be at least 1.")

    def indices(
        self, available: int, path: Path, name: str = "Reference", rate: float | None = None
    ) -> list[int]:
        """Frame numbers to read, said where they are not all.

        Args:
            available: how many there are.
            path, name: of what they are taken of, for messages.
            rate: frames a second; None of what has none, such as a folder.

        Raises:
            DitflowError: a start beyond the end.
        """
        if self.start >= available:
            raise DitflowError(
                f"start_frame={self.start} is beyond the {available} frames of {path}; "
                f"use 0 to {available - 1}."
            )
        step, rates = self._step(rate, name)
        # The nearest frame at even times.
        near = np.floor(np.arange(self.start, available, step) + 0.5).astype(int)
        chosen = near[near < available].tolist()
        if self.resample and self.count is not None:
            spread = np.linspace(0, len(chosen) - 1, self.count).round().astype(int)
            log.info("%s: %d frames resampled to %d%s.", name, len(chosen), self.count, rates)
            return [chosen[index] for index in spread]
        taken = chosen[: self.count]
        if len(taken) < available:
            log.info(
                "%s: %d of %d frames taken (from frame %d, every %.4g%s).",
                *(name, len(taken), available, self.start, step, rates),
            )
        return taken

    def _step(self, rate: float | None, name: str) -> tuple[float, str]:
        """Frames from one that is taken to the next, and what to say of rates."""
        if self.stride is not None or self.fps is None or rate is None:
            return self.stride or 1, ""
        if rate > SAME_RATE * self.fps:
            return rate / self.fps, f": {rate:.4g} to {self.fps:.4g} frames a second"
        if rate * SAME_RATE < self.fps:
            # Frames shown twice would be a motion that halts, which a fit would learn.
            log.info(
                "%s: its %.4g frames a second, fewer than %.4g, are all taken, so that the motion "
                "becomes %.3g times as fast; --fps %.4g keeps it.",
                *(name, rate, self.fps, self.fps / rate, rate),
            )
        return 1, ""


class DamagedFootage(DitflowError):
    """A frame to take that cannot be decoded.

    Attributes:
        number: of the first in its file that cannot.
        usable: how many of the frames to take come before it.
    """

    def __init__(self, said: str, number: int, usable: int):
        super().__init__(said)
        self.number, self.usable = number, usable


@dataclass(frozen=True)
class Footage:
    """Frames of a file or a folder, all of one size: [height, width, 3], uint8.

    They are read when they are asked for, one at a time.

    Attributes:
        path: of the file or folder.
        option: that the path was given by, for messages.
        numbers: which of its frames, as `start_frame` counts them.
        available: how many there are to choose from.
        height, width: of each, in pixels.
        file: None of a folder.
    """

    path: Path
    option: str
    numbers: list[int]
    available: int
    height: int
    width: int
    file: VideoFile | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, part: slice) -> "Footage":
        return replace(self, numbers=self.numbers[part])

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises:
        DamagedFootage: a frame is damaged.
        DitflowError: one of a folder is of another size.
        """
        if self.file is None:
            size = self.height, self.width
            yield from frames_of_folder(self.path, self.option, self.numbers, size)
            return
        even, _ = self.file.even
        wanted = [even[number] for number in self.numbers]
        try:
            yield from self.file.frames(wanted)
        except Damaged as error:
            usable = sum(number < error.number for number in wanted)
            raise DamagedFootage(
                f"{self.option}={self.path} is damaged from frame {error.number} on, before the "
                f"last of the {len(wanted)} frames to take; take at most {usable} by --num-frames, "
                "others by --start-frame, or encode it anew with ffmpeg.",
                error.number,
                usable,
            ) from error


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
    name = "Reference" if option == "video" else option.capitalize()
    if not path.exists():
        raise missing(option, path)
    file, rate = None, None
    if path.is_dir():
        images = images_of(path, option)
        available = len(images)
    else:
        file = _open(path, option)
        even, rate = file.even
        available = len(even)
        if available != len(file.times):
            log.info("%s: a variable frame rate, read as %d frames at even times.", name, available)
    numbers = frames.indices(available, path, name, rate)
    if len(numbers) < 2:
        raise DitflowError(
            f"{option}={path} has {len(numbers)} frame to take; motion needs at least 2, "
            "so give a longer video or a smaller start_frame or stride."
        )
    if file is None:
        height, width, _ = read_frame(images[numbers[0]], path, option).shape
    else:
        height, width = file.height, file.width
    return Footage(path, option, numbers, available, height, width, file)


def read_video(
    path: Path | str, frames: FrameRange = FrameRange(), option: str = "video"
) -> np.ndarray:
    """Frames [T, height, width, 3], uint8, of a video file or of a folder of images.

    Args and errors are those of `open_footage` and of reading its frames.
    """
    footage = open_footage(path, frames, option)
    video = np.empty((len(footage), footage.height, footage.width, 3), np.uint8)
    for index, frame in enumerate(footage):
        video[index] = frame
    return video


def frame_count(path: Path | str, option: str = "video") -> int:
    """How many frames `read_video` has to choose from.

    Raises:
        DitflowError: as `read_video`.
    """
    path = Path(path)
    return len(images_of(path, option) if path.is_dir() else _open(path, option).even[0])


def _open(path: Path, option: str) -> VideoFile:
    try:
        file = open_file(path)
    except Failed as error:
        raise DitflowError(f"{option}={path} {refusal(path, str(error))}") from error
    picture = refusal_of_picture(path) if len(file.times) == 1 else None
    if picture is not None:
        raise DitflowError(f"{option}={path} {picture}")
    if file.height * file.width > MOST_PIXELS:
        raise DitflowError(
            f"{option}={path} has frames of {file.height}x{file.width}, more than "
            f"{MOST_PIXELS} pixels; make it smaller, such as by ffmpeg -vf scale=1920:-2."
        )
    return file
