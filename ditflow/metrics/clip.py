"""Load the CLIP model that image quality is measured with."""

from typing import Any, NamedTuple

import torch
from transformers import CLIPModel, CLIPProcessor

from ditflow.errors import DitflowError, reason_of
from ditflow.utils.shipped import source_of


class PooledCLIP(CLIPModel):
    """CLIP whose features are plain tensors [N, D], which torchmetrics asks for.

    transformers 5 returns them inside an output object.
    """

    def get_image_features(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return _pooled(super().get_image_features(*args, **kwargs))

    def get_text_features(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return _pooled(super().get_text_features(*args, **kwargs))


class Clip(NamedTuple):
    """A CLIP model with its processor and the name reports give."""

    model: PooledCLIP
    processor: CLIPProcessor
    name: str


def load_clip(name: str = "sprites-clip") -> Clip:
    """Load a CLIP model, frozen.

    Args:
        name: `sprites-clip` (embedded, for sprites only), a folder, or a hub name such as
            `openai/clip-vit-base-patch32`, the paper's scale and the only case that may download.

    Raises:
        DitflowError: it cannot be had.
    """
    source = source_of(name)
    try:
        model = PooledCLIP.from_pretrained(source, dtype=torch.float32)
        processor = CLIPProcessor.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise DitflowError(
            f"clip={name} could not be loaded ({reason_of(error)}); use sprites-clip "
            "(embedded, for sprites only), a folder, or a hub name this machine can reach."
        ) from error
    return Clip(model.requires_grad_(False).eval(), processor, name)


def _pooled(features: Any) -> torch.Tensor:
    return features if isinstance(features, torch.Tensor) else features.pooler_output
