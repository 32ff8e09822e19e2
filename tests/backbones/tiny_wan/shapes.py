"""Wan in shapes alone: diffusers' own classes on fake tensors, from configurations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import UMT5EncoderModel

from ditflow.backbones.base import Backbone
from ditflow.backbones.shapes import Component, Shapes, fake, weights_of


class WanShapes(Shapes):
    """Shapes of a pipeline, of which nothing but configurations is read.

    Args:
        pipeline: loaded, or empty.
        text_tokens: that a prompt has.
        adapter: makes a backbone of a pipeline like it and of options.
    """

    def __init__(
        self,
        pipeline: WanPipeline,
        text_tokens: int,
        adapter: Callable[[WanPipeline, dict[str, Any]], Backbone],
    ):
        self.pipeline, self.adapter = pipeline, adapter
        self.config = pipeline.transformer.config
        self.num_blocks = self.config.num_layers
        self.prompt_shape = 1, text_tokens, self.config.text_dim

    def identity(self) -> Any:
        text_encoder = self.pipeline.text_encoder.config.to_dict()
        return "wan", dict(self.config), dict(self.pipeline.vae.config), text_encoder

    def weights(self) -> Mapping[Component, list[int]]:
        return {
            "text encoder": weights_of(self._text_encoder()),
            "VAE": weights_of(self._vae()),
            "transformer": weights_of(self._transformer(self.num_blocks)),
        }

    @contextmanager
    def faked(
        self,
        num_blocks: int,
        dtype: torch.dtype,
        *,
        split_guidance: bool = False,
        gradient_checkpointing: bool = False,
    ) -> Iterator[Backbone]:
        transformer, vae = self._transformer(num_blocks), self._vae()
        if gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        with FakeTensorMode(allow_non_fake_inputs=True):
            pipeline = WanPipeline(
                tokenizer=None,
                text_encoder=None,
                vae=fake(vae, dtype),
                transformer=fake(transformer, dtype),
                scheduler=self.pipeline.scheduler,
            )
            yield self.adapter(pipeline, {"split_guidance": split_guidance})

    @contextmanager
    def prompt_encoding(self, dtype: torch.dtype) -> Iterator[Callable[[], object]]:
        text_encoder = self._text_encoder()
        with FakeTensorMode(allow_non_fake_inputs=True):
            fake(text_encoder, dtype)
            yield lambda: text_encoder(torch.zeros(self.prompt_shape[:2], dtype=torch.long))

    def _transformer(self, num_blocks: int) -> WanTransformer3DModel:
        config = dict(self.config) | {"num_layers": min(num_blocks, self.num_blocks)}
        with torch.device("meta"):
            return WanTransformer3DModel.from_config(config)

    def _vae(self) -> AutoencoderKLWan:
        with torch.device("meta"):
            return AutoencoderKLWan.from_config(dict(self.pipeline.vae.config))

    def _text_encoder(self) -> UMT5EncoderModel:
        with torch.device("meta"):
            return UMT5EncoderModel(deepcopy(self.pipeline.text_encoder.config))
