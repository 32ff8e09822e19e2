"""Short fits by ditflow's own code, with what each phase took and what was planned for it."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Callback

from ditflow import MotionDataModule, MotionTransfer
from ditflow.assembly.run import undisturbed
from ditflow.callbacks import KVInjection
from ditflow.callbacks.fit_record import FitRecord
from ditflow.functional.parameterization import Parameterization, Target
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan.fitting import Planner
from ditflow.runs.quiet import quiet_trainer
from tests.speed.on_gpu.models import Watched

PROMPT = "a red circle on a gray background"


@dataclass(frozen=True)
class Fitted:
    """A fit that is done.

    Attributes:
        module: with its videos.
        losses: of its Adam steps.
        step: seconds of an Adam step, the fastest.
        whole: seconds of all Adam and denoising steps and what is between them.
    """

    module: MotionTransfer
    losses: list[float]
    step: float
    whole: float


class AdamSteps(Callback):
    """Notes each Adam step with its backbone's clock, and when the first began."""

    def __init__(self) -> None:
        self.entered, self.began = ExitStack(), 0.0

    def on_train_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_train_batch_start(self, trainer: Any, module: MotionTransfer, *_: Any) -> None:
        self.entered.enter_context(module.backbone.clock.noted("optimising"))

    def on_train_batch_end(self, *_: Any) -> None:
        self.entered.close()


def moving_frames(count: int, height: int, width: int) -> torch.Tensor:
    """A bright disc that crosses the picture, [T, 3, height, width]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    middles = [(height / 2, width * (0.2 + 0.6 * t / count)) for t in range(count)]
    discs = [(rows - y) ** 2 + (columns - x) ** 2 < (height // 8) ** 2 for y, x in middles]
    return torch.stack(discs)[:, None].expand(-1, 3, -1, -1) * 0.8 + 0.1


def new_module(
    backbone: Watched,
    block: int,
    target: Target = "latents",
    parameterization: Parameterization = "values",
    steps: int = 5,
    guided: int = 1,
    **options: Any,
) -> MotionTransfer:
    """A fit of a few steps, with the paper's settings otherwise."""
    module = MotionTransfer(
        backbone,
        AttentionMotionFlow(),
        target,
        parameterization,
        block=block,
        guided_share=guided / steps,
        num_inference_steps=steps,
        guidance_scale=6.0,
        dynamic_guidance=backbone.rotary,
        **options,
    )
    module.progress = False
    return module


def fit(module: MotionTransfer, frames: torch.Tensor, **trainer: Any) -> Fitted:
    """Fit frames [T, 3, height, width], by a Trainer with these arguments."""
    backbone = module.backbone
    assert isinstance(backbone, Watched)
    backbone.clock.clear()
    count, _, height, width = frames.shape
    data = MotionDataModule(
        prompts=[PROMPT], num_frames=count, height=height, width=width, cache=False
    )
    data.video = frames
    record = FitRecord()
    steps = AdamSteps()
    callbacks = [KVInjection(), record, steps]
    with undisturbed(backbone.device):
        quiet_trainer(None, callbacks, backbone.device, **trainer).fit(module, data)
    whole = time.perf_counter() - steps.began - sum(backbone.clock.seconds["decoding"])
    return Fitted(module, record.losses, backbone.clock.fastest("optimising"), whole)


def planned(planner: Planner, options: Mapping[str, Any]) -> Mapping[str, float]:
    """GiB of each phase, weights included, as `ditflow plan` has it."""
    plan = planner.plan(options)
    return {
        phase.name.split(",")[0]: peak / 2**30
        for phase, peak in zip(plan.phases, plan.peaks, strict=True)
    }
