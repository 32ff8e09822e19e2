"""Adapters to pretrained video diffusion transformers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_MODULES = {
    "Backbone": "base",
    "BlockOutputs": "base",
    "CogVideoXBackbone": "cogvideox",
    "KeyValues": "base",
    "Positions": "base",
    "load_backbone": "loading",
}


def __getattr__(name: str) -> Any:
    # On first use: an embedding is read without the pipelines that diffusers takes seconds to load.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
