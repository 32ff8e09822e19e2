"""Nodes for ComfyUI: fit a motion, look at it, reuse it."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.comfyui.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

# Where another Python runs ditflow, ComfyUI's own imports `elsewhere` alone, and has nothing else.
__getattr__ = importer(__name__, dict.fromkeys(__all__, "nodes"))
