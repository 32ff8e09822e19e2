"""Load a run's backbone, with what is `auto` chosen for this machine."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import NOTHING_SAVED
from ditflow.errors import DitflowError
from ditflow.plan.machine import gpu_of, this_machine
from ditflow.plan.recipe import prepare
from ditflow.plan.report import choice
from ditflow.settings.stacked import Settings

log = logging.getLogger(__name__)

CAREFUL = {"offload": "model", "gradient_checkpointing": True, "vae_tiling": True}
"""For a run that cannot be planned."""

Size = Sequence[int | None]
"""Frames, height and width in pixels, each in place of the settings'."""


def load(settings: Settings, size: Size = (None, None, None), **changes: Any) -> Backbone:
    """The backbone of a run with these settings but for `changes`; what is chosen is said.

    Raises:
        DitflowError: it is not there, or changes that its loader does not take.
    """
    changed = replace(settings, backbone=settings.backbone | changes)
    chosen = choose(changed, size)
    backbone = settings.load_backbone(**changes, **chosen)
    backbone.chosen = backbone.chosen or tuple(chosen)
    return backbone


def choose(settings: Settings, size: Size = (None, None, None)) -> dict[str, Any]:
    """The options of loading that are `auto`, as the plan of a run chooses them for the memory that
    is free on its GPU, before anything is loaded; said in a line. Without a GPU nothing is saved.

    Raises:
        DitflowError: settings that do not fit the backbone.
    """
    auto = [name for name in NOTHING_SAVED if settings.backbone.get(name) == "auto"]
    device = settings.backbone.get("device", "auto")
    if not auto or settings.own_loader or gpu_of(device) is None:
        return {}  # which `load_backbone` takes for nothing saved
    try:
        machine = this_machine(device)
        prompts = len(settings.data.get("prompts") or ()) or 1
        plan = prepare(settings, size, prompts, cache=True).plan(machine)
    except DitflowError:
        raise
    except Exception as error:  # an objective of the user's own may not do without numbers
        chosen = {name: CAREFUL[name] for name in auto}
        said = ", ".join(f"{name}={value}" for name, value in chosen.items())
        log.warning("%s: this run cannot be planned (%s: %s).", said, type(error).__name__, error)
        return chosen
    log.info(choice(plan, machine.memory, machine.name))
    return {name: plan.options[name] for name in auto}
