"""The nodes. Each is a class as ComfyUI takes it, and calls what the commands and Python call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ditflow.assembly.calls import fit, predict
from ditflow.assembly.loading import load
from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import load_backbone
from ditflow.comfyui import widgets
from ditflow.comfyui.frames import as_images, as_mask, as_video, first_of
from ditflow.comfyui.motions import LoadMotion, SaveMotion
from ditflow.comfyui.node import BACKBONE, MOTION, Inputs, Node, typed
from ditflow.comfyui.widgets import UNSET, Input
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.preview.reading import Preview, as_table, check_flow
from ditflow.settings.options import DEFAULT_PRESET
from ditflow.settings.stacked import read_settings
from ditflow.utils.shipped import PRESETS, shipped_files


@dataclass(frozen=True)
class PresetBackbone:
    """A loaded backbone, and the preset that says how a motion is fitted on it."""

    preset: str
    backbone: Backbone


class LoadBackbone(Node):
    """Load a model for the other nodes of ditflow."""

    RETURN_TYPES = (BACKBONE,)
    RETURN_NAMES = ("backbone",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        known = widgets.options_of(load_backbone)
        presets = list(shipped_files(f"{PRESETS}/models"))
        said = "The model, and the numbers that a motion is fitted with on it."
        folder = f"In place of the preset's, such as a folder that is here: {known['name'].said}"
        return {
            "required": {"preset": (presets, {"default": DEFAULT_PRESET, "tooltip": said})},
            "optional": {
                "folder": widgets.text("", folder, multiline=False),
                "dtype": widgets.menu(known["dtype"]),
                "offload": widgets.menu(known["offload"]),
                "options": widgets.more_options(widgets.plain(known)),
            },
        }

    def run(
        self,
        preset: str,
        folder: str = "",
        dtype: str = UNSET,
        offload: str = UNSET,
        options: str = "",
    ) -> tuple[PresetBackbone]:
        """Load it; nothing is downloaded but what the preset, or `folder`, names on the hub."""
        given = _said(name=folder.strip(), dtype=dtype, offload=offload)
        given |= widgets.parse_options(options, widgets.options_of(load_backbone))
        with self.working():
            settings = read_settings(preset, {"model": {"backbone": {"init_args": given}}})
            return (PresetBackbone(preset, load(settings)),)


class PreviewMotion(Node):
    """Show the motion that a fit would read of a video, and say what is wrong with it."""

    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING")
    RETURN_NAMES = ("picture", "video", "findings")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        known = widgets.run_options()
        return {
            "required": _reference(),
            "optional": {
                "mask": typed("MASK", known["mask"].said),
                "num_frames": widgets.count(known["num_frames"], "the model's own"),
            },
        }

    def run(
        self,
        backbone: PresetBackbone,
        frames: torch.Tensor,
        mask: torch.Tensor | None = None,
        num_frames: int = 0,
    ) -> tuple[torch.Tensor, torch.Tensor, str]:
        """A picture [1, h, w, 3], a video [T, h, w, 3], and in words what the motion is and what
        would make a fit a waste of time."""
        with self.working():
            settings = read_settings(backbone.preset)
            check_flow(settings, f"preset={backbone.preset}")
            given = _said(mask=as_mask(mask), num_frames=num_frames)
            model = backbone.backbone
            shown = Preview.of(settings, model, as_video(frames), cache=False, **given)
            sheet = shown.sheet()
            picture = torch.from_numpy(np.array(sheet.picture())).float()[None] / 255
            said = [sheet.title, as_table(sheet.motion), *(f"Warning: {n}" for n in sheet.notes)]
            return picture, as_images(sheet.video()), "\n".join(said)


class FitMotion(Node):
    """Learn the motion of a video, and make a new video with it for each prompt."""

    RETURN_TYPES = (MOTION, "IMAGE")
    RETURN_NAMES = ("motion", "videos")
    OUTPUT_IS_LIST = (False, True)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        known = widgets.run_options()
        methods = [UNSET, *shipped_files(f"{PRESETS}/methods")]
        said = "Another way to fit, over the preset."
        return {
            "required": {
                **_reference(),
                "prompts": widgets.text("", "Of the videos to make, one a line."),
                "target": widgets.menu(known["target"]),
                "seed": widgets.seed(known["seed"]),
            },
            "optional": {
                "mask": typed("MASK", known["mask"].said),
                "image": typed("IMAGE", known["image"].said),
                "method": (methods, {"default": UNSET, "tooltip": said}),
                "num_frames": widgets.count(known["num_frames"], "the model's own"),
                "steps": widgets.count(known["steps"], "the preset's"),
                "options": widgets.more_options(widgets.plain(known)),
            },
        }

    def run(
        self,
        backbone: PresetBackbone,
        frames: torch.Tensor,
        prompts: str,
        target: str = UNSET,
        seed: int = 0,
        mask: torch.Tensor | None = None,
        image: torch.Tensor | None = None,
        method: str = UNSET,
        num_frames: int = 0,
        steps: int = 0,
        options: str = "",
    ) -> tuple[MotionEmbedding, list[torch.Tensor]]:
        """The motion, and for each prompt a video [T, h, w, 3]."""
        given = _said(target=target, num_frames=num_frames, steps=steps) | {"seed": seed}
        given |= widgets.parse_options(options, widgets.run_options())
        with self.working() as shown:
            made = fit(
                as_video(frames),
                prompts.splitlines(),
                config=[backbone.preset, *_said(method=method).values()],
                backbone=backbone.backbone,
                mask=as_mask(mask),
                image=first_of(image),
                progress=False,
                callbacks=[shown],
                **given,
            )
            return made.embedding, [as_images(video) for video in made.videos]


class ApplyMotion(Node):
    """Put a motion into new videos: no optimisation, and no reference video."""

    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("videos",)
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        known = widgets.run_options()
        seed = widgets.Option(int, "Of the video; -1: the fit's, which carries the motion best.")
        prompts = "Of the videos to make, one a line; by default the fit's."
        return {
            "required": {
                "backbone": typed(BACKBONE, "That was fitted on."),
                "motion": typed(MOTION, "Of a fit, or a file."),
                "prompts": widgets.text("", prompts),
                "seed": widgets.seed(seed, -1),
            },
            "optional": {
                "image": typed("IMAGE", known["image"].said),
                "options": widgets.more_options(widgets.plain(known)),
            },
        }

    def run(
        self,
        backbone: PresetBackbone,
        motion: MotionEmbedding,
        prompts: str = "",
        seed: int = -1,
        image: torch.Tensor | None = None,
        options: str = "",
    ) -> tuple[list[torch.Tensor]]:
        """For each prompt a video [T, h, w, 3]."""
        given: dict[str, Any] = {**widgets.parse_options(options, widgets.run_options())}
        with self.working() as shown:
            videos = predict(
                motion,
                prompts.splitlines() or None,
                seeds=None if seed < 0 else seed,
                backbone=backbone.backbone,
                image=first_of(image),
                progress=False,
                callbacks=[shown],
                **given,
            )
            return ([as_images(video) for video in videos],)


NODES: Sequence[tuple[str, type[Node]]] = (
    ("Load backbone", LoadBackbone),
    ("Preview motion", PreviewMotion),
    ("Fit motion", FitMotion),
    ("Apply motion", ApplyMotion),
    ("Load motion", LoadMotion),
    ("Save motion", SaveMotion),
)

NODE_CLASS_MAPPINGS: Mapping[str, type[Node]] = {f"Ditflow{n.__name__}": n for _, n in NODES}
"""By the names that workflows have."""

NODE_DISPLAY_NAME_MAPPINGS: Mapping[str, str] = {
    f"Ditflow{node.__name__}": f"{title} (ditflow)" for title, node in NODES
}


def _reference() -> dict[str, Input]:
    frames = "The reference: frames of a video, at as many a second as the model makes."
    return {
        "backbone": typed(BACKBONE, "Of Load backbone."),
        "frames": typed("IMAGE", frames),
    }


def _said(**options: Any) -> dict[str, Any]:
    """Those that were set to something."""
    unset = (None, "", 0, UNSET)
    return {n: v for n, v in options.items() if isinstance(v, torch.Tensor) or v not in unset}
