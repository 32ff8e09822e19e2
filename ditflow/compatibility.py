"""Whether a motion embedding fits a backbone and its sampling."""

from ditflow.backbones.base import Backbone
from ditflow.embedding import EmbeddingHeader
from ditflow.errors import DitflowError


def check_fits(
    header: EmbeddingHeader, backbone: Backbone, scheduler: str, timesteps: tuple[int, ...]
) -> None:
    """Refuse an embedding of another backbone or another schedule.

    Args:
        header: of the embedding.
        backbone: that is to use it.
        scheduler: class name of the run's scheduler.
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
    if (header.scheduler, tuple(header.timesteps)) != (scheduler, timesteps):
        raise DitflowError(
            f"the embedding was fitted with {len(header.timesteps)} steps of "
            f"{header.scheduler}, this run has {len(timesteps)} of {scheduler}; use "
            f"num_inference_steps={len(header.timesteps)} and that scheduler, or fit again."
        )
