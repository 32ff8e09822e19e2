"""CogVideoX in shapes alone: diffusers' own classes on fake tensors, from configurations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import T5Config, T5EncoderModel

from ditflow.backbones.base import Backbone
from ditflow.backbones.cogvideox.published import PUBLISHED, TEXT_ENCODER
from ditflow.backbones.shapes import Component, Shapes, fake, weights_of
from ditflow.errors import DitflowError, reason_of
from ditflow.utils.shipped import source_of


class CogVideoXShapes(Shapes):
    """Shapes of a pipeline, of which nothing but configurations is read.

    Args:
        pipeline: loaded, or empty.
        adapter: makes a backbone of a pipeline like it and of options.
        kind: of the adapter, by name.
    """

    def __init__(
        self,
        pipeline: CogVideoXPipeline,
        adapter: Callable[[CogVideoXPipeline, dict[str, Any]], Backbone],
        kind: str,
    ):
        self.pipeline, self.adapter, self.kind = pipeline, adapter, kind
        self.config = pipeline.transformer.config
        self.num_blocks = self.config.num_layers
        self.prompt_shape = 1, self.config.max_text_seq_length, self.config.text_embed_dim

    def identity(self) -> Any:
        text_encoder = self.pipeline.text_encoder.config.to_dict()
        return self.kind, dict(self.config), dict(self.pipeline.vae.config), text_encoder

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
            pipeline = type(self.pipeline)(
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

    def part_of_video(
        self, num_frames: int, height: int, width: int, *, decoding: bool, tiling: bool
    ) -> tuple[int, int, int]:
        """Two batches of frames, the first of which takes what the others leave, and a tile."""
        vae = self.pipeline.vae
        batch = vae.num_sample_frames_batch_size
        if decoding:
            ratio = self.pipeline.vae_scale_factor_temporal
            batch = vae.num_latent_frames_batch_size * ratio
        frames = min(num_frames, 2 * batch + num_frames % batch)
        if not tiling:
            return frames, height, width
        return (
            frames,
            min(height, vae.tile_sample_min_height),
            min(width, vae.tile_sample_min_width),
        )

    def _transformer(self, num_blocks: int) -> CogVideoXTransformer3DModel:
        config = dict(self.config) | {"num_layers": min(num_blocks, self.num_blocks)}
        with torch.device("meta"):
            return CogVideoXTransformer3DModel.from_config(config)

    def _vae(self) -> AutoencoderKLCogVideoX:
        with torch.device("meta"):
            return AutoencoderKLCogVideoX.from_config(dict(self.pipeline.vae.config))

    def _text_encoder(self) -> T5EncoderModel:
        with torch.device("meta"):
            return T5EncoderModel(deepcopy(self.pipeline.text_encoder.config))


def empty_pipeline(name: str, dtype: torch.dtype) -> CogVideoXPipeline:
    """A pipeline on the meta device, with no weights and no tokenizer: an embedded one, a folder's,
    a published model's, or any other of the hub.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    transformer, vae, text_encoder = _configs(name)
    with torch.device("meta"):
        return CogVideoXPipeline(
            tokenizer=None,
            text_encoder=T5EncoderModel(T5Config(**text_encoder)),
            vae=AutoencoderKLCogVideoX.from_config(dict(vae)),
            transformer=CogVideoXTransformer3DModel.from_config(dict(transformer)).to(dtype),
            scheduler=CogVideoXDPMScheduler(),
        )


def _configs(name: str) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """Of transformer, VAE and text encoder."""
    if name in PUBLISHED:
        return *PUBLISHED[name], TEXT_ENCODER
    source = source_of(name)
    try:
        return (
            CogVideoXTransformer3DModel.load_config(source, subfolder="transformer"),
            AutoencoderKLCogVideoX.load_config(source, subfolder="vae"),
            T5Config.from_pretrained(source, subfolder="text_encoder").to_dict(),
        )
    except (OSError, ValueError) as error:
        raise DitflowError(
            f"the configuration of backbone {name!r} could not be had ({reason_of(error)}); use an "
            f"embedded one, a folder in diffusers' layout, or {', '.join(PUBLISHED)}."
        ) from error
