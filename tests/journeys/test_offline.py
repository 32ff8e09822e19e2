"""Nothing reaches for the network unless the user names a hub model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = """
import socket, sys

own = socket.socket.connect

def connect(self, address):
    local = self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1", "localhost")
    if not local:
        print("REACHED FOR", address, file=sys.stderr, flush=True)
        raise OSError("no network in this test")
    return own(self, address)

def refuse(host, *args, **kwargs):
    if host not in (None, "", "localhost", "127.0.0.1", "::1", socket.gethostname()):
        print("REACHED FOR", host, file=sys.stderr, flush=True)
        raise socket.gaierror("no network in this test")
    return resolve(host, *args, **kwargs)

resolve, socket.getaddrinfo = socket.getaddrinfo, refuse
socket.socket.connect = socket.socket.connect_ex = connect
"""
"""A `sitecustomize`, so that it also holds in processes that these start."""

QUICK = ["--steps", "6", "--model.guided_share", "0.4", "--model.optimization_steps", "1"]


@pytest.fixture
def run(tmp_path):
    """Run a module where no socket but loopback's connects; its exit status and output."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    environment = {
        name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE",)
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "guard"), str(Path.cwd())])

    def started(*args: str) -> tuple[int, str]:
        command = [sys.executable, "-m", *args]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return started


def test_the_guard_works(run, tmp_path):
    (tmp_path / "guard" / "reach.py").write_text(
        "import urllib.request; urllib.request.urlopen('http://example.com', timeout=5)"
    )
    status, said = run("reach")
    assert status == 1
    assert "REACHED FOR example.com" in said


def test_fit_predict_and_test_stay_here(run, reference_video, tmp_path):
    out, prompt = tmp_path / "fit", "a blue square on a white background"
    given = ["--video", str(reference_video), "--prompt", prompt, "--output", str(out), *QUICK]
    commands = [
        ["fit", *given],
        [*("predict", "--embedding", str(out / "motion.safetensors"), "--prompts", prompt)],
        ["test", "--videos", str(out / "video.mp4"), "--video", str(reference_video)],
    ]
    commands[1] += ["--output", str(tmp_path / "predicted")]
    commands[2] += ["--prompts", prompt, "--output", str(tmp_path / "scored")]
    # In one process, for the sake of its imports.
    (tmp_path / "guard" / "commands.py").write_text(
        f"from ditflow.cli import main\nfor command in {commands!r}:\n    assert main(command) == 0"
    )
    status, said = run("commands")
    assert status == 0, said
    assert "REACHED FOR" not in said
    assert (tmp_path / "scored" / "scores.csv").exists()


def test_a_named_hub_model_is_reached_for(run, reference_video, tmp_path):
    given = ["--video", str(reference_video), "--prompt", "a", "--output", str(tmp_path / "out")]
    status, said = run("ditflow.cli", "fit", *given, "--backbone", "nobody/nothing")
    assert status == 2
    assert "REACHED FOR huggingface.co" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_demo_stays_here(run, tmp_path):
    status, said = run("ditflow.cli", "demo", "--output", str(tmp_path / "demo"))
    assert status == 0, said
    assert "REACHED FOR" not in said
