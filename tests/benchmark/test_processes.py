"""Several processes of one benchmark: one may die, the others finish, and a rerun completes it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from ditflow.benchmark.jobs import read_results
from ditflow.benchmark.processes import WATCH
from ditflow.cli import main
from tests.benchmark.test_benchmark import manifest

REPOSITORY = Path(__file__).parents[2]
TINY = {
    "data": {"num_frames": 9},
    "model": {"num_inference_steps": 2, "guided_share": 0.5, "optimization_steps": 1},
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
DITFLOW = ["-m", "ditflow.cli"]


def command(folder: Path, *options: str, **changes) -> list[str]:
    """Two methods on four references, of which each takes a second."""
    path, small = folder / "small.yaml", manifest(categories=["caption"], grid=8)
    small["references"]["init_args"]["count"] = 4
    small["backbones"] = {"rope": ["sprites-rope", TINY]}
    path.write_text(yaml.safe_dump(small | changes))
    return ["benchmark", "--config", str(path), *options]


def launched(folder: Path, out: Path, how: str, **changes) -> list[str]:
    """The command line of `processes 4`, `torchrun 2`, ..."""
    launcher, count, *more = how.split()
    given = command(folder, "--output", str(out), **changes)
    if launcher == "torchrun":
        return [*TORCHRUN, count, *more, *DITFLOW, *given]
    return [sys.executable, *DITFLOW, *given, "--processes", count]


def made(folder: Path) -> dict[str, tuple[dict[str, float], bytes]]:
    """Scores and video of each result."""
    found = read_results(folder)
    assert [r["error"] for r in found if "error" in r] == []
    return {r["file"]: (r["scores"], (folder / r["file"]).read_bytes()) for r in found}


def workers(launcher: subprocess.Popen) -> list[psutil.Process]:
    """The processes that do the work, in the order they were started."""
    found = []
    for process in psutil.Process(launcher.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if WATCH in process.environ():
                found.append(process)
    return sorted(found, key=psutil.Process.create_time)


def is_at_work(process: psutil.Process, out: Path) -> Path | None:
    """The job that a process has in hand, as the path of its mark."""
    for mark in out.glob("results/**/.*.begun"):
        with suppress(FileNotFoundError):
            if mark.read_text() == f"by process {process.pid}\n":
                return mark
    return None


def kill_at_work(process: psutil.Process, out: Path) -> Path | None:
    """Kill a process if it has a job in hand, which is told."""
    process.suspend()  # it would else be done meanwhile
    mark = is_at_work(process, out)
    process.resume() if mark is None else process.kill()
    return mark


def has_ended(process: psutil.Process) -> bool:
    """Within a minute; one that nobody has asked how it ended stays as a zombie."""
    for _ in range(600):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            process.wait(0.1)
        except psutil.NoSuchProcess:
            return True
        except psutil.TimeoutExpired:
            continue
    return False


def wait_for(launcher: subprocess.Popen, condition) -> None:
    """Until it holds, which it must before the launcher ends."""
    while not condition():
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it has ended with {launcher.wait(0.1)}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    """What a single process makes."""
    folder = tmp_path_factory.mktemp("alone")
    assert main(command(folder, "--output", str(folder / "out"))) == 0
    found = made(folder / "out")
    assert len(found) == 8
    return found


def finish(folder: Path, out: Path, how: str, alone: dict) -> None:
    """A rerun completes what is left, and makes what a single process makes."""
    kept = {path: path.stat().st_mtime_ns for path in out.glob("results/**/*.json")}
    with (folder / "log").open("w") as log:
        assert subprocess.run(launched(folder, out, how), stdout=log, stderr=log).returncode == 0
    assert made(out) == alone
    assert kept == {path: path.stat().st_mtime_ns for path in kept}  # none was made again
    assert not list(out.rglob("*.partial*"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["processes 4", "torchrun 2", "torchrun 4"])
def test_a_killed_process_takes_no_other_with_it(how, alone, tmp_path):
    out, count, killed = tmp_path / "out", int(how[-1]), []
    with (tmp_path / "log").open("w") as log:
        launcher = subprocess.Popen(launched(tmp_path, out, how), stdout=log, stderr=log)
        wait_for(launcher, lambda: len(workers(launcher)) == count)
        victim = workers(launcher)[1]
        # In the midst of the work: a first result is there, and others are to come.
        wait_for(launcher, lambda: list(out.glob("results/rope/*/clip-600002/*.json")))
        wait_for(launcher, lambda: killed.append(kill_at_work(victim, out)) or killed[-1])
        assert launcher.wait(300) == 1
    kept, left = made(out), killed[-1].relative_to(out).parent
    lost = {file for file in alone if Path(file).parent == left}
    assert len(lost) == 1
    assert set(kept) == set(alone) - lost  # the others have made all that was not in its hands
    assert kept == {file: alone[file] for file in kept}
    assert (out / "table.md").exists()
    assert "1 of 8 jobs have no result" in (tmp_path / "log").read_text()
    finish(tmp_path, out, how, alone)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["processes 2", "torchrun 2"])
def test_a_killed_parent_takes_its_workers_with_it(how, alone, tmp_path):
    """They would go on beside those of a rerun. Of torchrun the parent is a rank."""
    out = tmp_path / "out"
    with (tmp_path / "log").open("w") as log:
        launcher = subprocess.Popen(launched(tmp_path, out, how), stdout=log, stderr=log)
        wait_for(launcher, lambda: list(out.glob("results/rope/*/clip-600002/*.json")))
        working = workers(launcher)
        assert len(working) == 2
        working[1].parent().send_signal(signal.SIGKILL)
        assert launcher.wait(300) != 0
    assert all(map(has_ended, working))
    assert made(out) == {file: alone[file] for file in made(out)}
    finish(tmp_path, out, how, alone)


@pytest.mark.slow
def test_torchrun_may_begin_again_by_itself(alone, tmp_path):
    out = tmp_path / "out"
    given = launched(tmp_path, out, "torchrun 2 --max-restarts 1")
    with (tmp_path / "log").open("w") as log:
        launcher = subprocess.Popen(given, stdout=log, stderr=log)
        wait_for(launcher, lambda: list(out.glob("results/rope/*/clip-600002/*.json")))
        workers(launcher)[1].parent().send_signal(signal.SIGKILL)  # a rank
        assert launcher.wait(300) == 0
    assert made(out) == alone


@pytest.mark.slow
def test_a_failed_job_of_one_rank_stops_no_other(tmp_path):
    """Torchrun stops all ranks as soon as one has left with a failure."""
    methods = {"broken": ["ditflow-latents", {"model": {"block": 77}}], "plain": ["injection"]}
    references = manifest()["references"] | {"init_args": {"count": 1}}
    given = launched(
        tmp_path, tmp_path / "out", "torchrun 2", methods=methods, references=references
    )
    done = subprocess.run(given, capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 of 2 jobs have no result" in done.stdout
    results = read_results(tmp_path / "out")
    assert {r["method"]: "error" in r for r in results} == {"broken": True, "plain": False}


WORKER = """
import sys, threading
from ditflow.benchmark.processes import end_with_parent
from ditflow.utils.stopping import signals_as_interrupt
try:
    with signals_as_interrupt():
        end_with_parent()
        print("ready", flush=True)
        threading.Event().wait(60)
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_a_worker_ends_with_what_started_it():
    environment = os.environ | {"DITFLOW_ENDS_WITH_STDIN": "1"}
    pipe = subprocess.PIPE
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=pipe, stdout=pipe, env=environment, cwd=REPOSITORY
    )
    assert worker.stdout.readline() == b"ready\n"
    assert worker.poll() is None
    worker.stdin.close()  # as the system does when a process is killed
    assert worker.wait(30) == 7
    worker.stdout.close()


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


def test_torchrun_starts_the_processes_itself(tmp_path, monkeypatch, capsys):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    assert main(command(tmp_path, "--output", str(tmp_path / "out"), "--processes", "2")) == 2
    assert "processes=2 cannot be had under torchrun" in capsys.readouterr().err


def test_a_share_is_done_and_the_rest_left(tmp_path):
    out = tmp_path / "out"
    assert main(command(tmp_path, "--output", str(out), "--share", "2/8")) == 0
    (result,) = read_results(out)
    assert (result["method"], result["video"]) == ("ditflow", "clip-600002")
