"""Pure tensor functions: no state, no I/O, nothing imported from the rest of ditflow."""

from ditflow.functional.flow_loss import flow_loss, moving_patches
from ditflow.functional.motion_flow import motion_flow, patch_coordinates
from ditflow.functional.positions import rotary_table, sinusoidal_table

__all__ = [
    "flow_loss",
    "motion_flow",
    "moving_patches",
    "patch_coordinates",
    "rotary_table",
    "sinusoidal_table",
]
