"""A fit killed at any moment goes on with --resume, and ends with the identical result.

Real processes, ended by a signal that nothing catches: at a random time, or in the middle of the
writing of a file. `pytest -m slow tests/journeys/test_killed.py` does so in the writing of every
file, and at 20 random moments a target.
"""

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest
import torch

from ditflow import MotionEmbedding
from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
from ditflow.cli import main
from ditflow.runs.claim import claim
from ditflow.video.reading import read_video
from tests.pages.parsing import Page

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["ditflow.commands.fit_and_predict", "tensorboard"])


def run(args, log, writes, write=None, moment=None, interrupt=None, call=None, twice=None):
    """A process's work: a command, ended before its n-th flush of a file, or after a time.

    Args:
        args: of the command.
        log: file of all it says.
        writes: counts the files it flushed.
        write: the flush at which it is killed.
        moment: seconds after which it is killed.
        interrupt: the flush at which it is sent SIGTERM, as by a scheduler.
        call: the method of the backbone, and which call of it, in which it is killed.
        twice: seconds after which Ctrl-C is pressed twice, and between the two.
    """
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = Path(log).open("w")  # noqa: SIM115
    flush = os.fsync

    def counted(descriptor):
        writes.value += 1
        if writes.value == write:
            os.kill(os.getpid(), signal.SIGKILL)
        if writes.value == interrupt:
            os.kill(os.getpid(), signal.SIGTERM)
        flush(descriptor)

    os.fsync = counted
    if call is not None:
        kill_in(*call)
    if twice is not None:
        threading.Thread(target=press_twice, args=twice, daemon=True).start()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process
    signal.setitimer(signal.ITIMER_REAL, moment or 0)
    raise SystemExit(main(args))


def press_twice(moment, apart):
    for seconds in (moment, apart):
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)


def kill_in(method, number):
    """Have this process killed when a method of the backbone is called for the n-th time."""
    own, calls = getattr(CogVideoXBackbone, method), count(1)

    def killed(*args, **kwargs):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return own(*args, **kwargs)

    setattr(CogVideoXBackbone, method, killed)


def process(args, log, **ended):
    """Run a command in a process; its exit status and the files it flushed."""
    writes = CONTEXT.Value("q", 0, lock=False)
    child = CONTEXT.Process(target=run, args=(args, str(log), writes), kwargs=ended)
    child.start()
    child.join(300)
    assert child.exitcode is not None, "it hangs"
    return child.exitcode, writes.value


@pytest.fixture(
    scope="module", params=["latents", pytest.param("positions", marks=pytest.mark.slow)]
)
def command(request, reference_video) -> list[str]:
    prompt = "a blue square on a white background"
    return [
        *("fit", "--video", str(reference_video), "--prompt", prompt),
        *("--target", request.param, "--num-frames", "9", "--steps", "6"),
        *("--model.guided_share", "0.5", "--model.optimization_steps", "2"),
    ]


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """Its folder, how many files it flushes, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole")
    for _ in range(2):  # the reference is in the cache from the first on
        started = time.monotonic()
        given = [*command, "--output", str(folder / "run"), "--overwrite", "true"]
        status, writes = process(given, folder / "log")
        assert status == 0
    return folder / "run", writes, time.monotonic() - started


def goes_on(command, expected, folder):
    """Look at what a killed fit left, resume it, and compare the end."""
    if (folder / "motion.safetensors").exists():
        MotionEmbedding.load(folder / "motion.safetensors")
    for video in folder.glob("[!.]*.mp4"):
        read_video(video)
    for checkpoint in folder.glob("checkpoints/last.ckpt"):
        torch.load(checkpoint, weights_only=True)
    folder.mkdir(parents=True, exist_ok=True)  # killed before it made one
    log = folder.parent / "log"
    status, _ = process([*command, "--resume", str(folder)], log)
    assert status == 0, log.read_text()
    for name in ("motion.safetensors", "video.mp4"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    assert {path.name for path in folder.iterdir()} == {path.name for path in expected.iterdir()}


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_while_it_writes(every, command, undisturbed, tmp_path):
    expected, writes, _ = undisturbed
    assert writes >= 9  # command, configuration, three checkpoints, embedding, three videos
    for write in range(every - 1 or 1, writes + 1, every):
        folder = tmp_path / str(write)
        given = [*command, "--output", str(folder)]
        assert process(given, tmp_path / "log", write=write)[0] == -signal.SIGKILL
        goes_on(command, expected, folder)


@pytest.mark.parametrize("call", [("denoise", 5), ("decode_video", 1)])
def test_killed_after_the_last_guided_step(call, command, undisturbed, tmp_path):
    """In the second of three unguided steps, and in the decoding: both from the last checkpoint."""
    folder = tmp_path / "run"
    given = [*command, "--output", str(folder)]
    assert process(given, tmp_path / "log", call=call)[0] == -signal.SIGKILL
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert len(checkpoint["finished"]) == 3
    assert not (folder / "video.mp4").exists()
    goes_on(command, undisturbed[0], folder)


@pytest.mark.parametrize("moments", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(moments, command, undisturbed, tmp_path):
    expected, _, seconds = undisturbed
    chosen = random.Random(command[command.index("--target") + 1])
    for number in range(moments):
        folder = tmp_path / str(number)
        given = [*command, "--output", str(folder)]
        moment = chosen.uniform(0.1, 1) * seconds
        assert process(given, tmp_path / "log", moment=moment)[0] in (-signal.SIGALRM, 0)
        if not (folder / "video.mp4").exists():
            goes_on(command, expected, folder)


@pytest.mark.parametrize("moments", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_stopped_twice_it_ends_at_once_and_lets_go(moments, command, undisturbed, tmp_path):
    _, _, seconds = undisturbed
    chosen = random.Random(command[command.index("--target") + 1])
    longer = [*command, "--steps", "500", "--model.guided_share", "0.01"]
    for number in range(moments):
        folder, log = tmp_path / str(number), tmp_path / "log"
        twice = chosen.uniform(0.3, 1) * seconds, chosen.choice([0, 0.3]) * chosen.random()
        status, _ = process([*longer, "--output", str(folder)], log, twice=twice)
        assert status == 130
        assert "Traceback" not in log.read_text()
        with claim(folder):
            pass


@pytest.mark.parametrize(("flush", "killed"), [(3, None), (4, 5)])
def test_stopped_by_a_signal_it_says_how_to_go_on(flush, killed, command, undisturbed, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log"
    # The command, the configuration, the first guided step's checkpoint, then the second's.
    status, _ = process([*command, "--output", str(folder)], log, interrupt=flush)
    assert status == 130
    said = log.read_text()
    assert "Traceback" not in said
    assert f"--resume {folder}" in said
    assert "of 3 guided steps" in said
    assert "guided steps" in Page(folder / "index.html").text
    assert 0 < MotionEmbedding.load(folder / "motion.safetensors").header.guided_steps < 3
    if killed is not None:
        # Resumed, and killed between its last checkpoint and its embedding: that of the stopped run
        # is still there, with fewer steps than the checkpoint that is gone on from.
        given = [*command, "--resume", str(folder)]
        assert process(given, log, write=killed)[0] == -signal.SIGKILL
        checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        assert len(checkpoint["finished"]) == 3
        assert MotionEmbedding.load(folder / "motion.safetensors").header.guided_steps < 3
    goes_on(command, undisturbed[0], folder)
