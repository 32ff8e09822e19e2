"""Plans for what code of one's own loads, named by a `class_path`."""

from pathlib import Path

import pytest
import torch

from ditflow.backbones import Backbone, CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.backbones.cogvideox.loading import adapter
from ditflow.cli import main
from ditflow.plan.live_memory import LiveMemory
from ditflow.plan.recipe import prepare
from ditflow.settings.stacked import read_settings
from tests.conftest import tiny_pipeline


class Shapeless(CogVideoXBackbone):
    """A family that tells nothing for plans."""

    shapes = Backbone.shapes


def load_tiny(kind: str = "5b", shapes: bool = True) -> CogVideoXBackbone:
    """Without the argument names of `load_backbone`."""
    if not shapes:
        return Shapeless(tiny_pipeline(kind), f"tiny-{kind}")
    return adapter(tiny_pipeline(kind), f"tiny-{kind}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(
        "model:\n"
        f"  backbone: {{class_path: {__name__}.load_tiny, init_args: {{kind: 5b}}}}\n"
        "  block: 1\n  num_inference_steps: 2\n  optimization_steps: 1\n"
    )
    return path


def test_a_plan_says_what_a_fit_says(config, reference_video, tmp_path, capsys):
    assert main(["plan", "--config", str(config)]) == 0
    loading, *planned, verdict = capsys.readouterr().out.strip().splitlines()
    assert loading.startswith(f"Loading {__name__}.load_tiny")
    assert planned[0] == "tiny-5b, 9 frames of 32x32, float32, no memory saved"
    assert verdict.startswith("It fits")
    folder = ["--output", str(tmp_path / "out"), "--video", str(reference_video)]
    assert main(["fit", "--config", str(config), *folder, "--prompt", "a red ring"]) == 0
    assert capsys.readouterr().out.strip().splitlines()[: len(planned)] == planned


def test_another_family_is_planned_from_its_configurations():
    """Two depths of fake tensors tell a real run's passes and its VAE's."""
    loader = "tests.backbones.tiny_wan.loading.load_tiny_wan"
    planned = prepare(read_settings({"model": {"backbone": {"class_path": loader}, "block": 2}}))
    backbone, work = planned.backbone, planned.planner.work
    size = work.num_frames, work.height, work.width
    assert size == backbone.default_size()
    plan = planned.planner.plan({})
    weights = sum(
        weight.numel() * weight.itemsize
        for part in ("text_encoder", "vae", "transformer")
        for weight in getattr(backbone.pipeline, part).parameters()
    )
    assert plan.resident[0] == weights
    found = {phase.name: phase.working for phase in plan.phases}
    shape = backbone.latent_shape(*size)
    prompt = backbone.encode_prompt("a red ring")
    given = PassInput(torch.randn(shape), 500, prompt, backbone.positions(shape))
    for name, real_work in {
        "encoding the reference": lambda: backbone.encode_video(torch.rand(size[0], 3, *size[1:])),
        "denoising": lambda: backbone.denoise(given, prompt, 3.0),
        "decoding": lambda: backbone.decode_video(given.latents, size[0]),
    }.items():
        with LiveMemory() as live, torch.no_grad():
            real_work()
        assert found[name] == pytest.approx(live.peak, rel=0.05), name


def test_an_image_is_encoded_and_given_to_passes():
    plans = {}
    for kind in ("5b", "5b-i2v"):
        loader = {"class_path": f"{__name__}.load_tiny", "init_args": {"kind": kind}}
        planned = prepare(read_settings({"model": {"backbone": loader, "block": 1}}))
        plans[kind] = {phase.name: phase.working for phase in planned.planner.plan({}).phases}
    image = plans["5b-i2v"].pop("encoding the image")
    assert 0 < image < plans["5b"]["encoding the reference"]
    assert list(plans["5b"]) == list(plans["5b-i2v"])
    for name in ("encoding the reference", "decoding"):  # on the video's channels alone
        assert plans["5b"][name] == plans["5b-i2v"][name]
    assert plans["5b"]["denoising"] < plans["5b-i2v"]["denoising"]


def test_a_family_without_shapes_is_refused_in_one_line(config, capsys):
    config.write_text(config.read_text().replace("kind: 5b", "shapes: false"))
    assert main(["plan", "--config", str(config)]) == 2
    error = capsys.readouterr().err
    assert "family cogvideox of backbone tiny-5b tells no shapes to plan from" in error
    assert error.count("\n") == 1
