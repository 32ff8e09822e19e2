"""Whether a motion embedding fits a backbone and its sampling."""

from ditflow.backbones.base import Backbone
from ditflow.backbones.solver import Schedule
from ditflow.embedding.header import EmbeddingHeader
from ditflow.errors import DitflowError


def check_fits(header: EmbeddingHeader, backbone: Backbone, schedule: Schedule) -> None:
    """Refuse an embedding of another backbone or another schedule.

    Args:
        header: of the embedding.
        backbone: that is to use it.
        schedule: the run's.

    Raises:
        DitflowError: names both sides, and what to do.
    """
    check_fingerprint(header, backbone, f"backbone is {backbone.name}", "backbone")
    shape = tuple(backbone.latent_shape(header.num_frames, header.height, header.width))
    if tuple(header.latent_shape) != shape:
        raise DitflowError(
            f"the embedding has latents {header.latent_shape}, {backbone.name} makes {shape} "
            f"of {header.num_frames} frames of {header.height}x{header.width}; fit again."
        )
    check_schedule(header, schedule)


def check_fingerprint(header: EmbeddingHeader, backbone: Backbone, found: str, remedy: str) -> None:
    """Refuse another backbone.

    Args:
        header: of the embedding.
        backbone: that is to use it.
        found: says what is given in place of the fitted one.
        remedy: what to take the fitted one of.

    Raises:
        DitflowError: it is another one.
    """
    given = backbone.fingerprint()
    if header.fingerprint != given:
        raise DitflowError(
            f"the embedding was fitted on {header.backbone} ({header.fingerprint}), but the "
            f"{found} ({given}); use the fitted {remedy}, or fit again."
        )


def check_schedule(header: EmbeddingHeader, schedule: Schedule) -> None:
    """Refuse another scheduler, another noise schedule, or other timesteps.

    Raises:
        DitflowError: says which of these differs.
    """
    name, own, timesteps = schedule
    steps = len(header.timesteps)
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
    if header.scheduler_fingerprint and header.scheduler_fingerprint != own:
        raise DitflowError(
            f"the embedding was fitted with another noise schedule "
            f"({header.scheduler_fingerprint}) than this run's ({own}); use the fitted model's "
            "scheduler configuration, or fit again."
        )
