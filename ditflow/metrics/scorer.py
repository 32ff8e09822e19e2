"""Score a generated video against its reference and its prompt."""

import logging
from collections.abc import Hashable

import torch

from ditflow.errors import DitflowError
from ditflow.functional.tracks import Tracks, motion_fidelity
from ditflow.metrics import (
    Look,
    MotionFidelity,
    PromptAdherence,
    TemporalConsistency,
    TrackerName,
    TrajectoryError,
    load_clip,
    load_tracker,
)

log = logging.getLogger(__name__)

HEADINGS = {
    "mf": "MF",
    "mf_released": "MF (released)",
    "trajectory_error": "trajectory error",
    "iq": "IQ",
    "temporal_consistency": "temporal consistency",
    "moving": "moving tracks",
    "reference_moving": "moving tracks, reference",
}
"""What each score is called in tables."""


class Scorer:
    """All metrics of one video at a time.

    Args:
        tracker: its name; values of different trackers do not compare.
        clip: its name, see `load_clip`; values of different models do not compare.
        grid: tracks start on a `grid` × `grid` division of the first frame; 55 is the paper's.
    """

    def __init__(
        self, tracker: TrackerName = "lucas-kanade", clip: str = "sprites-clip", grid: int = 55
    ):
        if grid < 2:
            raise DitflowError(f"grid={grid} must be at least 2.")
        self.tracker, self.clip = load_tracker(tracker), load_clip(clip)
        self.grid = grid
        self._tracked: dict[Hashable, Tracks] = {}
        self._told: set[str] = set()
        """Prompts of which it has been said what CLIP does not heed."""

    def score(
        self,
        video: torch.Tensor,
        reference: torch.Tensor,
        prompt: str,
        reference_name: Hashable = None,
    ) -> dict[str, float]:
        """Scores by the names of `HEADINGS`.

        Args:
            video: [T, 3, height, width] in [0, 1].
            reference: [T, 3, height, width] in [0, 1].
            prompt: of the video.
            reference_name: where given, the reference is tracked once for a name.
        """
        if prompt not in self._told:
            self._told.add(prompt)
            for warning in self.clip.unheeded(prompt):
                log.warning(warning)
        theirs = self._tracked.get(reference_name)
        if theirs is None:
            theirs = self.tracker.track(reference, self.grid)
            if reference_name is not None:
                self._tracked[reference_name] = theirs
        ours = self.tracker.track(video, self.grid)
        fidelity = motion_fidelity(ours, theirs)
        scores = {
            "moving": fidelity.moving.item(),
            "reference_moving": fidelity.reference_moving.item(),
        }
        for name, metric, arguments in (
            ("mf", MotionFidelity(), (ours, theirs)),
            ("mf_released", MotionFidelity(released=True), (ours, theirs)),
            ("trajectory_error", TrajectoryError(), (ours, theirs)),
            ("iq", PromptAdherence(self.clip), (video, prompt)),
            ("temporal_consistency", TemporalConsistency(self.clip), (video,)),
        ):
            metric.update(*arguments)
            scores[name] = metric.compute().item()
        return {name: scores[name] for name in HEADINGS}

    def look(self, video: torch.Tensor, caption: str) -> float:
        """How much a video [T, 3, height, width] in [0, 1] looks as a reference's caption says."""
        metric = Look(self.clip)
        metric.update(video, caption)
        return metric.compute().item()

    def names(self) -> dict[str, str | int]:
        """What every report has to say of how it was measured."""
        return {"tracker": self.tracker.name, "clip": self.clip.name, "grid": self.grid}
