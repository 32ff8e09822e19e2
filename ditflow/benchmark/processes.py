"""A benchmark's processes on one machine, none of which ends with another."""

import logging
import os
import signal
import subprocess
import sys
import threading
from _thread import interrupt_main
from collections.abc import Sequence

import torch

from ditflow.errors import DitflowError

log = logging.getLogger(__name__)

WATCH = "DITFLOW_ENDS_WITH_STDIN"
"""Set for a process whose standard input is a pipe that ends when the process which started it
does, however."""

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK")
"""What torchrun sets, beside names that begin with its own: a worker is no rank of it."""

TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Set by torchrun."""


def run_processes(args: Sequence[str], count: int) -> None:
    """Run the same benchmark in several processes, until all have ended.

    One that dies takes no other with it: each makes the jobs that no other has. Where there are
    GPUs, they are dealt out. They end with this process, also if it is killed.

    Args:
        args: of `ditflow benchmark`, without the number of processes.
        count: of processes.
    """
    command = [sys.executable, "-m", "ditflow", "benchmark", *args]
    started: list[subprocess.Popen] = []
    try:
        for number in range(count):
            # Never written to: the other end reads nothing until this process is no more.
            worker = subprocess.Popen(command, env=_environment(number), stdin=subprocess.PIPE)
            started.append(worker)
        for number, worker in enumerate(started, 1):
            if status := worker.wait():
                log.error("Process %d of %d ended with status %d.", number, count, status)
    finally:
        # Ctrl-C reaches them by itself, a signal to this process alone does not.
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait()
            assert worker.stdin is not None
            worker.stdin.close()


def count_workers(processes: int, share: str | None) -> int | None:
    """How many processes this one is to start; none if it is to do the work itself.

    Torchrun stops all of its ranks as soon as one has failed. So the first on each machine starts
    a worker for each of them, and the others have nothing to do.

    Args:
        processes: as asked for.
        share: as asked for; under torchrun it is then each rank's own affair.

    Returns:
        the number; None if this process has nothing to do.

    Raises:
        DitflowError: these do not go together.
    """
    if TORCHRUN in os.environ and os.environ["WORLD_SIZE"] != "1" and share is None:
        if processes != 1:
            raise DitflowError(
                f"processes={processes} cannot be had under torchrun, which has started several "
                "already; leave it out."
            )
        return int(os.environ["LOCAL_WORLD_SIZE"]) if os.environ["LOCAL_RANK"] == "0" else None
    if processes < 1 or (processes > 1 and share is not None):
        raise DitflowError(f"processes={processes} must be at least 1, and without --share.")
    return 0 if processes == 1 else processes


def is_one_of_several() -> bool:
    """Whether torchrun or SLURM started the same on other machines, or in other tasks."""
    machines, tasks = os.environ.get("GROUP_WORLD_SIZE"), os.environ.get("SLURM_STEP_NUM_TASKS")
    return int(machines or tasks or 1) > 1


def end_with_parent() -> bool:
    """Whether this process is a worker; it is then interrupted, as by Ctrl-C, as soon as the
    process that started it is gone.

    It would otherwise go on beside those that a rerun starts, on the same GPU.
    """
    if os.environ.pop(WATCH, None) is None:
        return False
    threading.Thread(target=_interrupt_at_the_end, daemon=True).start()
    return True


def _interrupt_at_the_end() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock would be held when Python ends
    if hasattr(signal, "pthread_kill"):
        # A real signal: it ends what the main thread is waiting for, too.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        interrupt_main()


def _environment(number: int) -> dict[str, str]:
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
    own = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
    return kept | own | {WATCH: "1"}
