"""The embedded tracker: pyramidal Lucas-Kanade optical flow by OpenCV."""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch

from ditflow.functional.tracks import Tracks
from ditflow.metrics.tracker import Tracker, diagonal, grid_points
from ditflow.video.sizing import as_pixels


class LucasKanade(Tracker):
    """Follows points from frame to frame, each step checked by tracking it back.

    A point that does not come back is unseen from there on, and stays where it was last seen.

    Args:
        window: side of the window compared, in pixels. Wide enough to reach from inside a flat
            region to its edge; then the background just outside is dragged along.
        tolerance: farthest from its start, in pixels, that a step tracked back may end.
    """

    name = "lucas-kanade"

    def __init__(self, window: int = 21, tolerance: float = 1.0):
        self.window, self.tolerance = window, tolerance

    def track(self, frames: torch.Tensor, grid: int) -> Tracks:
        # All three channels: a moving thing may differ from its background in colour alone.
        pixels = as_pixels(frames.cpu())
        pictures = [np.ascontiguousarray(picture) for picture in pixels]
        options: dict[str, Any] = {"winSize": (self.window, self.window), "maxLevel": 3}
        points = grid_points(frames, grid).numpy().astype(np.float32)
        visible = np.ones(len(points), dtype=bool)
        limits = np.array(pictures[0].shape[1::-1], dtype=np.float32) - 0.5
        tracks, seen = [points], [visible]
        for before, after in pairwise(pictures):
            moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **options)
            back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, None, **options)
            inside = ((moved >= -0.5) & (moved <= limits)).all(1)
            returned = np.linalg.norm(back - points, axis=1) <= self.tolerance
            visible = visible & (found[:, 0] > 0) & (found_back[:, 0] > 0) & returned & inside
            points = np.where(visible[:, None], moved, points)
            tracks.append(points)
            seen.append(visible)
        return Tracks(
            torch.from_numpy(np.stack(tracks, axis=1)),
            torch.from_numpy(np.stack(seen, axis=1)),
            diagonal(frames),
        )
