"""Notices of libraries that a user can do nothing about."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = {
    "lightning.pytorch": logging.WARNING,
    "diffusers": logging.ERROR,
    "transformers": logging.ERROR,
}
"""From which on messages are of use, by logger."""

WARNINGS = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",
    ".*instantiate_classes.*",
    ".*infer the batch indices.*",
    ".*across ranks is zero.*",
    ".*`training_step` returned `None`.*",
    ".*lr_scheduler.step.*before.*optimizer.step.*",
)
"""Patterns of warnings that mean nothing here."""


@contextmanager
def notices_silenced() -> Iterator[None]:
    """Context that keeps our own lines readable; after it all is as it was.

    Loading bars are hidden of those libraries that are imported already.
    """
    levels = {name: logging.getLogger(name).level for name in LEVELS}
    modules = [sys.modules.get(f"{name}.utils.logging") for name in ("diffusers", "transformers")]
    showing = [module for module in modules if module and module.is_progress_bar_enabled()]
    with warnings.catch_warnings():
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
