"""Pure tensor functions: no state, no I/O, nothing imported from the rest of ditflow."""

from ditflow.functional.attention_confidence import attention_confidence
from ditflow.functional.attention_tiles import patch_coordinates
from ditflow.functional.features import (
    marginal_mean_loss,
    motion_channels,
    motion_feature,
    motion_feature_loss,
    spatial_marginal_mean,
)
from ditflow.functional.flow_loss import flow_loss, moving_patches
from ditflow.functional.frame_distances import clean_prediction_loss, frame_distances, steadied
from ditflow.functional.motion_flow import motion_flow
from ditflow.functional.nearest_neighbor import nearest_neighbor_flow
from ditflow.functional.positional_tables import rotary_table, sinusoidal_table
from ditflow.functional.token_mask import over_frames, token_mask
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
    "attention_confidence",
    "clean_prediction_loss",
    "flow_loss",
    "frame_distances",
    "frechet_distance",
    "marginal_mean_loss",
    "motion_channels",
    "motion_feature",
    "motion_feature_loss",
    "motion_fidelity",
    "motion_flow",
    "moving_patches",
    "moving_tracks",
    "nearest_neighbor_flow",
    "over_frames",
    "patch_coordinates",
    "released_fidelity",
    "rotary_table",
    "sinusoidal_table",
    "spatial_marginal_mean",
    "steadied",
    "token_mask",
    "track_similarity",
    "trajectory_error",
]
