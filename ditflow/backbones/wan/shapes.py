"""Wan in shapes alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from transformers import PreTrainedModel

from ditflow.backbones.base import Backbone
from ditflow.backbones.shapes import Component, fake, weights_of
from ditflow.backbones.transformer_shapes import TransformerShapes


class WanShapes(TransformerShapes):
    """Shapes of a `WanPipeline`, whose VAE works on four frames and a tile at a time."""

    def vae_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32

    def weights(self, dtype: torch.dtype, bits: int | None = None) -> Mapping[Component, list[int]]:
        found = dict(super().weights(dtype, bits))
        if self.pipeline.transformer_2 is not None:
            found["second transformer"] = found["transformer"]
        if (encoder := self._image_encoder()) is not None:
            found["image encoder"] = weights_of(encoder, torch.float32)
        return found

    @contextmanager
    def faked(self, *args: Any, **kwargs: Any) -> Iterator[Backbone]:
        encoder = self._image_encoder()
        with super().faked(*args, **kwargs) as backbone:
            if encoder is not None:
                faked = {"image_encoder": fake(encoder, torch.float32), "image_processor": None}
                backbone.pipeline.register_modules(**faked)  # type: ignore[attr-defined]
            yield backbone

    def _image_encoder(self) -> PreTrainedModel | None:
        own = getattr(self.pipeline, "image_encoder", None)
        with torch.device("meta"):
            return None if own is None else type(own)(deepcopy(own.config))

    def part_of_video(
        self, num_frames: int, height: int, width: int, *, decoding: bool, tiling: bool
    ) -> tuple[int, int, int]:
        """The first frame, and twice four others: with what it keeps of those before."""
        vae, frames = self.pipeline.vae, min(num_frames, 9)
        if not tiling:
            return frames, height, width
        tile = vae.tile_sample_min_height, vae.tile_sample_min_width
        return frames, min(height, tile[0]), min(width, tile[1])
