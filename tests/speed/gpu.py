"""What can only be seen on a GPU: memory, time and numbers at CogVideoX's published sizes.

python -m tests.speed.gpu                        # one GPU of 80 GB, under ten minutes
python -m tests.speed.gpu --tiny --device cpu    # the same code in small; judges no goal of a GPU

Weights are random, and nothing is downloaded. Every section has seconds of its own, and what
happens in one is nothing to the others. Exit status: how many goals were missed or sections failed.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, for deterministic runs

import torch

from tests.speed.on_gpu import memory, numbers, speed
from tests.speed.on_gpu.bench import Bench
from tests.speed.on_gpu.models import Scale
from tests.speed.on_gpu.report import Report

SECTIONS: dict[str, tuple[Callable[[Bench], None], int]] = {
    "attention": (speed.attention, 30),
    "flow": (numbers.flow, 40),
    "step": (speed.step, 60),
    "precision": (numbers.precision, 40),
    "ratio": (speed.ratio, 90),
    "memory": (memory.plans, 180),
    "half": (memory.half, 40),
    "deterministic": (numbers.deterministic, 80),
    "quantised": (numbers.quantised, 80),
    "exhausted": (memory.exhausted, 30),
    "compile": (speed.compiled, 120),
}
"""In the order of running, with seconds that each may take at most."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="small models and videos")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda:0"))
    for name, what in (("only", "run these sections alone"), ("skip", "leave these out")):
        parser.add_argument(f"--{name}", nargs="+", choices=SECTIONS, default=[], help=what)
    parser.add_argument("--output", type=Path, default=Path("gpu.json"), help="of all figures")
    parser.add_argument("--limit", type=float, default=580, help="seconds of all sections together")
    given = parser.parse_args()
    if given.device.type == "cuda" and not torch.cuda.is_available():
        parser.error(f"--device {given.device}: there is none; try with --tiny --device cpu")
    report = Report(given.output, given.device, given.limit)
    bench = Bench(Scale.of(given.tiny), given.device, report)
    for name, (work, seconds) in SECTIONS.items():
        if name in (given.only or SECTIONS) and name not in given.skip:
            report.section(name, seconds, partial(work, bench))
    failed = report.failed
    report.say(f"{len(failed)} failed: {', '.join(failed) or 'none'}; see {given.output}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
