"""Options that the parser takes, because fit and predict share it or they are Lightning's, but that
a command would not heed, or would end early by."""

from collections.abc import Mapping, Sequence
from typing import Any

from ditflow.errors import DitflowError
from ditflow.settings.options import SHORT

OF_THE_FIT = "is part of what was fitted; leave it out, or fit again with it"

UNHEEDED: Mapping[str, Mapping[str, str]] = {
    "fit": {
        "--data.seeds": "is for predict; use --seed",
        "--data.embedding": "is for predict; fit begins from a video",
    },
    "predict": {
        "--ckpt_path": "is for fit; run the same predict again",
        "--model.seed": "is the fit's; use --seeds",
        "--data.cache": "is for fit; predict encodes nothing",
        **dict.fromkeys(
            (
                "--data.video",
                "--data.mask",
                "--data.start_frame",
                "--data.num_frames",
                "--data.stride",
                "--data.resample",
                "--data.height",
                "--data.width",
                "--data.crop",
                "--data.store_reference",
                "--model.target",
                "--model.parameterization",
                "--model.separate_query_key",
                "--model.block",
                "--model.guided_share",
                "--model.optimization_steps",
                "--model.gradient_reuse",
                "--model.objective",
                "--model.learning_rate",
                "--model.learning_rates",
            ),
            OF_THE_FIT,
        ),
    },
}
"""Of each command, full names and what to do instead."""


LIMITS: Mapping[str, Mapping[str, Any]] = {
    "fit": {
        "max_epochs": -1,
        "max_steps": -1,
        "max_time": None,
        "limit_train_batches": None,
        "overfit_batches": 0,
        "fast_dev_run": False,
    },
    "predict": {"limit_predict_batches": None, "fast_dev_run": False},
}
"""Of each command, Lightning's options that end the work early or make less of it, and what they
are for all of it."""


def refuse_limits(subcommand: str, trainer: Mapping[str, Any]) -> None:
    """Refuse a trainer that would end before the work is done.

    Args:
        subcommand: fit or predict.
        trainer: its options.

    Raises:
        DitflowError: names the option and what to do instead.
    """
    remedies = {
        "fit": "a fit has as many steps as --steps, --model.guided_share and "
        "--model.optimization_steps say; to do part of it, stop it and go on by --resume",
        "predict": "give as many prompts and seeds as videos are wanted",
    }
    for name, whole in LIMITS[subcommand].items():
        value = trainer.get(name, whole)
        if value != whole and value is not None:
            raise DitflowError(
                f"trainer.{name}={value} would set the work an end of its own; leave it out: "
                f"{remedies[subcommand]}."
            )


def refuse_unheeded(args: Sequence[str]) -> None:
    """Refuse what would silently change nothing.

    Args:
        args: the command and its options by their full names.

    Raises:
        DitflowError: names the option and what to do instead.
    """
    for token in args:
        name = token.partition("=")[0]
        if (found := unheeded(args[0], name)) is not None:
            full, reason = found
            short = next((key for key, value in SHORT.items() if value == full), name)
            raise DitflowError(f"{short} {reason}.")


def unheeded(command: str, option: str) -> tuple[str, str] | None:
    """What a command does not heed and an option is or is of, and what to do instead; None if the
    command heeds the option.

    Args:
        command: of any name.
        option: by its full name.
    """
    for full, reason in UNHEEDED.get(command, {}).items():
        if f"{option}.".startswith(f"{full}."):
            return full, reason
    return None
