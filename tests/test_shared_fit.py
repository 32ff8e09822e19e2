"""Positions fitted to several prompts by several processes: as by one, and refused where not."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ditflow import DitflowError, MotionEmbedding
from ditflow.reading import read_video
from ditflow.sharing import check_shared

PROMPTS = ["a blue square on a white background", "a red ring on a black background"]


def fit(video: Path, folder: Path, *options: str, prompts: list[str] = PROMPTS) -> tuple[int, str]:
    """In a process of its own, which starts the others."""
    command = [sys.executable, "-m", "ditflow.cli", "fit", "--video", str(video)]
    command += ["--prompts", *prompts, "--output", str(folder), "--num-frames", "9"]
    command += ["--target", "positions", "--steps", "6", "--model.guided_share", "0.5"]
    command += ["--model.optimization_steps", "2", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def two(reference_video, tmp_path_factory) -> tuple[Path, Path]:
    """The same fit by one process and by two."""
    folder = tmp_path_factory.mktemp("shared")
    for name, devices in (("one", "1"), ("two", "2")):
        status, said = fit(reference_video, folder / name, "--trainer.devices", devices)
        assert status == 0, said
    return folder / "one", folder / "two"


def test_two_processes_fit_what_one_does(two):
    one, other = (MotionEmbedding.load(folder / "motion.safetensors") for folder in two)
    assert one.header == other.header
    moved = one.tensors["positions"].abs().max()
    difference = (one.tensors["positions"] - other.tensors["positions"]).abs().max()
    assert difference < 1e-3 * moved
    names = {path.name for path in two[0].glob("*.mp4")}
    assert names == {path.name for path in two[1].glob("*.mp4")}
    assert len(names) == 4
    for name in names:
        a, b = (read_video(folder / name).astype(int) for folder in two)
        assert a.shape == b.shape
        assert abs(a - b).mean() < 1


def test_the_checkpoint_holds_every_process_latents(two, reference_video, tmp_path):
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["samplers"]
        for folder in two
    )
    assert len(one) == len(other) == 2
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a["latents"], b["latents"], rtol=0, atol=1e-3)
    # So one process can go on from the checkpoint of two.
    status, said = fit(reference_video, tmp_path / "on", "--resume", str(two[1]))
    assert status == 0, said
    saved = (two[1] / "motion.safetensors").read_bytes()
    assert (tmp_path / "on" / "motion.safetensors").read_bytes() == saved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "latents"}, "nothing to share with target=latents"),
        ({"optimization_steps": 0}, "nothing to share with optimization_steps=0"),
        ({"prompts": [*PROMPTS, "a pink cross"]}, "3 prompts cannot be shared evenly by 2"),
    ],
)
def test_what_cannot_be_shared_is_refused(given, message):
    """Before anything is asked of the other processes."""
    prompts = SimpleNamespace(prompts=given.pop("prompts", PROMPTS))
    trainer = SimpleNamespace(world_size=2, global_rank=0, datamodule=prompts)
    module = SimpleNamespace(**{"target": "positions", "optimization_steps": 5} | given)
    with pytest.raises(DitflowError, match=message):
        check_shared(trainer, module)


@pytest.mark.slow
def test_uneven_shares_are_refused_on_the_command_line(reference_video, tmp_path):
    out, prompts = tmp_path / "out", [*PROMPTS, "a pink cross"]
    status, said = fit(reference_video, out, "--trainer.devices", "2", prompts=prompts)
    assert status == 2
    assert "3 prompts cannot be shared evenly by 2 processes" in said
    assert "Traceback" not in said
    assert not list(out.glob("*.mp4"))
