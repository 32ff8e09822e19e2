"""Several processes of one benchmark: one may die, the others finish, and a rerun completes it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from ditflow.benchmark.jobs import read_results
from ditflow.cli import main
from tests.benchmark.test_benchmark import manifest


def command(folder: Path, *options: str) -> list[str]:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(manifest(categories=["caption"])))
    return ["benchmark", "--config", str(path), *options]


def scores(folder: Path) -> dict[str, dict[str, float]]:
    return {result["file"]: result["scores"] for result in read_results(folder)}


@pytest.mark.slow
def test_a_killed_process_takes_no_other_with_it(tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert main(command(tmp_path, "--output", str(alone))) == 0
    assert len(scores(alone)) == 4
    shared = command(tmp_path, "--output", str(out), "--processes", "2")
    parent = subprocess.Popen([sys.executable, "-m", "ditflow.cli", *shared])
    children: list[psutil.Process] = []
    while len(children) < 2:
        assert parent.poll() is None
        children = psutil.Process(parent.pid).children()
    (second,) = [child for child in children if "2/2" in child.cmdline()]
    os.kill(second.pid, signal.SIGKILL)
    assert parent.wait(300) == 1
    kept = scores(out)
    assert len(kept) >= 2  # all of the other process
    assert (out / "table.md").exists()
    assert main(shared) == 0
    assert scores(out) == scores(alone)
    assert kept == {file: scores(out)[file] for file in kept}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--share", "0/2"], "share=0/2"),
        (["--share", "3/2"], "share=3/2"),
        (["--share", "half"], "share=half"),
        (["--processes", "0"], "processes=0"),
        (["--processes", "2", "--share", "1/2"], "processes=2"),
    ],
)
def test_wrong_shares_are_one_line(options, message, tmp_path, capsys):
    given = command(tmp_path, "--output", str(tmp_path / "out"), *options)
    assert main(given) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_share_is_done_and_the_rest_left(tmp_path):
    out = tmp_path / "out"
    assert main(command(tmp_path, "--output", str(out), "--share", "2/4")) == 0
    (result,) = read_results(out)
    assert (result["method"], result["video"]) == ("ditflow", "clip-600002")
