"""A plan in words."""

from ditflow.plan.cost import Cost
from ditflow.plan.fitting import Plan
from ditflow.plan.phases import Work

GIB = 2**30


def describe(name: str, work: Work, plan: Plan, passes: Cost) -> str:
    """The table of phases, and the cost.

    Args:
        name: of the backbone.
        work: what was planned for.
        plan: of its memory.
        passes: its cost.
    """
    lines = [
        f"{name}, {work.num_frames} frames of {work.height}x{work.width}, "
        f"{str(work.dtype).removeprefix('torch.')}, {_saving(plan)}",
        "",
        f"{'phase':<26}{'weights':>12}{'work':>12}{'together':>12}",
    ]
    for phase, held, peak in zip(plan.phases, plan.resident, plan.peaks, strict=True):
        cells = (_gib(held), _gib(phase.working), _gib(peak))
        lines.append(f"{phase.name:<26}" + "".join(f"{cell:>12}" for cell in cells))
    lines += [
        "",
        f"Passes of a block: {passes.sampling} forward for sampling; guidance adds "
        f"{passes.forward} forward and {passes.optimising} forward and backward: by operations "
        f"{passes.ratio(plan.passes):.2f} times plain sampling, the motion flow apart.",
    ]
    return "\n".join(lines)


def verdict(plan: Plan, better: Plan | None, memory: int, name: str) -> str:
    """Whether it fits, and if not, what makes it fit."""
    needs = f"needs {_gib(plan.peak)}, {name} has {_gib(memory)} free"
    if better is plan:
        return f"It fits: {needs}."
    if better is None:
        return f"It does not fit: {needs}; take fewer frames, a smaller size, or a smaller model."
    changed = {
        key: value for key, value in better.options.items() if plan.options.get(key) != value
    }
    options = " ".join(f"--model.backbone.{key} {_word(value)}" for key, value in changed.items())
    return f"It does not fit: {needs}. With {options} it needs {_gib(better.peak)}."


def choice(plan: Plan, memory: int, name: str) -> str:
    """What was chosen where options were `auto`, in a line."""
    said = ", ".join(f"{each}={_word(plan.options[each])}" for each in plan.chosen)
    return f"Chosen for {_gib(memory)} free of {name}: {said}; each can be fixed by its option."


def _saving(plan: Plan) -> str:
    saving = ("offload", "gradient_checkpointing", "vae_tiling", "quantization")
    taken = [
        f"{name}={_word(value)}{' (auto)' * (name in plan.chosen)}"
        for name in saving
        if (value := plan.options.get(name)) not in (None, False, "none")
    ]
    return ", ".join(taken) or "no memory saved"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"
