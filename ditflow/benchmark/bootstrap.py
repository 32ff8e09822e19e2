"""Means with bootstrap intervals over videos."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 4000


class Interval(NamedTuple):
    """A mean with its 95 % interval, and how many videos it stands on."""

    mean: float
    low: float
    high: float
    videos: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: Mapping[str, Sequence[float]]) -> Interval:
    """The mean of each video's mean, and the percentile bootstrap over videos.

    Whole videos are drawn, with all their prompts and seeds: these are not independent of one
    another. The draws are the same every time.

    Args:
        values: scores by video.

    Raises:
        ValueError: no video.
    """
    if not values:
        raise ValueError("there is no value to average.")
    means = np.array([np.mean(values[video]) for video in sorted(values)])
    rows = np.random.default_rng(0).integers(len(means), size=(DRAWS, len(means)))
    low, high = np.percentile(means[rows].mean(1), [2.5, 97.5])
    return Interval(float(means.mean()), float(low), float(high), len(means))
