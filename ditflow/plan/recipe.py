"""What is planned: a fit's memory and cost, from the parts that it would run with."""

from collections.abc import Sequence
from typing import NamedTuple

from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import empty_backbone
from ditflow.callbacks import KVInjection
from ditflow.module import MotionTransfer
from ditflow.plan.cost import Cost, cost
from ditflow.plan.fitting import Plan, Planner, advise
from ditflow.plan.machine import Machine
from ditflow.plan.phases import Work
from ditflow.plan.report import describe, verdict
from ditflow.sampling import steps_of
from ditflow.settings.stacked import Settings
from ditflow.video.sizing import fitting_count


class Recipe(NamedTuple):
    """A fit to plan.

    Attributes:
        backbone: that it would run with, loaded or empty.
        planner: of its memory.
        passes: its cost.
    """

    backbone: Backbone
    planner: Planner
    passes: Cost

    def plan(self, machine: Machine) -> Plan:
        """As configured, on this machine, with what is `auto` chosen for it."""
        # Without a GPU there is nothing to move weights away from.
        options = self.backbone.options | ({} if machine.gpu else {"offload": "none"})
        if chosen := self.backbone.chosen:  # as it was loaded
            return self.planner.plan(options, chosen)
        return self.planner.choose(options, machine.memory, machine.gpu)

    def report(self, machine: Machine) -> tuple[str, bool]:
        """The plan in words, and whether it fits, as configured or with what is advised."""
        made = self.plan(machine)
        memory = machine.memory + (max(made.resident) if machine.holds_weights else 0)
        better = advise(self.planner, made, memory, machine.gpu)
        said = verdict(made, better, memory, machine.name)
        return f"{self.describe(made)}\n{said}", better is not None

    def describe(self, made: Plan) -> str:
        """A plan without a verdict."""
        return describe(self.backbone.name, self.planner.work, made, self.passes)


def recipe(
    module: MotionTransfer,
    size: tuple[int, int, int],
    prompts: int,
    injection: KVInjection,
    cache: bool = False,
) -> Recipe:
    """What a fit comes to.

    Args:
        module: of the fit; its backbone may be empty.
        size: frames, height and width in pixels.
        prompts: fitted together.
        injection: of the fit.
        cache: take what was followed in an earlier plan.

    Raises:
        DitflowError: the backbone tells no shapes.
    """
    backbone, options = module.backbone, module.sampler_options
    injected = min(module.guided_steps, steps_of(injection.share, options.num_steps))
    work = Work(
        backbone.dtype,
        *size,
        block=module.block,
        objective=module.objective,
        target=module.target,
        parameterization=module.parameterization,
        separate_query_key=module.separate_query_key,
        prompts=prompts,
        guidance=options.guidance_scale > 1,
    )
    passes = cost(
        backbone.num_blocks,
        work.block,
        options.taken(module.guided_steps),
        module.guided_steps,
        module.gradients,
        guidance=work.guidance,
        injected_steps=injected if injection.enabled else 0,
        injected_block=injection.block,
        predicting=work.objective.reads == "prediction",
        renewed=work.target == "positions" and not (backbone.rotary and injection.block == 0),
    )
    return Recipe(backbone, Planner(backbone.shapes(), work, cache), passes)


def prepare(
    settings: Settings,
    size: Sequence[int | None] = (None, None, None),
    prompts: int = 1,
    cache: bool = False,
) -> Recipe:
    """What a fit with these settings comes to, before anything is loaded but a backbone with a
    loader of its own.

    Args:
        settings: of the run.
        size: frames, height and width in pixels, each in place of the settings'.
        prompts, cache: as of `recipe`.

    Raises:
        DitflowError: settings that do not fit the backbone, or a backbone that tells no shapes.
    """
    if settings.own_loader:
        backbone = settings.load_backbone()
    else:
        backbone = empty_backbone(**settings.backbone)
    frames, height, width = (
        new or settings.data.get(name) or default
        for new, name, default in zip(
            size, ("num_frames", "height", "width"), backbone.default_size(), strict=True
        )
    )
    return recipe(
        settings.module(backbone),
        (fitting_count(frames, backbone.temporal_ratio), height, width),
        prompts,
        KVInjection(**settings.injection),
        cache,
    )
