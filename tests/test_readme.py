"""The README's Python, run as it stands there."""

import re
from pathlib import Path

import torch

from ditflow.reading import read_video
from ditflow.video import write_video

README = Path(__file__).parents[1] / "README.md"


def block(containing: str) -> str:
    """The one Python block with a text in it."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [code for code in blocks if containing in code]
    return found


def test_fitting_in_python(tmp_path, monkeypatch, reference_video):
    monkeypatch.chdir(tmp_path)
    frames = torch.from_numpy(read_video(reference_video)).permute(0, 3, 1, 2) / 255
    write_video(frames, tmp_path / "ref.mp4")
    exec(compile(block("trainer.fit"), "README.md", "exec"), {})
    assert read_video(tmp_path / "runs/python/video.mp4").shape == (25, 64, 64, 3)
    assert (tmp_path / "runs/python/motion.safetensors").exists()


def test_a_pipeline_with_an_embedding(tmp_path, monkeypatch, reference_video):
    """The same lines with the embedded pipeline in the place of CogVideoX-5B on a GPU."""
    from ditflow.cli import main
    from ditflow.embedded import EMBEDDED

    monkeypatch.chdir(tmp_path)
    quick = ["--steps", "4", "--model.optimization_steps", "1", "--target", "positions"]
    run = ["--prompt", "a red circle on a gray background", "--output", "runs/leopard"]
    assert main(["fit", "--video", str(reference_video), *run, *quick]) == 0
    code = block("applied_to").replace("THUDM/CogVideoX-5b", str(EMBEDDED / "sprites-rope"))
    code = code.replace('.to("cuda")', "").replace("bfloat16", "float32")
    code = code.replace("**embedding", "max_sequence_length=16, **embedding")
    namespace: dict = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert len(namespace["video"]) == 25


def test_the_motion_flow_alone():
    namespace = {"query": torch.rand(2, 6 * 12, 16), "key": torch.rand(2, 6 * 12, 16)}
    code = block("motion_flow(").replace("30, 45", "3, 4")
    exec(compile(code, "README.md", "exec"), namespace)
    assert namespace["flow"].shape == (6, 6, 12, 2)
