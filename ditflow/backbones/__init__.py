"""Adapters to pretrained video diffusion transformers."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.backbones.base import Backbone, BlockOutputs, KeyValues, PassInput
    from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
    from ditflow.backbones.loading import load_backbone
    from ditflow.functional.parameterization import Positions

__all__ = [
    "Backbone",
    "BlockOutputs",
    "CogVideoXBackbone",
    "KeyValues",
    "PassInput",
    "Positions",
    "load_backbone",
]

# An embedding is read without the pipelines that diffusers takes seconds to load.
__getattr__ = importer(
    __name__,
    {
        "Backbone": "base",
        "BlockOutputs": "base",
        "CogVideoXBackbone": "cogvideox.adapter",
        "KeyValues": "base",
        "PassInput": "base",
        "Positions": "base",
        "load_backbone": "loading",
    },
)
