"""The worked examples of docs/extending.md."""

from pathlib import Path

import pytest
import torch

from ditflow.backbones.base import BlockFeatures
from ditflow.cli import main

ROOT = Path(__file__).parents[2]


def test_an_objective_of_ones_own(reference_video, tmp_path, capsys):
    from ditflow.examples.frame_differences import FrameDifferences

    torch.manual_seed(0)
    frames = torch.randn(3, 4, 5)
    outputs = BlockFeatures(frames.flatten(0, 1).requires_grad_(), (3, 2, 2))
    objective = FrameDifferences(stride=2)
    reference = objective.reference(outputs).detach()
    assert torch.equal(reference, frames[2:] - frames[:-2])
    assert objective.loss(outputs, reference).item() == pytest.approx(0, abs=1e-6)
    assert objective.loss(outputs, -reference).item() == pytest.approx(2, abs=1e-6)

    fit = ["fit", "--video", str(reference_video), "--prompt", "a red ring on a gray background"]
    chosen = ["--model.objective", "ditflow.examples.frame_differences.FrameDifferences"]
    chosen += ["--model.objective.stride", "2", "--steps", "2", "--model.guided_share", "0.5"]
    assert main([*fit, *chosen, "--num-frames", "9", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "video.mp4").exists()
    assert "FrameDifferences" in (tmp_path / "config.yaml").read_text()


def test_the_documentation_shows_this_file():
    shown = (ROOT / "docs" / "extending.md").read_text()
    shipped = (ROOT / "ditflow" / "examples" / "frame_differences.py").read_text()
    assert f"\n{shipped}```" in shown
