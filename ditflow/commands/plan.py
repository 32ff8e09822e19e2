"""`ditflow plan`: what a fit will need, before anything is loaded."""

import math
from collections.abc import Sequence

import torch

from ditflow.callbacks import KVInjection
from ditflow.errors import DitflowError
from ditflow.objectives import AttentionMotionFlow
from ditflow.options import over_default
from ditflow.parsing import CommandParser
from ditflow.plan.cost import Cost, cost
from ditflow.plan.fitting import Planner, advise
from ditflow.plan.machine import Machine, this_machine
from ditflow.plan.phases import Work
from ditflow.plan.report import GIB, describe, verdict
from ditflow.plan.shapes import read_configs
from ditflow.sampling import SamplerOptions, steps_of
from ditflow.settings import Settings, read_settings


def plan(args: Sequence[str]) -> int:
    """Estimate a fit's memory, phase by phase, and its cost in passes of a block.

    From shapes alone: no weights are read, and CogVideoX's need not be there. Memory is what
    tensors hold; libraries and a GPU's context take up to 1 GiB more.

    Returns:
        0 if it fits, as configured or with what is advised, otherwise 1.
    """
    parser = plan_parser()
    given = parser.parse_args(list(args))
    settings = read_settings(*over_default(given.config or []))
    if given.memory is not None and not given.memory > 0:
        raise DitflowError(f"memory={given.memory} must be greater than 0, in GiB.")
    size = given.num_frames, given.height, given.width
    planner, passes = prepare(settings, size, given.prompts)
    device = settings.backbone.get("device", "auto")
    if given.memory is not None:
        machine = Machine("the given memory", int(given.memory * GIB), device != "cpu")
    else:
        machine = this_machine(device)
    # Without a GPU there is nothing to move weights away from.
    made = planner.plan(settings.backbone | ({} if machine.gpu else {"offload": "none"}))
    print(describe(settings.backbone_name, planner.work, made, passes))
    better = advise(planner, made, machine.memory, machine.gpu)
    print(verdict(made, better, machine.memory, machine.name))
    return 0 if better is not None else 1


def plan_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow plan", description=plan.__doc__)
    parser.add_presets()
    parser.add_argument("--num-frames", type=int, help="By default the preset's.")
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--prompts", type=int, default=1, help="Fitted together.")
    parser.add_argument("--memory", type=float, help="GiB to fit into; by default this machine's.")
    return parser


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
