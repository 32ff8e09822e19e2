"""What is planned, from settings."""

import math
from collections.abc import Sequence

import torch

from ditflow.callbacks import KVInjection
from ditflow.errors import DitflowError
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan.cost import Cost, cost
from ditflow.plan.fitting import Planner
from ditflow.plan.phases import Work
from ditflow.plan.shapes import read_configs
from ditflow.sampling import SamplerOptions, steps_of
from ditflow.settings.stacked import Settings


def prepare(
    settings: Settings,
    size: Sequence[int | None] = (None, None, None),
    prompts: int = 1,
    cache: bool = False,
) -> tuple[Planner, Cost]:
    """A planner for a fit with these settings, and the fit's cost.

    Args:
        settings: of the run.
        size: frames, height and width in pixels, each in place of the settings'.
        prompts: fitted together.
        cache: take what was followed in an earlier plan.
    """
    if settings.own_loader:
        raise DitflowError(
            f"the shapes of what {settings.loader} loads are not known before it is loaded; a fit "
            "with it prints its plan."
        )
    configs = read_configs(settings.backbone_name)
    model = settings.model
    transformer = configs.build_transformer(1)
    config, scale = (
        transformer.config,
        2 ** (len(configs.build_vae().config.block_out_channels) - 1),
    )
    own = config.sample_frames, config.sample_height * scale, config.sample_width * scale
    names = ("num_frames", "height", "width")
    frames, height, width = (
        new or settings.data.get(name) or default
        for new, name, default in zip(size, names, own, strict=True)
    )
    ratio = config.temporal_compression_ratio
    block = model["block"]
    if not 0 <= block < configs.num_layers:
        raise DitflowError(
            f"block={block} is out of range: {settings.backbone_name} has blocks 0 to "
            f"{configs.num_layers - 1}."
        )
    steps = model["num_inference_steps"]
    guided = steps_of(model["guided_share"], steps)
    sampler = SamplerOptions(steps, unguided_stride=model["unguided_stride"])
    injection = KVInjection(**settings.injection)
    rotary = configs.transformer.get("use_rotary_positional_embeddings", False)
    work = Work(
        dtype=getattr(torch, settings.backbone.get("dtype", "float32")),
        num_frames=(frames - 1) // ratio * ratio + 1,
        height=height,
        width=width,
        block=block,
        objective=model["objective"] or AttentionMotionFlow(),
        target=model["target"],
        parameterization=model["parameterization"],
        separate_query_key=model["separate_query_key"],
        prompts=prompts,
        guidance=model["guidance_scale"] > 1,
    )
    passes = cost(
        configs.num_layers,
        block,
        sampler.taken(guided),
        guided,
        math.ceil(model["optimization_steps"] / model["gradient_reuse"]),
        guidance=work.guidance,
        injected_steps=min(guided, steps_of(injection.share, steps)) if injection.enabled else 0,
        injected_block=injection.block,
        renewed=model["target"] == "positions" and not (rotary and injection.block == 0),
    )
    return Planner(configs, work, cache), passes
