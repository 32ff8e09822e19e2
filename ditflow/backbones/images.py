"""What the passes of an image-to-video model are given of an image."""

from typing import Any

import torch

from ditflow.backbones.base import Backbone
from ditflow.errors import DitflowError


def check_image(backbone: Backbone, image: object) -> None:
    """Refuse an image that a backbone does not take, or None where it needs one.

    Raises:
        DitflowError: says which.
    """
    if image is None and backbone.needs_image:
        raise DitflowError(
            f"image is not given, and the videos of {backbone.name} begin with one; use --image "
            "with a picture's file."
        )
    if image is not None and not backbone.takes_image:
        raise DitflowError(
            f"image is given, but {backbone.name} makes videos of text alone; leave --image out, "
            "or use an image-to-video model, such as --config cogvideox-5b-i2v."
        )


def condition_on(
    backbone: Backbone,
    image: torch.Tensor | None,
    latent_shape: tuple[int, ...],
    generator: torch.Generator | None = None,
) -> Any:
    """`Backbone.encode_image` with nothing beside the encoder on the device; None of no image.

    Raises:
        DitflowError: as `check_image`.
    """
    check_image(backbone, image)
    if image is None:
        return None
    backbone.release()
    condition = backbone.encode_image(image, latent_shape, generator)
    backbone.release()
    return condition


def condition_on_first(backbone: Backbone, latents: torch.Tensor) -> Any:
    """The condition of a video by its own first frame, decoded from its latents [1, F, C, h, w], of
    which the first stands for that frame alone.

    An embedding carries the reference's latents and so needs to carry no picture of it.
    """
    count = backbone.latent_shape(1, backbone.size_multiple, backbone.size_multiple)[1]
    backbone.release()
    first = backbone.decode_video(latents[:, :1].expand(-1, count, -1, -1, -1), 1)[0]
    return condition_on(backbone, first, tuple(latents.shape))
