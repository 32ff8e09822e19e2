"""Whether a motion embedding fits a backbone and its sampling."""

from typing import Any

from ditflow.backbones.base import Backbone
from ditflow.embedding.header import EmbeddingHeader
from ditflow.errors import DitflowError
from ditflow.utils.hashing import hash_of

NOISE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "prediction_type",
    "rescale_betas_zero_snr",
    "snr_shift_scale",
    "set_alpha_to_one",
)
"""Of a scheduler's configuration, what says how noisy a timestep is."""


def scheduler_fingerprint(scheduler: Any) -> str:
    """Hash of a scheduler's noise schedule; which timesteps it visits is compared apart."""
    kept = {name: scheduler.config.get(name) for name in NOISE}
    return hash_of(kept)


def check_fits(
    header: EmbeddingHeader, backbone: Backbone, scheduler: Any, timesteps: tuple[int, ...]
) -> None:
    """Refuse an embedding of another backbone or another schedule.

    Args:
        header: of the embedding.
        backbone: that is to use it.
        scheduler: the run's.
        timesteps: of the run's denoising steps.

    Raises:
        DitflowError: names both sides, and what to do.
    """
    if header.fingerprint != backbone.fingerprint():
        raise DitflowError(
            f"the embedding was fitted on {header.backbone} ({header.fingerprint}), but the "
            f"backbone is {backbone.name} ({backbone.fingerprint()}); use the fitted backbone, "
            "or fit again."
        )
    shape = tuple(backbone.latent_shape(header.num_frames, header.height, header.width))
    if tuple(header.latent_shape) != shape:
        raise DitflowError(
            f"the embedding has latents {header.latent_shape}, {backbone.name} makes {shape} "
            f"of {header.num_frames} frames of {header.height}x{header.width}; fit again."
        )
    check_schedule(header, scheduler, timesteps)


def check_schedule(header: EmbeddingHeader, scheduler: Any, timesteps: tuple[int, ...]) -> None:
    """Refuse another scheduler, another noise schedule, or other timesteps.

    Raises:
        DitflowError: says which of these differs.
    """
    name, steps = type(scheduler).__name__, len(header.timesteps)
    if (name, len(timesteps)) != (header.scheduler, steps):
        raise DitflowError(
            f"the embedding was fitted with {steps} steps of {header.scheduler}, this run has "
            f"{len(timesteps)} of {name}; use num_inference_steps={steps} and that scheduler, "
            "or fit again."
        )
    if timesteps != tuple(header.timesteps):
        raise DitflowError(
            f"the embedding's {steps} timesteps begin {header.timesteps[0]}, "
            f"{', '.join(map(str, header.timesteps[1:3]))}, this run's {timesteps[0]}, "
            f"{', '.join(map(str, timesteps[1:3]))}; give the scheduler the fit's "
            "timestep_spacing (the presets' is 'trailing'), or fit again."
        )
    own = scheduler_fingerprint(scheduler)
    if header.scheduler_fingerprint and header.scheduler_fingerprint != own:
        raise DitflowError(
            f"the embedding was fitted with another noise schedule "
            f"({header.scheduler_fingerprint}) than this run's ({own}); use the fitted model's "
            "scheduler configuration, or fit again."
        )
