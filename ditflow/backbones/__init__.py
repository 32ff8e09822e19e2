"""Adapters to pretrained video diffusion transformers."""

from typing import TYPE_CHECKING

from ditflow.lazy import importer

if TYPE_CHECKING:
    from ditflow.backbones.base import Backbone, BlockOutputs, KeyValues, Positions
    from ditflow.backbones.cogvideox import CogVideoXBackbone
    from ditflow.backbones.loading import load_backbone

__all__ = [
    "Backbone",
    "BlockOutputs",
    "CogVideoXBackbone",
    "KeyValues",
    "Positions",
    "load_backbone",
]

# An embedding is read without the pipelines that diffusers takes seconds to load.
__getattr__ = importer(
    __name__,
    {
        "Backbone": "base",
        "BlockOutputs": "base",
        "CogVideoXBackbone": "cogvideox",
        "KeyValues": "base",
        "Positions": "base",
        "load_backbone": "loading",
    },
)
