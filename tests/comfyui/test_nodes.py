"""The nodes in a ComfyUI's process, by the workflows that are shipped."""

import json
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from ditflow.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from ditflow.comfyui.install import WORKFLOWS
from ditflow.comfyui.motions import LoadMotion, SaveMotion
from ditflow.comfyui.nodes import FitMotion, LoadBackbone, PresetBackbone
from ditflow.comfyui.widgets import UNSET, plain, run_options
from ditflow.errors import DitflowError
from ditflow.settings.stacked import read_settings
from ditflow.sprites.render import render
from tests.comfyui.graph import run
from tests.conftest import straight_clip

FEW = "optimization_steps: 1\nguided_share: 0.5"


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """[T, h, w, 4], with alpha."""
    video = render([straight_clip(9)])[0].movedim(1, -1)
    return torch.cat([video, torch.ones_like(video[..., :1])], -1)


def workflow(name: str, **changes: object) -> dict:
    """A shipped one, with few steps."""
    read = json.loads((WORKFLOWS / f"{name}.json").read_text())
    for node in read.values():
        node["inputs"] |= {key: value for key, value in changes.items() if key in node["inputs"]}
    return read


def others(frames: torch.Tensor, saved: list) -> dict:
    """ComfyUI's own nodes in the workflows, of which one gives frames and one takes videos."""
    return {
        "LoadVideo": lambda file: (file,),
        "GetVideoComponents": lambda video: (frames, None, 8.0),
        "CreateVideo": lambda images, fps: (images,),
        "SaveVideo": lambda video, **_: saved.extend(video) or (),
        "PreviewImage": lambda images: (),
        "PreviewAny": lambda source: (),
    }


def test_the_shipped_workflows(frames, comfyui):
    videos: list[torch.Tensor] = []
    few = workflow("fit", num_frames=9, steps=4)
    few["7"]["inputs"]["options"] = FEW
    made = run(few, NODE_CLASS_MAPPINGS, others(frames, videos))
    picture, _, said = made["4"]
    assert picture.shape[0] == 1
    assert picture.shape[-1] == 3
    assert "the frames given on sprites-rope, 9 frames of 64x64, 3 x 8 x 8 tokens" in said
    assert "Warning" not in said
    assert made["7"][0].header.target == "positions"
    assert len(made["7"][0].header.timesteps) == 4
    assert Path(made["8"][0]) == comfyui / "models" / "ditflow" / "motion.safetensors"
    reused = run(workflow("reuse"), NODE_CLASS_MAPPINGS, others(frames, videos))
    assert "positions (coordinates)" in reused["2"][1]
    assert [video.shape for video in videos] == [(9, 64, 64, 3)] * 3
    assert all(video.min() >= 0 and video.max() <= 1 for video in videos)
    assert not torch.equal(videos[1], videos[2])

    from comfy import model_management, utils

    assert model_management.unloaded >= 3
    assert min(utils.shown) == 0
    assert max(utils.shown) == 1


def test_a_fit_is_pythons_to_the_bit_and_a_mask_counts(frames, rope):
    import ditflow

    few = {"steps": 4, "optimization_steps": 1, "guided_share": 0.5, "num_frames": 9}
    prompt, mask = "a red ring on a black background", torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    theirs = ditflow.fit(
        frames[..., :3].movedim(-1, 1), prompt, backbone=rope, mask=mask, progress=False, **few
    )
    backbone, given = PresetBackbone("sprites-rope", rope), {"num_frames": 9, "steps": 4}
    with torch.inference_mode():
        motion, (video,) = FitMotion().run(
            backbone, frames, prompt, mask=mask[:, None], options=FEW, **given
        )
    assert motion.header == theirs.embedding.header
    assert motion.header.masked
    assert torch.equal(video, theirs.videos[0].movedim(1, -1))


def test_the_stop_button_ends_a_fit_and_all_goes_on_as_before(frames, rope, comfyui):
    from comfy import model_management, utils

    model_management.stop_at = 3
    ended: list[BaseException] = []

    def stopped() -> None:
        try:
            FitMotion().run(PresetBackbone("sprites-rope", rope), frames, "a red ring", steps=4)
        except BaseException as error:
            ended.append(error)

    thread = Thread(target=stopped)  # as ComfyUI has its nodes
    thread.start()
    thread.join()
    assert type(ended[0]) is model_management.InterruptProcessingException
    assert len(utils.shown) == 3
    model_management.stop_at = None
    given = {"steps": 4, "num_frames": 9, "options": FEW}
    FitMotion().run(PresetBackbone("sprites-rope", rope), frames, "a red ring", **given)


def test_motions_are_listed_numbered_and_kept_inside(frames, comfyui, monkeypatch):
    def listed() -> list[str]:
        return LoadMotion.INPUT_TYPES()["required"]["file"][0]

    assert listed() == []
    with pytest.raises(DitflowError, match="file=walk.safetensors is not in"):
        LoadMotion().run("walk.safetensors")

    class Motion:
        """What is saved is not looked at here."""

        def save(self, path: Path) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    for name in ("walk", "walk", "people/run.safetensors"):
        SaveMotion().run(Motion(), name)
    (comfyui / "shared").mkdir()
    (comfyui / "shared" / "more.safetensors").touch()
    expected = ["more", "people/run", "walk-2", "walk"]
    assert listed() == [f"{name}.safetensors" for name in expected]
    before = LoadMotion.IS_CHANGED("walk.safetensors")
    (comfyui / "models" / "ditflow" / "walk.safetensors").write_bytes(b"other")
    assert LoadMotion.IS_CHANGED("walk.safetensors") != before
    for name in ("../out", "", "/tmp/out", "a/../../../out"):
        with pytest.raises(DitflowError, match="is no name of a file"):
            SaveMotion().run(Motion(), name)
    (comfyui / "secret.safetensors").touch()
    with pytest.raises(DitflowError, match="is not in"):
        LoadMotion().run("../../secret.safetensors")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("objective: os.system", "options=objective cannot be set here; there are"),
        ("backbone: sprites-sincos", "options=backbone cannot be set here"),
        ("mask: /etc/passwd", "options=mask cannot be set here"),
        ("steps 4", "options=steps 4 is no `name: value`"),
        ("steps: many", "num_inference_steps"),
        ("seeds: 1", "options=seeds cannot be set here"),
    ],
)
def test_what_a_strangers_workflow_cannot_set(options, expected, frames, rope):
    with pytest.raises(DitflowError, match=expected):
        FitMotion().run(PresetBackbone("sprites-rope", rope), frames, "a red ring", options=options)


def test_options_of_loading():
    (loaded,) = LoadBackbone().run("sprites-rope", "sprites-sincos", options="vae_slicing: true")
    assert loaded.backbone.name == "sprites-sincos"
    assert loaded.backbone.recorded_options["vae_slicing"] is True
    with pytest.raises(DitflowError, match="offload=model moves weights"):
        LoadBackbone().run("sprites-rope", offload="model", options="device: cpu")


def test_inputs_say_what_the_options_say(comfyui):
    for name, node in NODE_CLASS_MAPPINGS.items():
        assert NODE_DISPLAY_NAME_MAPPINGS[name].endswith("(ditflow)")
        assert node.DESCRIPTION
        for section in node.INPUT_TYPES().values():
            for kind, more in section.values():
                assert more["tooltip"]
                if isinstance(kind, list) and "default" in more:
                    assert more["default"] in kind
    inputs = FitMotion.INPUT_TYPES()
    assert inputs["required"]["target"][0] == [UNSET, "latents", "positions"]
    assert "latents" in inputs["required"]["target"][1]["tooltip"]
    assert inputs["required"]["seed"][1]["control_after_generate"] is False
    assert {"guidance_scale", "injection", "confidence", "crop"} <= set(plain(run_options()))
    assert "guidance_scale" in inputs["optional"]["options"][1]["tooltip"]
    assert json.dumps(inputs)  # ComfyUI sends it to its page
    assert read_settings("sprites-rope").model["seed"] == inputs["required"]["seed"][1]["default"]
    assert np.iinfo(np.uint64).max == inputs["required"]["seed"][1]["max"]
