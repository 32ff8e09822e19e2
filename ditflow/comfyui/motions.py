"""Nodes that keep motions in ComfyUI's models/ditflow, and take them from there."""

import torch

from ditflow.comfyui import host, widgets
from ditflow.comfyui.node import MOTION, Inputs, Node, typed
from ditflow.embedding.description import describe_embedding
from ditflow.embedding.motion_embedding import MotionEmbedding


class LoadMotion(Node):
    """Take a motion from ComfyUI's models/ditflow."""

    RETURN_TYPES = (MOTION, "STRING")
    RETURN_NAMES = ("motion", "description")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        said = "In models/ditflow: saved by a node, or the motion.safetensors of a fit."
        return {"required": {host.FILE: (host.motion_files(), {"tooltip": said})}}

    @classmethod
    def IS_CHANGED(cls, file: str) -> str:
        return host.stamp(file)

    def run(self, file: str) -> tuple[MotionEmbedding, str]:
        """The motion, and in a table what is in it."""
        with torch.inference_mode(False):
            motion = MotionEmbedding.load(host.find_motion(file))
        return motion, describe_embedding(motion)


class SaveMotion(Node):
    """Keep a motion in ComfyUI's models/ditflow, for Load motion, `ditflow predict` and others."""

    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("file",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        said = "Of the file; numbered where that is taken."
        name = widgets.text("motion", said, multiline=False)
        return {"required": {"motion": typed(MOTION, "Of a fit."), "name": name}}

    def run(self, motion: MotionEmbedding, name: str) -> tuple[str]:
        """The path of the file."""
        path = host.new_motion(name)
        motion.save(path)
        return (str(path),)
