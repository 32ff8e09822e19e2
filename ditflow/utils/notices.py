"""Notices of libraries that a user can do nothing about."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = {
    # Its advice on hardware and loggers that ditflow has chosen; that it saw Ctrl-C, which is said.
    "lightning.pytorch": logging.WARNING,
    # Configuration entries that its own files have and it does not know; that a prompt is cut,
    # which `ditflow.utils.prompts` says.
    "diffusers": logging.ERROR,
    # Entries of configurations likewise; that a text is longer than its tokenizer's limit, which is
    # said as above; advice on how ditflow loads and calls it.
    "transformers": logging.ERROR,
}
"""From which on messages are of use, by logger, and what is below that."""

WARNINGS = {
    ".*does not have many workers.*": "the items are there already, nothing is to be loaded",
    ".*Checkpoint directory .* exists.*": "it is this run's own, which may be gone on with",
    ".*isinstance\\(treespec, LeafSpec\\).*": "Lightning calls what torch will remove",
    ".*instantiate_classes.*": "Lightning calls what jsonargparse will remove",
    ".*infer the batch indices.*": "files are named by what they hold, not by indices",
    ".*across ranks is zero.*": "a predict of which all is there already",
    ".*`training_step` returned `None`.*": "no optimisation was asked for",
    ".*lr_scheduler.step.*before.*optimizer.step.*": "likewise: there is no optimiser's step",
}
"""Patterns of warnings, and why a user can do nothing about each."""


@contextmanager
def notices_silenced() -> Iterator[None]:
    """Context that keeps our own lines readable; after it all is as it was.

    Loading bars are hidden of those libraries that are imported already.
    """
    levels = {name: logging.getLogger(name).level for name in LEVELS}
    modules = [sys.modules.get(f"{name}.utils.logging") for name in ("diffusers", "transformers")]
    showing = [module for module in modules if module and module.is_progress_bar_enabled()]
    with warnings.catch_warnings():
        if any(action == "error" for action, *_ in warnings.filters):
            # Of a caller's own code: a library's advice to this package would end a run.
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
        for message in WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        for name, level in LEVELS.items():
            logging.getLogger(name).setLevel(level)
        for module in showing:
            module.disable_progress_bar()
        try:
            yield
        finally:
            for name, before in levels.items():
                logging.getLogger(name).setLevel(before)
            for module in showing:
                module.enable_progress_bar()
