"""Pure tensor functions: no state, no I/O, nothing imported from the rest of ditflow."""

from ditflow.functional.features import (
    marginal_mean_loss,
    motion_channels,
    motion_feature,
    motion_feature_loss,
    spatial_marginal_mean,
)
from ditflow.functional.flow_loss import flow_loss, moving_patches
from ditflow.functional.motion_flow import motion_flow, patch_coordinates
from ditflow.functional.positions import rotary_table, sinusoidal_table
from ditflow.functional.tracks import (
    Tracks,
    frechet_distance,
    motion_fidelity,
    moving_tracks,
    released_fidelity,
    track_similarity,
    trajectory_error,
)

__all__ = [
    "Tracks",
    "flow_loss",
    "frechet_distance",
    "marginal_mean_loss",
    "motion_channels",
    "motion_feature",
    "motion_feature_loss",
    "motion_fidelity",
    "motion_flow",
    "moving_patches",
    "moving_tracks",
    "patch_coordinates",
    "released_fidelity",
    "rotary_table",
    "sinusoidal_table",
    "spatial_marginal_mean",
    "track_similarity",
    "trajectory_error",
]
