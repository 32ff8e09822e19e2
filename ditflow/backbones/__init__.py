"""Adapters to pretrained video diffusion transformers."""

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
