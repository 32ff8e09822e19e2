"""A benchmark's processes on one machine, none of which ends with another."""

import os
import signal
import subprocess
import sys
import threading
from _thread import interrupt_main
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

WATCH = "DITFLOW_ENDS_WITH_STDIN"
"""Set for a process whose standard input is a pipe that ends when the process which started it
does, however."""

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK")
"""What torchrun sets, beside names that begin with its own: a worker is no rank of it."""


def run_processes(args: Sequence[str], count: int) -> list[int]:
    """Run the same benchmark in several processes, each with its share of the jobs.

    One that dies takes no other with it: their jobs have nothing to do with each other. Where there
    are GPUs, they are dealt out.

    Args:
        args: of `ditflow benchmark`, without the number of processes.
        count: of processes.

    Returns:
        the exit status of each.
    """
    with workers(args, [(rank, count, rank) for rank in range(count)]) as started:
        return [worker.wait() for worker in started]


@contextmanager
def workers(
    args: Sequence[str], shares: Sequence[tuple[int, int, int]]
) -> Iterator[list[subprocess.Popen]]:
    """Processes that each do a share of a benchmark; they end with the block, and with this process
    if that is killed.

    Args:
        args: of `ditflow benchmark`, without what tells of several processes.
        shares: of each process: which share, from 0, of how many, and its number on this machine.
    """
    command = [sys.executable, "-m", "ditflow.cli", "benchmark", *args]
    started: list[subprocess.Popen] = []
    try:
        for rank, ranks, local_rank in shares:
            share = ["--share", f"{rank + 1}/{ranks}"]
            environment = _environment(local_rank)
            # Never written to: the other end reads nothing until this process is no more.
            started.append(
                subprocess.Popen([*command, *share], env=environment, stdin=subprocess.PIPE)
            )
        yield started
    finally:
        # Ctrl-C reaches them by itself, a signal to this process alone does not.
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait()
            worker.stdin.close()


def end_with_parent() -> None:
    """In a worker: be interrupted, as by Ctrl-C, as soon as the process that started it is gone.

    It would otherwise go on beside those that a rerun starts, on the same GPU.
    """
    if os.environ.pop(WATCH, None) is not None:
        threading.Thread(target=_interrupt_at_the_end, daemon=True).start()


def _interrupt_at_the_end() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock would be held when Python ends
    if hasattr(signal, "pthread_kill"):
        # A real signal: it ends what the main thread is waiting for, too.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
    else:
        interrupt_main()


def _environment(local_rank: int) -> dict[str, str]:
    """This process' environment with one of its GPUs, if it has any, and no launcher's words."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        gpus = [str(index) for index in range(torch.cuda.device_count())]
    else:
        gpus = [gpu for gpu in visible.split(",") if gpu]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in LAUNCHER and not name.startswith("TORCHELASTIC_")
    }
    own = {"CUDA_VISIBLE_DEVICES": gpus[local_rank % len(gpus)]} if gpus else {}
    return kept | own | {WATCH: "1"}
