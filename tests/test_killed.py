"""A fit killed at any moment goes on with --resume, and ends with the identical result.

Real processes, killed by SIGKILL at a counted event (a call of Python's or of C's), so that a
failure can be had again. `pytest -m slow tests/test_killed.py` kills at 20 random moments a target.
"""

import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path

import pytest
import torch

from ditflow import MotionEmbedding
from ditflow.cli import main
from ditflow.video import read_video

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["ditflow.cli", "decord", "tensorboard"])


def run(args, events, writes, moment=None, write=None):
    """A process's work: a command, killed before its n-th event or its n-th flush of a file.

    Args:
        args: of the command.
        events, writes: count what took place.
        moment, write: where to be killed.
    """
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115

    def watch(frame, event, function):
        events.value += 1
        writes.value += function is os.fsync
        if events.value == moment or (function is os.fsync and writes.value == write):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    status = main(args)
    sys.setprofile(None)
    raise SystemExit(status)


def process(args, **at):
    """Run a command in a process; its exit status, events and writes."""
    events, writes = CONTEXT.Value("q", 0, lock=False), CONTEXT.Value("q", 0, lock=False)
    child = CONTEXT.Process(target=run, args=(args, events, writes), kwargs=at)
    child.start()
    child.join(120)
    assert child.exitcode is not None, "it hangs"
    return child.exitcode, events.value, writes.value


@pytest.fixture(scope="module", params=["latents", "positions"])
def command(request, reference_video) -> list[str]:
    return [
        *(
            "fit",
            "--video",
            str(reference_video),
            "--prompt",
            "a blue square on a white background",
        ),
        *("--target", request.param, "--num-frames", "9", "--steps", "6"),
        *("--model.guided_share", "0.5", "--model.optimization_steps", "2"),
    ]


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """Its folder, and how many events and writes it takes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process([*command, "--output", str(folder)])  # the reference is in the cache from now on
    status, events, writes = process([*command, "--output", str(folder), "--overwrite", "true"])
    assert status == 0
    return folder, events, writes


def check_goes_on(command, undisturbed, folder, **at):
    """Kill a fit, look at what it left, resume it, and compare the end."""
    expected, events, _ = undisturbed
    status, reached, _ = process([*command, "--output", str(folder)], **at)
    assert status == -signal.SIGKILL
    assert reached <= events * 1.1
    if (folder / "motion.safetensors").exists():
        MotionEmbedding.load(folder / "motion.safetensors")
    for video in folder.glob("*.mp4"):
        if not video.name.startswith("."):
            read_video(video)
    for checkpoint in folder.glob("checkpoints/last.ckpt"):
        torch.load(checkpoint, weights_only=True)
    folder.mkdir(parents=True, exist_ok=True)  # killed before it made one
    status, *_ = process([*command, "--resume", str(folder)])
    assert status == 0
    for name in ("motion.safetensors", "video.mp4"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    assert {path.name for path in folder.iterdir()} == {path.name for path in expected.iterdir()}


def test_killed_while_it_writes(command, undisturbed, tmp_path):
    writes = undisturbed[2]
    for write in range(1, writes + 1):
        check_goes_on(command, undisturbed, tmp_path / str(write), write=write)


@pytest.mark.parametrize("moments", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(moments, command, undisturbed, tmp_path):
    chosen = random.Random(command[command.index("--target") + 1])
    for number in range(moments):
        moment = chosen.randrange(undisturbed[1])
        check_goes_on(command, undisturbed, tmp_path / str(number), moment=moment)
