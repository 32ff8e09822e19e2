"""Without what only Linux has, taken away one by one; no other system was at hand."""

import builtins
import io
import json
import locale
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from ditflow.app import jobs_in_turn
from ditflow.benchmark import references
from ditflow.benchmark.jobs import read_results
from ditflow.cli import main, run
from ditflow.errors import DitflowError
from ditflow.plan.machine import this_machine
from ditflow.runs.predictions import slug
from ditflow.settings.options import expand
from ditflow.utils import files, stopping
from tests.benchmark.test_processes import command
from tests.journeys.conftest import PROMPT, QUICK

TINY = [*QUICK[2:], "--steps", "3", "--num-frames", "9"]

TAKEN_AWAY = """
import builtins, io, signal, sys
import psutil  # whose code for Linux, which others have not, needs both
sys.modules["resource"] = None
for name in ("SIGHUP", "pthread_kill"):
    if hasattr(signal, name):
        delattr(signal, name)
plain = io.open
def no_proc(file, *args, **kwargs):
    if str(file).startswith("/proc"):
        raise PermissionError(13, "Permission denied", str(file))
    return plain(file, *args, **kwargs)
io.open = builtins.open = no_proc
"""
"""A sitecustomize: Python imports it as it starts."""


@pytest.fixture
def without(request, monkeypatch):
    """One of these taken away."""
    if request.param == "resource":
        monkeypatch.setitem(sys.modules, "resource", None)
    elif request.param == "proc":
        plain = io.open

        def refusing(file, *args, **kwargs):
            if str(file).startswith("/proc"):
                raise PermissionError(13, "Permission denied", str(file))
            return plain(file, *args, **kwargs)

        monkeypatch.setattr(io, "open", refusing)
        monkeypatch.setattr(builtins, "open", refusing)
    else:
        if request.param == "win32":
            monkeypatch.delattr(signal, "SIGHUP")
            monkeypatch.delattr(signal, "pthread_kill")
            monkeypatch.setattr(stopping, "SIGNALS", (signal.SIGINT, signal.SIGTERM))
        system = SimpleNamespace(**{**vars(sys), "platform": request.param})
        for module in (files, references):
            monkeypatch.setattr(module, "sys", system)


def journey(video: Path, folder: Path) -> None:
    """Preview, fit and predict as typed."""
    common = ["--video", str(video), "--num-frames", "9"]
    assert main(["preview", *common, "--output", str(folder / "preview")]) == 0
    given = ["fit", *common, "--prompt", PROMPT, "--output", str(folder / "fit")]
    assert main([*given, "--target", "positions", *TINY]) == 0
    given = ["--embedding", str(folder / "fit"), "--prompts", "日本 a red ring"]
    assert main(["predict", *given, "--output", str(folder / "predict")]) == 0
    assert (folder / "predict" / "日本-a-red-ring-seed0.mp4").exists()


@pytest.mark.parametrize(
    "without",
    ["resource", "proc", "win32", pytest.param("darwin", marks=pytest.mark.slow)],
    indirect=True,
)
def test_a_journey_without(without, reference_video, tmp_path):
    journey(reference_video, tmp_path)


def test_memory_that_the_system_does_not_tell_is_asked_for(monkeypatch):
    def refuse():
        raise PermissionError

    assert this_machine("cpu").memory > 2**20
    monkeypatch.setattr("psutil.virtual_memory", refuse)
    with pytest.raises(DitflowError, match="give --memory, in GiB"):
        this_machine("cpu")


def test_an_open_file_is_replaced_once_it_is_closed(tmp_path, monkeypatch):
    tries, replace = [], Path.replace

    def refusing(own, path):
        tries.append(path)
        if len(tries) < 3:
            raise PermissionError(13, "in use by another process")
        return replace(own, path)

    monkeypatch.setattr(Path, "replace", refusing)
    monkeypatch.setattr(files, "sys", SimpleNamespace(platform="win32"))
    files.write_text(tmp_path / "a.txt", "one\ntwo\n")
    assert (tmp_path / "a.txt").read_bytes() == b"one\ntwo\n"
    assert len(tries) == 3


def test_names_fit_other_systems():
    assert slug("C:\\films\\a b: <c>|?*") == "c-films-a-b-c"
    assert references.unfit_names("methods", ["a\\b"])


@pytest.fixture
def signals_as_before():
    before = {each: signal.getsignal(each) for each in stopping.SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_console_without_a_letter_is_written_to(tmp_path, monkeypatch, signals_as_before):
    folder, console = tmp_path / "日本", io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    (folder / "results").mkdir(parents=True)
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "argv", ["ditflow", "page", str(folder)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
    assert b"\\u65e5\\u672c" in console.buffer.getvalue()


def test_configurations_are_utf_8_whatever_the_system_has(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("data: {prompts: [日本]}", encoding="utf-8")
    given = ["fit", "--config", "sprites-rope", "--config", str(path)]
    assert expand(given)[-1] == str(path)
    monkeypatch.setattr(locale, "getencoding", lambda: "cp1252")
    assert json.loads(expand(given)[-1]) == {"data": {"prompts": ["日本"]}}


def test_a_command_of_the_app_is_stopped_as_the_system_can(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(jobs_in_turn, "STOP", 1)  # on Windows CTRL_BREAK_EVENT
    monkeypatch.setattr(subprocess.Popen, "send_signal", lambda own, number: asked.append(number))
    jobs = jobs_in_turn.Jobs(tmp_path)
    job = jobs.start("fit", lambda folder: ["inspect", str(folder)])
    jobs.cancel()
    jobs.cancel()  # the second time it is killed
    job.process.wait(60)
    assert asked[:1] == [1]


def everything(video, folder):
    """In a process that was spawned: the journey, and a benchmark of two processes."""
    journey(Path(video), Path(folder))
    given = command(Path(folder), "--output", str(Path(folder) / "table"), "--processes", "2")
    assert main(given) == 0


@pytest.mark.slow
def test_all_of_it_at_once_in_a_spawned_process(reference_video, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(TAKEN_AWAY)
    inherited = [str(tmp_path), *sys.path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(inherited))
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    spawned = multiprocessing.get_context("spawn").Process(
        target=everything, args=(str(reference_video), str(tmp_path))
    )
    spawned.start()
    spawned.join(600)
    assert spawned.exitcode == 0
    assert len(read_results(tmp_path / "table")) == 8
    text = (tmp_path / "fit" / "config.yaml").read_bytes().decode("utf-8")
    assert PROMPT in text
    assert PurePosixPath(read_results(tmp_path / "table")[0]["file"]).parts[0] == "results"
