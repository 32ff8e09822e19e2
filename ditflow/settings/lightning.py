"""The parsers of `ditflow fit` and `ditflow predict`, which are LightningCLI's."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from ditflow.backbones.loading import load_backbone
from ditflow.callbacks import KVInjection, MediaLogger
from ditflow.data import MotionDataModule
from ditflow.module import MotionTransfer
from ditflow.objectives import AttentionMotionFlow
from ditflow.settings.options import LISTS, SHORT, short_options
from ditflow.settings.parsing import CommandParser
from ditflow.settings.unheeded import unheeded
from ditflow.version import __version__

DESCRIPTION = "Transfer the motion of a video to new videos, with no training of the model."

OWNERS: dict[str, Callable[..., Any]] = {
    "--model.objective": AttentionMotionFlow,
    "--model.backbone": load_backbone,
    "--model": MotionTransfer,
    "--data": MotionDataModule,
    "--kv_injection": KVInjection,
}
"""Whose arguments the options with a prefix are."""


class Parser(CommandParser, LightningArgumentParser):
    """LightningCLI's, with errors of one line."""


class MotionParsers(LightningCLI):
    """LightningCLI with the options of fit and predict.

    Args:
        args: the command line, every option by its full name.
        kwargs: of LightningCLI.
    """

    def __init__(self, args: list[str], **kwargs: Any):
        super().__init__(
            MotionTransfer,
            MotionDataModule,
            parser_class=Parser,
            parser_kwargs={"description": DESCRIPTION, "version": __version__},
            trainer_defaults={
                "devices": 1,
                "max_epochs": -1,  # as many as there are guided steps
                "default_root_dir": "ditflow-output",
                "log_every_n_steps": 1,
                "enable_model_summary": False,
                "inference_mode": False,  # of its tensors no one could take a gradient
            },
            seed_everything_default=False,
            args=args,
            **kwargs,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        every = LightningCLI.subcommands()
        return {name: every[name] for name in ("fit", "predict")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(KVInjection, "kv_injection")
        parser.add_lightning_class_args(MediaLogger, "media_logger")
        parser.add_argument(
            "--overwrite",
            type=bool,
            default=False,
            help="Replace what an earlier run left in the output folder.",
        )
        names = ", ".join(f"{short} ({full})" for short, full in SHORT.items())
        parser.epilog = f"Short options: {names}."


def shown_parser(subcommand: str) -> ArgumentParser:
    """The parser of fit or predict with its short options as its own, and the arguments of
    `load_backbone`: for completion and the page of options to show them."""
    try:
        _ParsersAlone([])
    except _Built as built:
        parser = built.args[0][subcommand]
    for name, parameter in inspect.signature(load_backbone).parameters.items():
        parser.add_argument(f"--model.backbone.{name}", type=parameter.annotation)
    for short, full in short_options(subcommand).items():
        if unheeded(subcommand, full) is None:
            kind = {"nargs": "+"} if full in LISTS else {"type": _type_of(full)}
            parser.add_argument(short, **kind, help=f"Short for {full}.")
    return parser


def _type_of(full: str) -> Any:
    """The declared type of what an option sets."""
    prefix, _, name = full.rpartition(".")
    if prefix not in OWNERS:  # of the trainer: the output folder, and where to go on
        return Path
    return inspect.signature(OWNERS[prefix]).parameters[name].annotation


class _Built(Exception):
    """Carries parsers by subcommand."""


class _ParsersAlone(MotionParsers):
    """LightningCLI parses and runs as it is made; this one ends when its parsers are."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> NoReturn:
        raise _Built(self._subcommand_parsers)
