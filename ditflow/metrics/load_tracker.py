"""Trackers by name."""

from typing import Literal

from ditflow.metrics.cotracker import CoTracker3
from ditflow.metrics.lucas_kanade import LucasKanade
from ditflow.metrics.tracker import Tracker

TrackerName = Literal["lucas-kanade", "cotracker3"]


def load_tracker(name: TrackerName = "lucas-kanade") -> Tracker:
    """A tracker, ready to use.

    Args:
        name: `lucas-kanade` (embedded) or `cotracker3` (the paper's, downloaded on first use).

    Raises:
        DitflowError: it cannot be had.
    """
    return LucasKanade() if name == "lucas-kanade" else CoTracker3()
