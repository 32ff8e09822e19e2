"""Sections on memory: what was planned against what is taken, and what is said when it runs out."""

import contextlib
import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image

from ditflow import MotionTransfer
from ditflow.backbones.loading import Dtype
from ditflow.callbacks import KVInjection
from ditflow.cli import main
from ditflow.functional.parameterization import Target
from ditflow.plan.fitting import Planner
from ditflow.plan.recipe import recipe
from tests.speed.on_gpu.bench import LARGE, SMALL, Bench, checkpointing
from tests.speed.on_gpu.fitting import fit, new_module, planned
from tests.speed.on_gpu.models import Watched, empty_pipeline
from tests.speed.on_gpu.report import LeftOut, free

SHORT = {"steps": 2, "optimization_steps": 2}


def plans(bench: Bench) -> None:
    """Peaks of each offload mode, with gradient checkpointing and without."""
    planner = planner_of(bench, LARGE, bench.dtype, "latents")
    for offload in ("none", "model", "group") if bench.cuda else ("none", "group"):
        backbone = bench.load(offload=offload)
        for on in (True, False):
            checkpointing(backbone, on)
            name = f"offload={offload} checkpointing={on}"
            against_plan(bench, name, new_module(backbone, bench.block, **SHORT), planner)
        del backbone
        free()


def half(bench: Bench) -> None:
    """2B in float16, fitted with the positions of the paper, and its memory."""
    dtype: Dtype = "float16" if bench.cuda else bench.dtype
    planner = planner_of(bench, SMALL, dtype, "positions")
    block = bench.scale.block(SMALL)
    module = new_module(bench.load(SMALL, dtype), block, "positions", **SHORT)
    against_plan(bench, "2B", module, planner)


def planner_of(bench: Bench, name: str, dtype: Dtype, target: Target) -> Planner:
    """Plans of a fit, whose passes are followed once for all offload modes."""
    pipeline = empty_pipeline(bench.scale.configs(name), getattr(torch, dtype))
    module = new_module(Watched(pipeline, name, {}), bench.scale.block(name), target, **SHORT)
    return recipe(module, bench.size, 1, KVInjection()).planner


def against_plan(bench: Bench, name: str, module: MotionTransfer, planner: Planner) -> None:
    """Fit, and compare every phase's memory with the plan."""
    expected = planned(planner, module.backbone.options)
    fitted = fit(module, bench.frames)
    measured = module.backbone.clock.gib
    peak, plan = max(measured.values()), max(expected.values())
    phases = {
        phase: (round(measured[phase], 3), round(size, 3)) for phase, size in expected.items()
    }
    bench.report.figure(f"{name}: GiB of each phase, and planned", phases)
    good = abs(peak / plan - 1) <= 0.05 if bench.cuda else None
    bench.report.figure(f"{name}: peak/planned", peak / plan, "0.95 to 1.05", good)
    bench.report.figure(f"{name}: Adam step, s", fitted.step)
    finite = all(bool(video.isfinite().all()) for video in module.videos)
    bench.report.figure(f"{name}: finite", finite, "yes", finite)


def exhausted(bench: Bench) -> None:
    """A fit that runs out of memory says so in one line, which names a remedy."""
    said = io.StringIO()
    with TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
        frames = Path(folder) / "frames"
        frames.mkdir()
        for number, frame in enumerate((bench.frames[:9] * 255).byte()):
            picture = Image.fromarray(frame.permute(1, 2, 0).numpy())
            picture.resize((512, 512)).save(frames / f"{number:02d}.png")
        given = ["--video", str(frames), "--prompt", "a red ring", "--num-frames", "9"]
        size = ["--height", "512", "--width", "512", "--dtype", "float32"]
        with starved(bench.device):
            options = ["--output", f"{folder}/fit", "--device", str(bench.device)]
            status = main(["fit", *given, *size, *options])
    lines = [line for line in said.getvalue().splitlines() if "ditflow: error" in line]
    good = status == 1 and len(lines) == 1 and "ditflow plan" in lines[0]
    good &= "Traceback" not in said.getvalue()
    bench.report.figure("said", lines or said.getvalue()[-500:], "one line with a remedy", good)


@contextmanager
def starved(device: torch.device) -> Iterator[None]:
    """Context in which the device has next to no memory left."""
    free()
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(
            (torch.cuda.memory_allocated(device) + 2**28) / total, device
        )
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError as error:
        raise LeftOut("this system does not tell how much memory a process has") from error
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
