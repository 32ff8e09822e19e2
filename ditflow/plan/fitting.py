"""Which options make a run fit into a memory."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any

from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import NOTHING_SAVED
from ditflow.backbones.shapes import Component, Shapes
from ditflow.errors import DitflowError
from ditflow.plan.phases import Followed, Phase, Work, phases
from ditflow.utils.cache import cached_json

FOLLOWED = ("gradient_checkpointing", "vae_tiling", "split_guidance")
"""Options of `load_backbone` that change what passes hold; `Work` has them too."""

ROOM = 0.9
"""Share of a memory that `auto` plans for: a GPU's libraries and its allocator take some."""

SAVINGS: Sequence[Mapping[str, Any]] = (
    {"split_guidance": True},
    {"offload": "model"},
    {"vae_tiling": True},
    {"gradient_checkpointing": True},
    {"quantization": "bitsandbytes-8bit"},
    {"quantization": "bitsandbytes-4bit"},
    {"quantization": "none", "offload": "group"},
)
"""What saves memory, that first which costs least time: next to nothing, moving the weights three
times a run, computing the overlap of tiles, one more forward pass in each Adam step."""

BITS = {"bitsandbytes-8bit": 8, "bitsandbytes-4bit": 4}


@dataclass(frozen=True)
class Plan:
    """What a run needs with some options.

    Attributes:
        options: of `load_backbone`, those that change memory.
        phases: of the run.
        resident: bytes of weights that each phase holds, in the order of phases.
        chosen: names of those options that were `auto`.
    """

    options: Mapping[str, Any]
    phases: Sequence[Phase]
    resident: Sequence[int]
    chosen: Sequence[str] = ()

    @property
    def peaks(self) -> list[int]:
        """Bytes of each phase, weights and work."""
        return [
            phase.working + held for phase, held in zip(self.phases, self.resident, strict=True)
        ]

    @property
    def peak(self) -> int:
        return max(self.peaks)

    @property
    def passes(self) -> float:
        """What a pass of the optimisation costs, its gradient included, in passes that have none;
        0 if it goes through no whole block."""
        reading, optimising = (
            next(phase.block for phase in self.phases if phase.name.startswith(name))
            for name in ("reading", "optimising")
        )
        return optimising / reading if reading else 0.0


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
        self._followed = Followed()
        self._weights: dict[int | None, Mapping[Component, list[int]]] = {}

    def plan(self, options: Mapping[str, Any], chosen: Sequence[str] = ()) -> Plan:
        """With these options of `load_backbone`, of which some were `auto`."""
        ways: dict[str, Any] = {name: bool(options.get(name)) for name in FOLLOWED}
        ways["by_layer"] = options.get("offload") == "group"
        kind = tuple(ways.values())
        if kind not in self._phases:
            self._phases[kind] = self._follow(replace(self.work, **ways))
        found = self._phases[kind]
        bits = BITS.get(options.get("quantization", "none"))
        if bits not in self._weights:
            self._weights[bits] = self.shapes.weights(self.work.dtype, bits)
        resident = [resident_bytes(self._weights[bits], phase, options) for phase in found]
        return Plan(options, found, resident, chosen)

    def choose(self, options: Mapping[str, Any], memory: int, gpu: bool) -> Plan:
        """With these options, of which those that are `auto` are chosen: nothing is saved that a
        run can do without in this memory, and nothing at all without a GPU."""
        auto = [name for name in NOTHING_SAVED if options.get(name) == "auto"]
        plan = self.plan({**options, **{name: NOTHING_SAVED[name] for name in auto}}, auto)
        if not auto or not gpu:
            return plan
        quantised = (
            options.get("quantization", "none") != "none"
        )  # whose weights stay where they are
        savings = [
            {name: value for name, value in step.items() if name in auto}
            for step in SAVINGS
            if not (quantised and step.get("offload") == "group")
        ]
        every = {name: value for step in savings for name, value in step.items()}
        fitting = self.least(plan, savings, int(memory * ROOM))
        return fitting or self.plan({**plan.options, **every}, auto)

    def least(self, plan: Plan, savings: Sequence[Mapping[str, Any]], memory: int) -> Plan | None:
        """The first plan that fits, of those with one saving after another added, without the
        savings that it can do without; None if none fits."""
        added = dict(plan.options)
        fitting = self._fitting(added, plan.chosen, memory)
        for step in savings:
            if fitting is not None:
                break
            added |= step
            fitting = self._fitting(added, plan.chosen, memory)
        if fitting is None:
            return None
        names = dict.fromkeys(name for step in reversed(savings) for name in step)
        for name in names:  # what costs most time first
            if fitting.options.get(name) != plan.options.get(name):
                kept = {key: value for key, value in fitting.options.items() if key != name}
                if name in plan.options:
                    kept[name] = plan.options[name]
                fitting = self._fitting(kept, plan.chosen, memory) or fitting
        return fitting

    def _fitting(
        self, options: Mapping[str, Any], chosen: Sequence[str], memory: int
    ) -> Plan | None:
        """The plan with these options, if it is possible and fits."""
        try:
            made = self.plan(options, chosen)
        except DitflowError:
            return None
        return made if made.peak <= memory else None

    def _follow(self, work: Work) -> list[Phase]:
        if not self.cache:
            return phases(self.shapes, work, self._followed)
        objective = [str(type(work.objective)), vars(work.objective)]
        key = [self.shapes.identity(), vars(work) | {"objective": objective}]
        follow = partial(phases, self.shapes, work, self._followed)
        made = cached_json("plans", key, lambda: [astuple(phase) for phase in follow()])
        return [Phase(*values) for values in made]


def resident_bytes(
    weights: Mapping[Component, Sequence[int]], phase: Phase, options: Mapping[str, Any]
) -> int:
    """Bytes of weights that are there in a phase, beside those that its work has."""
    match options.get("offload", "none"):
        case "group":  # the next layer, which is fetched while one computes: at most the largest
            return max(weights[phase.component])
        case "model":
            return sum(weights[phase.component])
        case _:
            return sum(map(sum, weights.values()))


def advise(planner: Planner, plan: Plan, memory: int, gpu: bool) -> Plan | None:
    """The plan, if it fits, or one that does with as little saved as need be; None if none fits."""
    if plan.peak <= memory:
        return plan
    here = [step for step in SAVINGS if gpu or step.keys() <= set(FOLLOWED)]
    return planner.least(plan, here, memory)
