"""Load the CLIP model that image quality is measured with."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from transformers import CLIPModel, CLIPProcessor

from ditflow.errors import DitflowError, reason_of
from ditflow.utils.prompts import unheeded
from ditflow.utils.shipped import source_of


class PooledCLIP(CLIPModel):
    """CLIP whose features are plain tensors [N, D], which torchmetrics asks for.

    transformers 5 returns them inside an output object.
    """

    def get_image_features(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return _pooled(super().get_image_features(*args, **kwargs))

    def get_text_features(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return _pooled(super().get_text_features(*args, **kwargs))


class CuttingProcessor(CLIPProcessor):
    """CLIP's, which cuts a text that is too long for the model and keeps its end mark, of which the
    text's features are taken; torchmetrics would cut that off, too."""

    def __call__(self, *args: Any, text: Any = None, **kwargs: Any) -> Any:
        if text is not None:
            kwargs |= {"truncation": True}
        return super().__call__(*args, text=text, **kwargs)


class Clip(NamedTuple):
    """A CLIP model with its processor and the name reports give."""

    model: PooledCLIP
    processor: CLIPProcessor
    name: str

    def unheeded(self, prompt: str) -> Iterator[str]:
        """What of a prompt IQ does not heed, in a line; nothing where it heeds all."""
        tokenizer = self.processor.tokenizer
        return unheeded(prompt, tokenizer, tokenizer.model_max_length, f"clip={self.name}")


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
        processor = CuttingProcessor.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise DitflowError(
            f"clip={name} could not be loaded ({reason_of(error)}); use sprites-clip "
            "(embedded, for sprites only), a folder, or a hub name this machine can reach."
        ) from error
    # A tokenizer may say nothing of it.
    limit = model.config.text_config.max_position_embeddings
    processor.tokenizer.model_max_length = limit
    return Clip(model.requires_grad_(False).eval(), processor, name)


def _pooled(features: Any) -> torch.Tensor:
    return features if isinstance(features, torch.Tensor) else features.pooler_output
