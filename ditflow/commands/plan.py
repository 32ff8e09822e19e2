"""`ditflow plan`: what a fit will need, before anything is loaded."""

from collections.abc import Sequence

from ditflow.errors import DitflowError
from ditflow.plan.machine import Machine, this_machine
from ditflow.plan.recipe import prepare
from ditflow.plan.report import GIB
from ditflow.settings.options import over_default
from ditflow.settings.parsing import CommandParser
from ditflow.settings.stacked import read_settings


def plan(args: Sequence[str]) -> int:
    """Estimate a fit's memory, phase by phase, and its cost in passes of a block.

    From shapes alone: no weights are read, and CogVideoX's need not be there; but code of one's own
    that loads a backbone is run. Memory is what tensors hold; libraries and a GPU's context take
    up to 1 GiB more.

    Returns:
        0 if it fits, as configured or with what is advised, otherwise 1.
    """
    parser = plan_parser()
    given = parser.parse_args(list(args))
    settings = read_settings(*over_default(given.config or []))
    if given.memory is not None and not given.memory > 0:
        raise DitflowError(f"memory={given.memory} must be greater than 0, in GiB.")
    if settings.own_loader:
        print(f"Loading {settings.backbone_name}, for what it loads is not known before.")
    planned = prepare(settings, (given.num_frames, given.height, given.width), given.prompts)
    device = settings.backbone.get("device", "auto")
    if settings.own_loader:
        device = str(planned.backbone.device)
    if given.memory is not None:
        machine = Machine("the given memory", int(given.memory * GIB), device != "cpu")
    else:
        machine = this_machine(device, loaded=settings.own_loader)
    said, fits = planned.report(machine)
    print(said)
    return 0 if fits else 1


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
