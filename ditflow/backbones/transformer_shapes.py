"""A diffusers pipeline in shapes alone: its own classes on fake tensors, from configurations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from diffusers import DiffusionPipeline, ModelMixin
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedModel

from ditflow.backbones.base import Backbone
from ditflow.backbones.shapes import Component, Shapes, brought_by_layer, fake, weights_of


class TransformerShapes(Shapes[Backbone]):
    """Shapes of a pipeline, of which nothing but configurations is read.

    It assumes `transformer.config.num_layers` blocks, one `text_encoder`, and prompts as wide as
    its `config.d_model`. A family with other names overrides `__init__` and `faked`, one with other
    text encoders also `identity`, `weights` and `prompt_encoding`.

    Args:
        pipeline: loaded, or empty.
        prompt_length: tokens of a prompt.
        adapter: makes a backbone of a pipeline like it and of options.
        kind: of the adapter, by name.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        prompt_length: int,
        adapter: Callable[[DiffusionPipeline, dict[str, Any]], Backbone],
        kind: str,
    ):
        self.pipeline, self.adapter, self.kind = pipeline, adapter, kind
        self.num_blocks = pipeline.transformer.config.num_layers
        _, told = pipeline._get_signature_keys(pipeline)
        self.told = {name: pipeline.config[name] for name in told}
        """What a pipeline is told beside its parts."""
        self.prompt_shape = 1, prompt_length, pipeline.text_encoder.config.d_model

    def identity(self) -> Any:
        configs = [dict(part.config) for part in (self.pipeline.transformer, self.pipeline.vae)]
        return (
            self.kind,
            self.prompt_shape,
            self.told,
            configs,
            self.pipeline.text_encoder.config.to_dict(),
        )

    def weights(self, dtype: torch.dtype, bits: int | None = None) -> Mapping[Component, list[int]]:
        return {
            "text encoder": weights_of(self._text_encoder(), dtype, bits),
            "VAE": weights_of(_empty(self.pipeline.vae), self.vae_dtype(dtype)),
            "transformer": weights_of(_empty(self.pipeline.transformer), dtype, bits),
        }

    @contextmanager
    def faked(
        self,
        num_blocks: int,
        dtype: torch.dtype,
        *,
        split_guidance: bool = False,
        gradient_checkpointing: bool = False,
        by_layer: bool = False,
    ) -> Iterator[Backbone]:
        layers = min(num_blocks, self.num_blocks)
        transformer = _empty(self.pipeline.transformer, num_layers=layers)
        vae = _empty(self.pipeline.vae)
        if gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        with FakeTensorMode(allow_non_fake_inputs=True):
            faked = {
                "transformer": fake(transformer, dtype),
                "vae": fake(vae, self.vae_dtype(dtype)),
            }
            if by_layer:
                faked = {name: brought_by_layer(part) for name, part in faked.items()}
            parts = {
                name: None if isinstance(part, torch.nn.Module) else part
                for name, part in self.pipeline.components.items()
            }
            options = {"split_guidance": split_guidance, "offload": "group" if by_layer else "none"}
            yield self.adapter(type(self.pipeline)(**parts | faked | self.told), options)

    @contextmanager
    def prompt_encoding(
        self, dtype: torch.dtype, *, by_layer: bool = False
    ) -> Iterator[Callable[[], object]]:
        text_encoder = self._text_encoder()
        with FakeTensorMode(allow_non_fake_inputs=True):
            fake(text_encoder, dtype)
            if by_layer:
                brought_by_layer(text_encoder)
            yield lambda: text_encoder(torch.zeros(self.prompt_shape[:2], dtype=torch.long))

    def _text_encoder(self) -> PreTrainedModel:
        own = self.pipeline.text_encoder
        with torch.device("meta"):
            return type(own)(deepcopy(own.config))


def _empty(part: ModelMixin, **changes: Any) -> ModelMixin:
    """One of its configuration but for `changes`, on the meta device."""
    with torch.device("meta"):
        return type(part).from_config(dict(part.config) | changes)
