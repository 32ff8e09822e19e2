"""The plan of a fit that is about to run, in words."""

from ditflow.callbacks import KVInjection
from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer
from ditflow.plan.machine import this_machine
from ditflow.plan.recipe import recipe


def describe_run(
    module: MotionTransfer, size: tuple[int, int, int], prompts: int, injection: KVInjection
) -> str:
    """What a fit will need and cost, and whether this machine has it, if it tells.

    Args:
        module: not fitted yet.
        size: frames, height and width in pixels.
        prompts: fitted together.
        injection: of the fit.

    Raises:
        DitflowError: the backbone tells no shapes.
    """
    planned, backbone = recipe(module, size, prompts, injection, cache=True), module.backbone
    there = backbone.device.type == "cpu" or backbone.options.get("offload", "none") == "none"
    try:
        machine = this_machine(str(backbone.device), loaded=there)
    except DitflowError:
        return planned.describe(planned.planner.plan(backbone.options, backbone.chosen))
    return planned.report(machine)[0]
