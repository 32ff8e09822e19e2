"""`ditflow plan`: what a fit will need, before anything is loaded."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ditflow.callbacks import KVInjection
from ditflow.errors import DitflowError
from ditflow.options import DEFAULT_PRESET
from ditflow.parsing import CommandParser
from ditflow.plan.cost import Cost, cost
from ditflow.plan.fitting import Plan, Planner, advise
from ditflow.plan.phases import Work
from ditflow.plan.shapes import read_configs
from ditflow.sampling import steps_of
from ditflow.settings import Settings, read_settings

GIB = 2**30


def plan(args: Sequence[str]) -> int:
    """Estimate a fit's memory, phase by phase, and its cost in passes of a block.

    From shapes alone: no weights are read, and CogVideoX's need not be there. Memory is what
    tensors hold; libraries and a GPU's context take up to 1 GiB more.

    Returns:
        0 if it fits, as configured or with what is advised, otherwise 1.
    """
    parser = CommandParser(prog="ditflow plan", description=plan.__doc__)
    parser.add_argument(
        "-c", "--config", type=str, nargs="+", default=[DEFAULT_PRESET], help="Presets, stacked."
    )
    parser.add_argument("--num-frames", type=int, help="By default the preset's.")
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--prompts", type=int, default=1, help="Fitted together.")
    parser.add_argument("--memory", type=float, help="GiB to fit into; by default this machine's.")
    given = parser.parse_args(list(args))
    settings = read_settings(*given.config)
    if given.memory is not None and not given.memory > 0:
        raise DitflowError(f"memory={given.memory} must be greater than 0, in GiB.")
    size = given.num_frames, given.height, given.width
    planner, passes = prepare(settings, size, given.prompts)
    made = planner.plan(settings.backbone)
    name, memory, gpu = _machine(given.memory, settings)
    print(describe(settings, planner.work, made, passes))
    better = advise(planner, made, memory, gpu)
    print(verdict(made, better, memory, name))
    return 0 if better is not None else 1


def prepare(
    settings: Settings, size: Sequence[int | None] = (None, None, None), prompts: int = 1
) -> tuple[Planner, Cost]:
    """A planner for a fit with these settings, and the fit's cost.

    Args:
        settings: of the run.
        size: frames, height and width in pixels, each in place of the settings'.
        prompts: fitted together.
    """
    configs = read_configs(settings.backbone.get("name", DEFAULT_PRESET))
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
            f"block={block} is out of range: {settings.backbone.get('name')} has blocks 0 to "
            f"{configs.num_layers - 1}."
        )
    steps = model["num_inference_steps"]
    guided = steps_of(model["guided_share"], steps)
    injection = KVInjection(**settings.injection)
    rotary = configs.transformer.get("use_rotary_positional_embeddings", False)
    work = Work(
        dtype=getattr(torch, settings.backbone.get("dtype", "float32")),
        num_frames=(frames - 1) // ratio * ratio + 1,
        height=height,
        width=width,
        block=block,
        objective=model["objective"],
        target=model["target"],
        parameterization=model["parameterization"],
        separate_query_key=model["separate_query_key"],
        prompts=prompts,
        guidance=model["guidance_scale"] > 1,
    )
    passes = cost(
        configs.num_layers,
        block,
        steps,
        guided,
        model["optimization_steps"],
        guidance=work.guidance,
        injected_steps=min(guided, steps_of(injection.share, steps)) if injection.enabled else 0,
        injected_block=injection.block,
        renewed=model["target"] == "positions" and not (rotary and injection.block == 0),
    )
    return Planner(configs, work), passes


def describe(settings: Settings, work: Work, plan: Plan, passes: Cost) -> str:
    """The table of phases, and the cost."""
    name = settings.backbone.get("name", DEFAULT_PRESET)
    lines = [
        f"{name}, {work.num_frames} frames of {work.height}x{work.width}, "
        f"{str(work.dtype).removeprefix('torch.')}, {_saving(plan.options)}",
        "",
        f"{'phase':<26}{'weights':>12}{'work':>12}{'together':>12}",
    ]
    for phase, held, peak in zip(plan.phases, plan.resident, plan.peaks, strict=True):
        cells = (_gib(held), _gib(phase.working), _gib(peak))
        lines.append(f"{phase.name:<26}" + "".join(f"{cell:>12}" for cell in cells))
    checkpointing = bool(plan.options.get("gradient_checkpointing"))
    lines += [
        "",
        f"Passes of a block: {passes.sampling} forward for sampling; guidance adds "
        f"{passes.forward} forward and {passes.optimising} forward and backward: about "
        f"{passes.ratio(checkpointing):.2f} times plain sampling, the motion flow apart.",
    ]
    return "\n".join(lines)


def verdict(plan: Plan, better: Plan | None, memory: int, name: str) -> str:
    """Whether it fits, and if not, what makes it fit."""
    needs = f"needs {_gib(plan.peak)}, {name} has {_gib(memory)}"
    if better is plan:
        return f"It fits: {needs}."
    if better is None:
        return f"It does not fit: {needs}; take fewer frames, a smaller size, or a smaller model."
    changed = {
        key: value for key, value in better.options.items() if plan.options.get(key) != value
    }
    options = " ".join(f"--model.backbone.{key} {_word(value)}" for key, value in changed.items())
    return f"It does not fit: {needs}. With {options} it needs {_gib(better.peak)}."


def _machine(memory: float | None, settings: Settings) -> tuple[str, int, bool]:
    """Name and bytes of the memory to fit into, and whether it is a GPU's."""
    device = settings.backbone.get("device", "auto")
    cuda = torch.cuda.is_available() and device != "cpu"
    if memory is not None:
        return "the given memory", int(memory * GIB), device != "cpu"
    if cuda:
        index = torch.device(device).index if device != "auto" else None
        properties = torch.cuda.get_device_properties(index or 0)
        return properties.name, properties.total_memory, True
    return "this machine", _main_memory(), False


def _main_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    raise DitflowError("memory is not known here; give --memory, in GiB.")


def _saving(options) -> str:
    saving = ("offload", "gradient_checkpointing", "vae_tiling", "quantization")
    chosen = [
        f"{name}={_word(value)}"
        for name in saving
        if (value := options.get(name)) not in (None, False, "none")
    ]
    return ", ".join(chosen) or "no memory saved"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"
