"""Metrics of generated videos: torchmetrics classes over pure functions, and point trackers."""

from ditflow.metrics.clip import Clip, load_clip
from ditflow.metrics.cotracker import CoTracker3
from ditflow.metrics.load_tracker import TrackerName, load_tracker
from ditflow.metrics.look import Look
from ditflow.metrics.lucas_kanade import LucasKanade
from ditflow.metrics.motion_fidelity import MotionFidelity
from ditflow.metrics.prompt_adherence import PromptAdherence
from ditflow.metrics.temporal_consistency import TemporalConsistency
from ditflow.metrics.tracker import Tracker
from ditflow.metrics.trajectory_error import TrajectoryError

__all__ = [
    "Clip",
    "CoTracker3",
    "Look",
    "LucasKanade",
    "MotionFidelity",
    "PromptAdherence",
    "TemporalConsistency",
    "Tracker",
    "TrackerName",
    "TrajectoryError",
    "load_clip",
    "load_tracker",
]
