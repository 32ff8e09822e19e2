"""A video file: which frames it has and when, and their pixels."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ditflow.video.ffmpeg import Failed, output_of, pieces_of

INDEXED = ("mov", "matroska")
"""Containers that can be sought in by time, and are listed without decoding."""

SEVERAL = ("vp8", "mpeg4")
"""Codecs in which a packet may show no frame, or hold two."""

FIRST = 16
"""Frames that are decoded to see whether an index tells the truth."""

FRAMES = ("-fps_mode", "passthrough", "-pix_fmt", "rgb24")

# Of frames: by default ffmpeg rounds their times to whole frames of the mean rate.
TIMES = (*FRAMES, "-enc_time_base", "1:1000000", "-f", "framecrc")

CLOSE = 1e-4
"""Seconds between two times that are the same but for rounding."""


class Damaged(OSError):
    """A frame that cannot be decoded, the first of them."""

    def __init__(self, number: int):
        super().__init__(f"frame {number}")
        self.number = number


@dataclass(frozen=True, eq=False)
class VideoFile:
    """Frames of a file, known by when they are shown.

    Attributes:
        path: of the file.
        times: of each frame, seconds, ascending.
        height, width: of the first frame, upright, in pixels; ffmpeg scales others to it.
        sought: whether the container can be sought in by time.
        whole: how many frames from the first are, as far as is known, undamaged.
    """

    path: Path
    times: np.ndarray
    height: int
    width: int
    sought: bool
    whole: int

    @cached_property
    def even(self) -> tuple[list[int], float | None]:
        """Frame numbers at even times, and how many there are in a second."""
        return evenly_timed(self.times)

    def frames(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames [height, width, 3], uint8, by ascending numbers; one may come several times.

        Raises:
            Damaged: one of them, or one between them, is not there.
        """
        first, last = numbers[0], numbers[-1]
        if last >= self.whole:
            raise Damaged(self.whole)
        before, chosen = self._from(first, last)
        after = ["-vf", chosen, "-frames:v", str(last - first + 1), *FRAMES, "-f", "rawvideo"]
        shape = self.height, self.width, 3
        pieces = pieces_of(self.path, before, after, math.prod(shape))
        left = iter(numbers)
        number = next(left)
        for place, piece in enumerate(pieces, first):
            while number == place:
                yield np.frombuffer(bytearray(piece), np.uint8).reshape(shape)
                following = next(left, None)
                if following is None:
                    return
                number = following
        raise Damaged(self._missing(first, last))

    def _from(self, first: int, last: int) -> tuple[list[str], str]:
        """Options before the input and the filter that have ffmpeg give these frames alone."""
        times = self.times
        if (np.diff(times) <= 0).any():  # told apart by their order alone
            return [], f"select='between(n,{first},{last})'"
        begin = times[0] - 1 if first == 0 else times[first - 1 : first + 1].mean()
        end = times[-1] + 1 if last == len(times) - 1 else times[last : last + 2].mean()
        chosen = f"select='between(t,{begin:.6f},{end:.6f})'"
        ahead = times[first] - times[0] - 1
        if not self.sought or ahead < 1:
            return [], chosen
        # ffmpeg counts from where the file begins, which is no later than its first frame.
        before = ["-ss", f"{ahead:.6f}"]
        try:
            landed = _list(self.path, before, ["-vf", chosen, "-frames:v", "1", *TIMES]).times[0]
        except Failed:
            return [], chosen
        return (before if abs(landed - times[first]) < CLOSE else []), chosen

    def _missing(self, first: int, last: int) -> int:
        """The first of these frames that cannot be decoded."""
        before, chosen = self._from(first, last)
        try:
            there = _list(self.path, before, ["-vf", chosen, *TIMES]).times
        except Failed:
            return first
        return first + _agreeing(self.times[first : last + 1], there)


def open_file(path: Path) -> VideoFile:
    """A file with at least one frame.

    Raises:
        Failed: it has none that can be decoded; the text is what ffmpeg printed.
    """
    begun = _list(path, ["-v", "info"], ["-frames:v", str(FIRST), *TIMES])
    size = begun.height, begun.width
    container = re.search(r"^Input #0, (\w+)", begun.printed, re.MULTILINE)
    codec = re.search(r"^ +Stream #.*?: Video: (\w+)", begun.printed, re.MULTILINE)
    indexed = container is not None and container[1] in INDEXED
    told = None
    if indexed and codec is not None and codec[1] not in SEVERAL:
        told = np.sort(_list(path, [], ["-c", "copy", "-f", "framecrc"]).times)
        told = told[told > begun.times[0] - CLOSE]  # those before it wait for a key frame
        first = min(FIRST, len(told))
        if (np.diff(told) > CLOSE).all() and _agreeing(told[:first], begun.times) == first:
            return VideoFile(path, told, *size, indexed, len(told))
    listed = _list(path, [], TIMES)
    if told is None or not listed.printed:  # an index that is wrong of a file that is whole
        return VideoFile(path, listed.times, *size, indexed, len(listed.times))
    return VideoFile(path, told, *size, indexed, _agreeing(told, listed.times))


def evenly_timed(times: np.ndarray) -> tuple[list[int], float | None]:
    """Frame numbers at even times, of a variable rate some of them twice, and how many of these
    there are in a second; None where times say nothing of it.

    Args:
        times: of each frame, seconds.

    Example:
        >>> evenly_timed(np.array([0.0, 0.1, 0.2, 0.4, 0.5]))[0]
        [0, 1, 2, 2, 3, 4]
    """
    count = len(times)
    steps = np.diff(times)
    if count < 3 or not (steps > 0).all():
        return list(range(count)), None
    step = np.percentile(steps, 10)  # not the shortest, which may be a slip
    camera = (times[-1] - times[0]) / step <= 10 * count
    if steps.max() < 1.5 * step or not camera:
        return list(range(count)), float((count - 1) / (times[-1] - times[0]))
    grid = np.arange(times[0], times[-1] + step / 2, step)
    # The frame that is shown at each time, with some room for how times were rounded.
    numbers = np.searchsorted(times, grid + step / 4, side="right") - 1
    return numbers.tolist(), float(1 / step)


class _Listed(NamedTuple):
    """What ffmpeg lists of a stream: times of frames or packets in seconds, as they come."""

    times: np.ndarray
    height: int
    width: int
    printed: str


def _list(path: Path, before: Sequence[str], after: Sequence[str]) -> _Listed:
    """Raises:
    Failed: there is nothing.
    """
    written, printed = output_of(path, ["-v", "error", *before], after)
    base = re.search(r"^#tb 0: (\d+)/(\d+)$", written, re.MULTILINE)
    size = re.search(r"^#dimensions 0: (\d+)x(\d+)$", written, re.MULTILINE)
    # Stream, decoding time, time, ..., flags; those marked 4 are not to be shown.
    lines = re.findall(r"^0, *-?\d+, *(-?\d+),.*?(?:F=0x(\w+))?$", written, re.MULTILINE)
    shown = [int(time) for time, flags in lines if not int(flags or "0", 16) & 4]
    if base is None or size is None or not shown:
        raise Failed(printed)
    times = np.array(shown) * int(base[1]) / int(base[2])
    return _Listed(times, int(size[2]), int(size[1]), printed)


def _agreeing(told: np.ndarray, there: np.ndarray) -> int:
    """How many times that were told, from the first, are there."""
    wrong = np.array([np.abs(there - time).min() > CLOSE for time in told])
    return int(wrong.argmax()) if wrong.any() else len(told)
