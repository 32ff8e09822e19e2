"""What a fit makes equal between the reference and the video being generated, one a file."""

from ditflow.objectives.attention_motion_flow import AttentionMotionFlow
from ditflow.objectives.base import Objective, Prediction
from ditflow.objectives.flow_motion import FlowMotion
from ditflow.objectives.motion_feature import MotionFeature
from ditflow.objectives.spatial_marginal_mean import SpatialMarginalMean

__all__ = [
    "AttentionMotionFlow",
    "FlowMotion",
    "MotionFeature",
    "Objective",
    "Prediction",
    "SpatialMarginalMean",
]
