"""What every node has, and the types of what goes from one to the next."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ditflow.callbacks import ProgressFile
from ditflow.comfyui import host
from ditflow.comfyui.widgets import Input
from ditflow.runs.progress import RunProgress

BACKBONE, MOTION = "DITFLOW_BACKBONE", "DITFLOW_MOTION"
"""Types of what goes from node to node."""

Inputs = dict[str, dict[str, Input]]


class Node:
    """What every node has: how far it is shows in ComfyUI's bar, and its stop button ends it.

    Args:
        progress: gives what shows it.
    """

    CATEGORY = "ditflow"
    FUNCTION = "run"

    DESCRIPTION = ""
    run: Callable[..., tuple[Any, ...]]

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        raise NotImplementedError

    def __init_subclass__(cls) -> None:
        cls.DESCRIPTION = cls.__doc__ or ""

    def __init__(self, progress: Callable[[], host.Show] = host.progress):
        self.progress = progress

    @contextmanager
    def working(self) -> Iterator[ProgressFile]:
        """Context of a node's work, as the callback of a run that shows it. ComfyUI has its nodes
        in torch's inference mode, of whose tensors no one can take a gradient."""
        host.make_room()
        with torch.inference_mode(False), torch.enable_grad(), _Shown(self.progress()) as shown:
            yield ProgressFile(shown)


class _Shown(RunProgress):
    """A run's progress, in a node's bar."""

    def __init__(self, show: host.Show):
        super().__init__()
        self.show = show

    def update(self, **changes: Any) -> None:
        super().update(**changes)
        self.show(round(1000 * self.now.fraction), 1000)


def typed(kind: str, tooltip: str) -> Input:
    return kind, {"tooltip": tooltip}
