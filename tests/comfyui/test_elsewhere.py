"""`ditflow comfyui install`, and nodes whose work another Python does."""

import subprocess
import sys

import pytest
import torch

from ditflow.cli import main
from ditflow.comfyui.elsewhere import Promise, answer
from ditflow.comfyui.install import NAME
from ditflow.comfyui.values import packed, unpacked
from ditflow.errors import DitflowError

IN_COMFYUI = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Absent(MetaPathFinder):
    # All that ditflow needs beside torch and numpy.
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("lightning", "diffusers", "jsonargparse", "msgspec", "yaml"):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[1])
scope = {}
exec(Path(sys.argv[1], "custom_nodes", "ditflow_nodes.py").read_text(), scope)
nodes = scope["NODE_CLASS_MAPPINGS"]
assert scope["NODE_DISPLAY_NAME_MAPPINGS"]["DitflowFitMotion"] == "Fit motion (ditflow)"
assert nodes["DitflowFitMotion"].RETURN_TYPES == ("DITFLOW_MOTION", "IMAGE")
inputs = {name: node.INPUT_TYPES()["required"] for name, node in nodes.items()}
assert inputs["DitflowFitMotion"]["target"][0][1:] == ["latents", "positions"]
assert inputs["DitflowLoadMotion"]["file"][0] == ["walk.safetensors"]

import torch
from comfy import model_management, utils
backbone = nodes["DitflowLoadBackbone"]().run(preset="sprites-rope")[0]
frames = torch.rand(5, 64, 64, 3)
few = {"num_frames": 5, "steps": 2, "options": "optimization_steps: 1"}
motion, (video,) = nodes["DitflowFitMotion"]().run(
    backbone=backbone, frames=frames, prompts="a red ring", target="positions", **few
)
assert video.shape == (5, 64, 64, 3)
assert Path(motion.of["motion"]).is_file()
assert max(utils.shown) == 1 and model_management.unloaded == 1
assert not list(Path(sys.argv[1], "temp").rglob("*.npy"))
try:
    nodes["DitflowFitMotion"]().run(
        backbone=backbone, frames=frames, prompts="a red ring", options="objective: os.system"
    )
except ValueError as error:
    assert "options=objective cannot be set here" in str(error)
else:
    raise AssertionError("not refused")
model_management.stop_at = 0
try:
    nodes["DitflowFitMotion"]().run(backbone=backbone, frames=frames, prompts="a red ring")
except model_management.InterruptProcessingException:
    print("all is well")
"""


@pytest.mark.slow
def test_a_comfyui_without_what_ditflow_needs(comfyui):
    assert main(["comfyui", "install", str(comfyui), "--python", sys.executable]) == 0
    (comfyui / "models" / "ditflow").mkdir(parents=True)
    (comfyui / "models" / "ditflow" / "walk.safetensors").touch()
    command = [sys.executable, "-c", IN_COMFYUI, str(comfyui)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=comfyui)
    assert done.stdout == "all is well\n", done.stderr


def test_the_file_that_is_written(comfyui, capsys):
    assert main(["comfyui", "install", str(comfyui / "custom_nodes")]) == 0
    path = comfyui / "custom_nodes" / NAME
    assert f"Wrote {path}" in capsys.readouterr().out
    scope: dict = {}
    exec(path.read_text(), scope)
    assert "DitflowFitMotion" in scope["NODE_CLASS_MAPPINGS"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["nowhere"], "folder=nowhere has no custom_nodes; give the folder of ComfyUI"),
        ([".", "--python", "nowhere"], "python=nowhere is no virtual environment"),
        ([".", "--python", "/bin/false"], "python=/bin/false cannot import ditflow"),
    ],
)
def test_what_cannot_be_installed(args, expected, comfyui, monkeypatch, capsys):
    monkeypatch.chdir(comfyui)
    assert main(["comfyui", "install", *args]) == 2
    assert expected in capsys.readouterr().err
    assert not list((comfyui / "custom_nodes").iterdir())


def test_a_process_that_ends_is_said(comfyui):
    with pytest.raises(DitflowError, match="python=/bin/false ended with status 1"):
        answer("/bin/false", [], lambda done, total: None)


def test_values_come_back_as_they_were(tmp_path):
    frames, motion = torch.rand(2, 3, 4), Promise({"motion": "walk.safetensors"})
    given = [frames, 1, None, "a red ring", [frames], motion]
    there = packed(given, tmp_path, lambda value: value.of)
    back = unpacked(there, Promise)
    assert torch.equal(back[0], frames)
    assert back[1:4] == given[1:4]
    assert torch.equal(back[4][0], frames)
    assert back[5] == motion
