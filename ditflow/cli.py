"""The `ditflow` command."""

import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack

import diffusers
import torch
import transformers

from ditflow import __version__
from ditflow.benchmark.command import benchmark
from ditflow.errors import DitflowError
from ditflow.inspect import inspect
from ditflow.motion_cli import MotionCLI
from ditflow.options import expand
from ditflow.plan.command import plan
from ditflow.preview.command import preview
from ditflow.score import score
from ditflow.selftest import selftest
from ditflow.stopping import sigterm_as_interrupt

log = logging.getLogger(__name__)

USAGE = """\
ditflow: transfer the motion of a video to new videos, with no training of the model.

  ditflow fit --video ref.mp4 --prompt "..." --output DIR [--config PRESET]
  ditflow preview --video ref.mp4 --output DIR [--config PRESET]
  ditflow predict --embedding DIR/motion.safetensors --prompts "..." "..." --output DIR
  ditflow inspect DIR/motion.safetensors
  ditflow test --embedding DIR/motion.safetensors --video ref.mp4 --output DIR
  ditflow test --videos a.mp4 b.mp4 --video ref.mp4 --prompts "..." --output DIR
  ditflow benchmark --config MANIFEST --output DIR
  ditflow plan --config PRESET [--memory GIB]
  ditflow selftest --config PRESET

Every command has --help; `fit` and `predict` also have --print_config.
"""


COMMANDS = {
    "benchmark": benchmark,
    "plan": plan,
    "preview": preview,
    "selftest": selftest,
    "test": score,
}
"""Commands that are not LightningCLI's; each takes its arguments and returns the exit status."""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what was asked, 1 if some of it failed (benchmark, selftest), 2 if
    the input was wrong, in one line, 130 if it was stopped by Ctrl-C or SIGTERM."""
    args = list(sys.argv[1:] if args is None else args)
    _quieten()
    try:
        with ExitStack() as held, sigterm_as_interrupt():
            return _run(args, held)
    except DitflowError as error:
        print(f"ditflow: error: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        said = str(error).partition(". ")[0]
        print(
            f"ditflow: error: {said}; see what makes it fit with: ditflow plan --config PRESET",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("ditflow: stopped.", file=sys.stderr)
        return 130
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning has shut down for it
            return 130
        raise


def _run(args: list[str], held: ExitStack) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
    elif args[0] == "--version":
        print(f"ditflow {__version__}")
    elif args[0] == "inspect":
        print(inspect(args[1:]))
    elif args[0] in MotionCLI.subcommands():
        MotionCLI(expand(args), held)
    elif args[0] in COMMANDS:
        return COMMANDS[args[0]](args[1:])
    else:
        known = ", ".join([*MotionCLI.subcommands(), "inspect", *COMMANDS])
        raise DitflowError(f"command {args[0]!r} is unknown; use one of {known}.")
    return 0


def _quieten() -> None:
    """Keep our own lines readable: notices of libraries that a user can do nothing about."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ditflow").setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*instantiate_classes.*",
        ".*infer the batch indices.*",
        ".*across ranks is zero.*",
        ".*`training_step` returned `None`.*",
        ".*lr_scheduler.step.*before.*optimizer.step.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def run() -> None:
    """Entry point of the `ditflow` script."""
    raise SystemExit(main())


if __name__ == "__main__":
    run()
