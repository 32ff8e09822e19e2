"""Which options make a run fit into a memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from ditflow.backbones.base import Backbone
from ditflow.backbones.shapes import Component, Shapes
from ditflow.errors import DitflowError
from ditflow.plan.phases import Phase, Work, phases
from ditflow.utils.cache import cached_json

FOLLOWED = ("gradient_checkpointing", "vae_tiling", "split_guidance")
"""Options of `load_backbone` that change what passes hold; `Work` has them too."""

BITS = {"bitsandbytes-8bit": 8, "bitsandbytes-4bit": 4}


@dataclass(frozen=True)
class Plan:
    """What a run needs with some options.

    Attributes:
        options: of `load_backbone`, those that change memory.
        phases: of the run.
        resident: bytes of weights that each phase holds, in the order of phases.
    """

    options: Mapping[str, Any]
    phases: Sequence[Phase]
    resident: Sequence[int]

    @property
    def peaks(self) -> list[int]:
        """Bytes of each phase, weights and work."""
        return [
            phase.working + held for phase, held in zip(self.phases, self.resident, strict=True)
        ]

    @property
    def peak(self) -> int:
        return max(self.peaks)


class Planner:
    """Plans of one run with varied options; passes are followed once for each kind.

    Args:
        shapes: of the backbone.
        work: what is planned for.
        cache: take what was followed in an earlier run.
    """

    def __init__(self, shapes: Shapes[Backbone], work: Work, cache: bool = False):
        self.shapes, self.work, self.cache = shapes, work, cache
        self._phases: dict[tuple[bool, ...], list[Phase]] = {}
        self._weights = shapes.weights()

    def plan(self, options: Mapping[str, Any]) -> Plan:
        """With these options of `load_backbone`."""
        ways: dict[str, Any] = {name: bool(options.get(name)) for name in FOLLOWED}
        kind = tuple(ways.values())
        if kind not in self._phases:
            self._phases[kind] = self._follow(replace(self.work, **ways))
        found = self._phases[kind]
        return Plan(options, found, [self._resident(phase, options) for phase in found])

    def _follow(self, work: Work) -> list[Phase]:
        if not self.cache:
            return phases(self.shapes, work)
        objective = [str(type(work.objective)), vars(work.objective)]
        key = [self.shapes.identity(), vars(work) | {"objective": objective}]
        made = cached_json("plans", key, lambda: [astuple(p) for p in phases(self.shapes, work)])
        return [Phase(*values) for values in made]

    def _resident(self, phase: Phase, options: Mapping[str, Any]) -> int:
        offload = options.get("offload", "none")
        if offload == "group":
            # A layer at a time: the largest.
            return max(self._weights[phase.component]) * self.work.dtype.itemsize
        present = (phase.component,) if offload == "model" else self._weights
        return sum(self._bytes(name, options) for name in present)

    def _bytes(self, component: Component, options: Mapping[str, Any]) -> int:
        bits = self.work.dtype.itemsize * 8
        if component != "VAE":
            bits = min(bits, BITS.get(options.get("quantization", "none"), bits))
        return sum(self._weights[component]) * bits // 8


def advise(planner: Planner, plan: Plan, memory: int, gpu: bool) -> Plan | None:
    """The first plan that fits, of those with more and more memory saved, without the savings
    that it can do without; None if none fits."""
    if plan.peak <= memory:
        return plan
    for options in _savings(plan.options, gpu):
        fitting = _fitting(planner, options, memory)
        if fitting is None:
            continue
        for name in [name for name in options if options[name] != plan.options.get(name)]:
            kept = {key: value for key, value in fitting.options.items() if key != name}
            if name in plan.options:
                kept[name] = plan.options[name]
            fitting = _fitting(planner, kept, memory) or fitting
        return fitting
    return None


def _fitting(planner: Planner, options: Mapping[str, Any], memory: int) -> Plan | None:
    """The plan with these options, if it is possible and fits."""
    try:
        made = planner.plan(options)
    except DitflowError:
        return None
    return made if made.peak <= memory else None


def _savings(options: Mapping[str, Any], gpu: bool) -> Iterator[dict[str, Any]]:
    """Options with one saving after another added, what costs least time first."""
    steps: list[dict[str, Any]] = [
        {"vae_tiling": True},
        {"split_guidance": True},
        {"gradient_checkpointing": True},
    ]
    if gpu:
        steps += [
            {"offload": "model"},
            {"quantization": "bitsandbytes-8bit"},
            {"quantization": "bitsandbytes-4bit"},
            {"quantization": "none", "offload": "group"},
        ]
    added = dict(options)
    for step in steps:
        added |= step
        yield dict(added)
