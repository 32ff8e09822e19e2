"""A machine at its limits: memory that runs out, paths that no system takes."""

import pytest
import torch

from ditflow import DitflowError, MotionTransfer
from ditflow.cli import main
from tests.embedding.test_header import ODD
from tests.pages.test_run import HOSTILE, fit_folder

OF_TEXT = [*ODD, HOSTILE, "../x", "a/../../x", "\0", [None], {"a": [1]}, -(10**30), 1e-320]
COUNTS = [60, pytest.param(500, marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 TiB"),
        RuntimeError("[enforce] . DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."),
        torch.OutOfMemoryError("GPU out of memory. Tried to allocate"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED\nin f"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously"),
    ],
)
def test_memory_that_runs_out_is_a_line(error, tmp_path, capsys, monkeypatch):
    def runs_out(*_) -> None:
        raise error

    monkeypatch.setattr("ditflow.commands.page.write_run_page", runs_out)
    assert main(["page", str(fit_folder(tmp_path / "run"))]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ditflow: error: ")
    assert "ditflow plan" in line


def test_more_steps_than_a_scheduler_knows(rope):
    with pytest.raises(DitflowError, match="num_inference_steps=1001 is more than the 1000"):
        MotionTransfer(rope, num_inference_steps=1001)


LONG = "x" * 5000


@pytest.mark.parametrize(
    "given",
    [
        ["fit", "--video", LONG, "--prompt", "a", "--output", "out"],
        ["fit", "--video", "v.mp4", "--prompt", "a", "--output", "out", "--resume", LONG],
        ["preview", "--video", LONG, "--output", "out"],
        ["preview", "--video", "v.mp4", "--mask", LONG, "--output", "out"],
        ["predict", "--embedding", LONG, "--prompts", "a", "--output", "out"],
        ["test", "--videos", LONG, "--video", LONG, "--prompts", "a", "--output", "out"],
        ["inspect", LONG],
        ["page", LONG],
        ["push", LONG, "ada/motion"],
        ["rate", "make", "--results", LONG, "--output", "out"],
        ["rate", "figure", LONG, "--key", LONG, "--output", "out"],
        ["benchmark", "--config", LONG, "--output", "out"],
        ["benchmark", "--config", "sprites-table1", "--output", LONG],
        ["plan", "--config", LONG],
        ["page", "/proc/self/mem"],
    ],
)
def test_paths_that_no_system_takes(given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(given) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ditflow: error: ")
    assert len(line) < 6000
    assert list(tmp_path.iterdir()) == []
