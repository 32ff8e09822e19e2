"""A GPU that is none: shapes, types and devices are followed as on one, and nothing is computed.

All of it runs in a process of its own: torch keeps a device for good, and autograd counts the
devices once, when it first goes back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from ditflow import MotionTransfer
from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.backbones.cogvideox.solver import CogVideoXSolver, Scheduler
from ditflow.backbones.loading import Dtype, empty_backbone
from ditflow.backbones.shapes import fake
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.backbones.wan.solver import FlowSolver, solver_of
from ditflow.callbacks import KVInjection
from ditflow.functional.parameterization import Parameterization, Target
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan.live_memory import LiveMemory
from ditflow.plan.phases import Work, phases
from ditflow.reference import reference_input
from ditflow.sprites.recipe.models import build_tokenizer

Way: TypeAlias = tuple[Target, Parameterization]

DEVICE = "pretended"
KERNELS = torch.library.Library("aten", "IMPL")  # what it holds is gone with it


class Module(_DummyBackendModule):
    """What `torch.pretended` is."""

    def is_available(self) -> bool:
        return False  # so that even a number's tensor is never really put there

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]  # gradient checkpointing asks for it


def register() -> None:
    """Make the device known to this process, with an attention that never holds its matrix."""
    _setup_privateuseone_for_python_backend(DEVICE, Module())
    KERNELS.impl("scaled_dot_product_attention", attention, "AutogradPrivateUse1")


def attention(query: Tensor, key: Tensor, value: Tensor, *mask: Tensor, **options: Any) -> Tensor:
    """By the kernel that torch leaves to such devices, which keeps what a GPU's keep."""
    kinds = {part.dtype for part in (query, key, value)}
    if len(kinds) > 1:
        raise RuntimeError(f"attention of several dtypes: {kinds}")
    kernel = torch.ops.aten._scaled_dot_product_fused_attention_overrideable
    return kernel(query, key, value, *mask, **options)[0]


class Solver(CogVideoXSolver):
    """With timesteps whose numbers are known, as those of no fake tensor are."""

    def __init__(self, scheduler: Scheduler, num_steps: int):
        with unset_fake_temporarily():
            super().__init__(scheduler, num_steps, torch.device("cpu"))
        self.timesteps = self.schedule.timesteps

    def noised(self, latents: Tensor, noise: Tensor, step: int) -> Tensor:
        timestep = torch.tensor([self.timesteps[step]], device=DEVICE)
        return self.scheduler.add_noise(latents, noise, timestep)


class Pretended(CogVideoXBackbone):
    """The adapter as it is, which encodes one prompt, for to a fake tensor all are alike."""

    def solver(self, num_steps: int) -> Solver:
        return Solver(self.pipeline.scheduler, num_steps)

    @cached_property
    def encoded(self) -> Tensor:
        return super().encode_prompt("a red circle")

    def encode_prompt(self, prompt: str) -> Tensor:
        return self.encoded


class LeftOnCPU(Pretended):
    """With a mistake put in."""

    def encode_prompt(self, prompt: str) -> Tensor:
        return super().encode_prompt(prompt).cpu()


class TooWide(Pretended):
    """With another."""

    def model_input(self, given: PassInput) -> Tensor:
        return given.latents.float()


class PretendedWan(WanBackbone):
    """The same of Wan, whose pipeline asks how long a prompt is, which a fake tensor does not
    tell."""

    def solver(self, num_steps: int) -> FlowSolver:
        with unset_fake_temporarily():
            solver = solver_of(self.pipeline.scheduler, num_steps, torch.device("cpu"))
        solver.timesteps = solver.schedule.timesteps
        return solver

    def encode_prompt(self, prompt: str) -> Tensor:
        return torch.empty(1, self.prompt_length, 4096, dtype=self.dtype, device=DEVICE)


Adapter: TypeAlias = type[Pretended] | type[PretendedWan]


@dataclass(frozen=True)
class Case:
    """What is followed: fits with a published model."""

    name: str
    dtype: Dtype
    num_frames: int
    checkpointing: bool = False

    @property
    def wan(self) -> bool:
        return self.name.startswith("Wan-AI")

    @property
    def size(self) -> tuple[int, int, int]:
        side = (704, 1280) if "5B" in self.name and self.wan else (480, 832 if self.wan else 720)
        return self.num_frames, *side

    @property
    def block(self) -> int:
        return 15 if self.name.endswith("2b") or (self.wan and "14B" not in self.name) else 20


@contextmanager
def pretended(case: Case, adapter: Adapter | None = None) -> Iterator[Pretended | PretendedWan]:
    """Context in which all tensors are fake, with a backbone on the pretended GPU."""
    empty = empty_backbone(case.name, case.dtype)
    pipeline, dtype = empty.pipeline, getattr(torch, case.dtype)
    pipeline.tokenizer = build_tokenizer()
    if case.checkpointing:
        pipeline.transformer.enable_gradient_checkpointing()
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device(DEVICE):
            for part in pipeline.components.values():
                if isinstance(part, torch.nn.Module):
                    vae = part is pipeline.vae
                    fake(part, empty.shapes().vae_dtype(dtype) if vae else dtype)
        yield (adapter or (PretendedWan if case.wan else Pretended))(pipeline, case.name)


def follow(
    case: Case, ways: Sequence[Way], adapter: Adapter | None = None
) -> dict[Way, dict[str, int]]:
    """A guided step in each way: the reference, an Adam step with injection, a denoising step.

    Returns:
        bytes held at most in each phase, by the names that plans have.
    """
    with pretended(case, adapter) as backbone:
        shape = backbone.latent_shape(*case.size)
        latents = torch.empty(shape, dtype=backbone.latents_dtype, device=DEVICE)
        objective = AttentionMotionFlow()
        given = reference_input(backbone, latents, backbone.encode_prompt(""))
        with torch.no_grad(), LiveMemory() as reading:
            reference = objective.reference(objective.read(backbone, given, case.block))
        held = {}
        for way in ways:
            module = MotionTransfer(backbone, objective, *way, block=case.block)
            module.reference_latents, module.stock_positions = latents, given.positions
            step = guided_step(module, reference)
            held[way] = {"reading its motion": reading.peak, **step}
        return held


def error_of(case: Case, adapter: type[Pretended]) -> str:
    """What torch says of a mistake, if it finds it; its own exceptions may not leave a process."""
    try:
        follow(case, [("latents", "values")], adapter)
    except RuntimeError as error:
        return str(error)
    return ""


def guided_step(module: MotionTransfer, reference: Tensor) -> dict[str, int]:
    """An Adam step with injection, and a denoising step; bytes that each held."""
    shape = tuple(module.z_ref.shape)
    sampler = module.sampler("", 0, shape)
    with LiveMemory() as optimising:
        on_latents = module.target == "latents"
        start = sampler.latents.float() if on_latents else module.initial_positions(shape)
        module.parameter = torch.nn.Parameter(start.clone())
        optimizer = module.configure_optimizers()["optimizer"]
        module.injection, positions = KVInjection(), module.current_positions()
        with module.injected(sampler, 0, positions):
            source = module.parameter if on_latents else sampler.latents
            outputs = sampler.read(module.objective, module.block, 0, source, positions)
        loss = module.objective.loss(outputs, reference) * module.loss_scale
        del outputs, positions
        loss.backward()
        optimizer.step()
    assert module.parameter.grad is not None
    check(module.parameter.grad, torch.float32)
    optimizer.zero_grad()

    module.injection, positions = KVInjection(), module.current_positions()
    with torch.no_grad(), module.injected(sampler, 0, positions), LiveMemory() as denoising:
        prediction = sampler.predict(0, tuple(part.detach() for part in positions))
        latents = sampler.solver.step(0, sampler.latents, prediction, sampler.generator)
    check(prediction, torch.float32)
    check(latents, torch.float32)
    return {f"optimising, block {module.block}": optimising.peak, "denoising": denoising.peak}


def check(made: Tensor, dtype: torch.dtype) -> None:
    """A result is on the device, and of the dtype that it is to have."""
    assert (made.device.type, made.dtype) == (DEVICE, dtype)


def planned(case: Case, way: Way) -> dict[str, int]:
    """Bytes of each phase, weights apart, as `ditflow plan` has it."""
    work = Work(
        getattr(torch, case.dtype),
        *case.size,
        block=case.block,
        objective=AttentionMotionFlow(),
        target=way[0],
        parameterization=way[1],
        gradient_checkpointing=case.checkpointing,
    )
    made = phases(empty_backbone(case.name, case.dtype).shapes(), work)
    return {phase.name: phase.working for phase in made}
