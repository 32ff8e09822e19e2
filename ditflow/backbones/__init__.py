"""Adapters to pretrained video diffusion transformers."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.backbones.base import (
        Backbone,
        BlockFeatures,
        BlockOutputs,
        KeyValues,
        PassInput,
    )
    from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
    from ditflow.backbones.control import ControlledProcessor
    from ditflow.backbones.loading import load_backbone
    from ditflow.backbones.pipeline_hooks import PipelineHooks
    from ditflow.backbones.solver import Schedule, Solver
    from ditflow.backbones.transformer import TransformerBackbone
    from ditflow.functional.parameterization import Positions

__all__ = [
    "Backbone",
    "BlockFeatures",
    "BlockOutputs",
    "CogVideoXBackbone",
    "ControlledProcessor",
    "KeyValues",
    "PassInput",
    "PipelineHooks",
    "Positions",
    "Schedule",
    "Solver",
    "TransformerBackbone",
    "load_backbone",
]

# An embedding is read without the pipelines that diffusers takes seconds to load.
__getattr__ = importer(
    __name__,
    {
        "Backbone": "base",
        "BlockFeatures": "base",
        "BlockOutputs": "base",
        "CogVideoXBackbone": "cogvideox.adapter",
        "ControlledProcessor": "control",
        "KeyValues": "base",
        "PassInput": "base",
        "PipelineHooks": "pipeline_hooks",
        "Positions": "base",
        "Schedule": "solver",
        "Solver": "solver",
        "TransformerBackbone": "transformer",
        "load_backbone": "loading",
    },
)
