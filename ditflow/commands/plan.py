"""`ditflow plan`: what a fit will need, before anything is loaded."""

from collections.abc import Sequence

from ditflow.errors import DitflowError
from ditflow.plan.machine import Machine, this_machine
from ditflow.plan.recipe import prepare
from ditflow.plan.report import GIB
from ditflow.settings.options import over_default
from ditflow.settings.stacked import read_settings


def plan(
    *,
    config: Sequence[str] | None = None,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    prompts: int = 1,
    memory: float | None = None,
) -> int:
    """Estimate a fit's memory, phase by phase, and its cost in passes of a block.

    From shapes alone: no weights are read, and CogVideoX's need not be there; but code of one's own
    that loads a backbone is run. Memory is what tensors hold; libraries and a GPU's context take
    up to 1 GiB more.

    Args:
        config: Presets, stacked.
        num_frames: By default the preset's.
        prompts: Fitted together.
        memory: GiB to fit into; by default this machine's.

    Returns:
        0 if it fits, as configured or with what is advised, otherwise 1.
    """
    settings = read_settings(*over_default(config or []))
    if memory is not None and not memory > 0:
        raise DitflowError(f"memory={memory} must be greater than 0, in GiB.")
    if settings.own_loader:
        print(f"Loading {settings.backbone_name}, for what it loads is not known before.")
    planned = prepare(settings, (num_frames, height, width), prompts)
    device = settings.backbone.get("device", "auto")
    if settings.own_loader:
        device = str(planned.backbone.device)
    if memory is not None:
        machine = Machine("the given memory", int(memory * GIB), device != "cpu")
    else:
        machine = this_machine(device, loaded=settings.own_loader)
    said, fits = planned.report(machine)
    print(said)
    return 0 if fits else 1
