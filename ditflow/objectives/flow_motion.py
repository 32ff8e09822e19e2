"""FlowMotion: what the model predicts, in place of what a block computes."""

import torch

from ditflow.errors import DitflowError
from ditflow.functional.frame_distances import clean_prediction_loss, steadied
from ditflow.objectives.base import Objective, Prediction


class FlowMotion(Objective):
    """Clean predictions, and how far their frames are from each other, as the reference's.

    The method FlowMotion (CVPR 2026, arXiv 2603.06289), on the same loop: the model's guided
    prediction is held constant, so that the gradient reaches z_t by the clean prediction
    ẑ_0 = a·z_t + b·prediction alone, and no pass has a backward one. The reference's is read at
    every guided step, from its latents with fresh noise and an empty prompt. It compares what is
    where, too, and brings more of the reference's look along than the paper's objective.

    Velocity regularisation: from the second guided step on, the part of the prediction across the
    mean velocity so far is damped, at each position over channels. That mean is
    (z_t - z_T) / (σ_t - σ_T) in flow matching. A v-prediction is the derivative of z_t by the angle
    φ whose cosine is the signal's share and whose sine the noise's, and its mean is
    (z_t - z_T) / (φ_t - φ_T): of both only the direction counts, which is that of z_t - z_T. A
    stochastic solver, such as CogVideoX's DPM, has put other noise in the place of z_T's: with it
    there is no such mean, and nothing is damped.

    The published settings are 3 Adam steps at rate 0.003 (`optimization_steps`,
    `learning_rates.prediction`) in the first fifth of 50 steps, and no KV injection: those of the
    preset `flowmotion`.

    Args:
        prediction_weight: of the squared difference of clean predictions.
        distance_weight: of the squared difference of the distances between every two frames.
        velocity_damping: what is left of the prediction across its mean; 1 leaves all.
        reference_guidance: guidance scale of the reference's prediction, away from the negative
            prompt, if there is one.

    Raises:
        DitflowError: an option out of its range.
    """

    reads = "prediction"

    def __init__(
        self,
        prediction_weight: float = 20.0,
        distance_weight: float = 5.0,
        velocity_damping: float = 0.1,
        reference_guidance: float = 1.5,
    ):
        weights = {"prediction_weight": prediction_weight, "distance_weight": distance_weight}
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise DitflowError(f"{name}={value} must be at least 0, such as 5.")
        if not 0 <= velocity_damping <= 1:
            raise DitflowError(f"velocity_damping={velocity_damping} must be 0 to 1.")
        if not 1 <= reference_guidance < float("inf"):
            raise DitflowError(f"reference_guidance={reference_guidance} must be at least 1.")
        self.prediction_weight, self.distance_weight = prediction_weight, distance_weight
        self.velocity_damping, self.reference_guidance = velocity_damping, reference_guidance

    def reference(self, outputs: Prediction) -> torch.Tensor:
        """The clean prediction [F, C, h, w]."""
        return outputs.clean(outputs.velocity)

    def loss(self, outputs: Prediction, reference: torch.Tensor) -> torch.Tensor:
        velocity = outputs.velocity
        if outputs.travelled is not None:
            velocity = steadied(velocity, outputs.travelled, self.velocity_damping)
        clean = outputs.clean(velocity)
        return clean_prediction_loss(clean, reference, self.prediction_weight, self.distance_weight)

    def is_static(self, reference: torch.Tensor) -> bool:
        """Never: where nothing moves, there is still what is where."""
        return False
