"""A benchmark's processes on one machine, none of which ends with another."""

import os
import subprocess
import sys
from collections.abc import Sequence

import torch


def run_processes(args: Sequence[str], count: int) -> list[int]:
    """Run the same benchmark in several processes, each with its share of the jobs.

    Unlike torchrun, which stops all processes when one dies, the others go on: their jobs have
    nothing to do with each other. Where there are GPUs, they are dealt out.

    Args:
        args: of `ditflow benchmark`, without the number of processes.
        count: of processes.

    Returns:
        the exit status of each.
    """
    command = [sys.executable, "-m", "ditflow.cli", "benchmark", *args]
    started: list[subprocess.Popen] = []
    try:
        for rank in range(count):
            share = ["--share", f"{rank + 1}/{count}"]
            started.append(subprocess.Popen([*command, *share], env=_environment(rank)))
        return [process.wait() for process in started]
    finally:
        # Ctrl-C reaches them by itself, a signal to this process alone does not.
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _environment(rank: int) -> dict[str, str]:
    """This process' environment with one of its GPUs, if it has any."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        gpus = [str(index) for index in range(torch.cuda.device_count())]
    else:
        gpus = [gpu for gpu in visible.split(",") if gpu]
    return os.environ | ({"CUDA_VISIBLE_DEVICES": gpus[rank % len(gpus)]} if gpus else {})
