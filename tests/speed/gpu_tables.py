"""The tables of docs/gpu.md, from shapes alone.

python tests/speed/gpu_tables.py
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import auto_cli

from ditflow.plan.machine import Machine
from ditflow.plan.recipe import Recipe, prepare
from ditflow.plan.report import GIB
from ditflow.settings.stacked import read_settings

MODELS = {"cogvideox-2b": "2B", "cogvideox-5b": "5B", "cogvideox1.5-5b": "1.5-5B"}
WAN = {"wan2.1-1.3b": "2.1 1.3B", "wan2.1-14b": "2.1 14B", "wan2.2-5b": "2.2 5B"}
WAN |= {"wan2.2-a14b": "2.2 A14B"}
WAYS = (
    ("none", False, False),
    ("none", True, True),
    ("model", False, False),
    ("model", False, True),
    ("model", True, True),
    ("group", False, True),
    ("group", True, True),
)
"""Offload, gradient checkpointing, VAE tiling."""


def main(
    memories: tuple[int, ...] = (8, 12, 16, 24, 48, 80), frames: tuple[int, ...] = (21, 49)
) -> None:
    """Print them.

    Args:
        memories: of GPUs in GiB, half a GiB of which is taken by the driver.
        frames: of the videos whose cost is told.
    """
    planned = {name: prepare(read_settings(name)) for name in MODELS}
    head = ["offload", "gradient checkpointing", "VAE tiling", *MODELS.values()]
    rows = [[*map(word, way), *(peak(each, way) for each in planned.values())] for way in WAYS]
    print(table(head, rows))
    for models in (MODELS, WAN):
        each = [planned.get(name) or prepare(read_settings(name)) for name in models]
        rows = [[f"{size} GB", *(chosen(one, size) for one in each)] for size in memories]
        print(table(["GPU", *models.values()], rows))
    rows = []
    for count in frames:
        longer = [prepare(read_settings(name), (count, None, None)) for name in MODELS]
        for checkpointing in (False, True):
            way = "none", checkpointing, False
            costs = [f"{each.passes.ratio(plan(each, way).passes):.2f}" for each in longer]
            rows.append([str(count), word(checkpointing), *costs])
    print(table(["frames", "gradient checkpointing", *MODELS.values()], rows))


def plan(recipe: Recipe, way: tuple[str, bool, bool]) -> Any:
    offload, checkpointing, tiling = way
    options = {"offload": offload, "gradient_checkpointing": checkpointing, "vae_tiling": tiling}
    return recipe.planner.plan(options)


def peak(recipe: Recipe, way: tuple[str, bool, bool]) -> str:
    return f"{plan(recipe, way).peak / GIB:.1f}"


def chosen(recipe: Recipe, size: int) -> str:
    """What `auto` takes on a GPU of so many GiB, and what it then needs."""
    memory = int((size - 0.5) * GIB)
    made = recipe.plan(Machine("", memory, True))
    saved = saving(made.options)
    return f"{saved}: {made.peak / GIB:.1f}" if made.peak <= memory else "too small"


def saving(options: Mapping[str, Any]) -> str:
    named = {"offload": f"`{options['offload']}`", "vae_tiling": "tiling"}
    named["gradient_checkpointing"] = "checkpointing"
    taken = [text for name, text in named.items() if options[name] not in ("none", False)]
    return ", ".join(taken) or "nothing saved"


def word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"`{value}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    auto_cli(main)
