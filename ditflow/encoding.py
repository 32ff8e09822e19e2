"""A reference's latents, from an earlier run if there was one."""

import torch

from ditflow.backbones.base import Backbone
from ditflow.cache import cached_tensor
from ditflow.errors import DitflowError
from ditflow.hashing import hash_of_tensors


def encode(backbone: Backbone, frames: torch.Tensor, cache: bool) -> torch.Tensor:
    """Frames [T, 3, height, width] in [0, 1] to latents [1, F, C, h, w].

    Args:
        backbone: its VAE encodes.
        frames: of the reference.
        cache: take the latents of the same frames and VAE from the cache, or keep them there.

    Raises:
        DitflowError: the VAE gave values that are not finite, as it may in float16.
    """
    if not cache:
        return _encode(backbone, frames)
    key = [hash_of_tensors(frames, length=64), backbone.encoder_identity()]
    latents = cached_tensor("references", key, lambda: _encode(backbone, frames))
    return latents.to(backbone.device)


def _encode(backbone: Backbone, frames: torch.Tensor) -> torch.Tensor:
    latents = backbone.encode_video(frames)
    if not torch.isfinite(latents).all():
        raise DitflowError(
            "the reference's latents are not finite; use --dtype bfloat16 or --dtype float32."
        )
    return latents
