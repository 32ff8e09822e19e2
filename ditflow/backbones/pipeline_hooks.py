"""Changes of a stock pipeline's own calls, put in by hooks and taken out again."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ditflow.backbones.solver import Schedule
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Positions

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


class PipelinePass(NamedTuple):
    """A pass of a pipeline's call.

    Attributes:
        timestep: t.
        latent_shape: of its latents, as `Backbone` has them.
        schedule: that the call follows.
        first: whether it is the call's first.
    """

    timestep: int | float
    latent_shape: tuple[int, ...]
    schedule: Schedule
    first: bool


class PassChange(NamedTuple):
    """What a pass, and the step after it, are given in place of their own; None keeps it.

    Attributes:
        positions: ρ.
        latents: z_t, [1, F, C, h, w].
        previous_prediction: the solver's memory, with z_t.
    """

    positions: Positions | None = None
    latents: torch.Tensor | None = None
    previous_prediction: torch.Tensor | None = None


Change = Callable[[PipelinePass], PassChange]


class PipelineHooks(ABC):
    """Hooks on a pipeline's transformer and scheduler; a family says how its own are called.

    Args:
        pipeline: a family's.
        change: what each pass is given.
    """

    def __init__(self, pipeline: "DiffusionPipeline", change: Change):
        self.pipeline, self.change = pipeline, change
        self.scheduler = pipeline.scheduler
        self.own_step, self.own_start = self.scheduler.step, self.scheduler.set_timesteps
        self.now, self.starts = PassChange(), True
        self.entered = ExitStack()
        """What a pass has put in, to be taken out after it."""

    @abstractmethod
    def schedule(self) -> Schedule:
        """Of the call being made."""

    @abstractmethod
    def latent_shape(self, hidden_states: torch.Tensor) -> tuple[int, ...]:
        """[B, F, C, h, w] of the transformer's input."""

    @abstractmethod
    def in_layout(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents [B, F, C, h, w] in the transformer's layout, which is the scheduler's too."""

    def put_latents(self, hidden_states: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The transformer's input with latents, in its layout, in the place of its own; what of an
        image is beside them stays."""
        changed = hidden_states.clone()
        changed[:, : latents.shape[1], : latents.shape[2]] = latents
        return changed

    @abstractmethod
    def put_positions(self, positions: Positions, latent_shape: tuple[int, ...]) -> dict[str, Any]:
        """Make the coming pass use ρ, by contexts entered into `entered` or by the arguments that
        are returned."""

    @abstractmethod
    def step_arguments(self, model_output: torch.Tensor, args: list[Any]) -> list[Any]:
        """A scheduler's step's arguments after its first, with z_t and memory as `now` says."""

    def transformers(self) -> list[torch.nn.Module]:
        """That denoise."""
        return [self.pipeline.transformer]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which calls are changed; the pipeline is itself again on exit."""
        scheduler = self.scheduler
        # Hooks, and not another `forward`: offloading puts its own there, and takes ours away.
        handles = []
        for transformer in self.transformers():
            handles += [
                transformer.register_forward_pre_hook(self._before_pass, with_kwargs=True),
                transformer.register_forward_hook(self._after_pass, always_call=True),
            ]
        step = replaced_method(scheduler, "step", self._step)
        start = replaced_method(scheduler, "set_timesteps", self._start)
        try:
            with step, start:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _before_pass(
        self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.pipeline.scheduler is not self.scheduler:
            raise DitflowError(
                "the pipeline's scheduler was exchanged inside applied_to; exchange it before."
            )
        hidden_states = args[0] if args else kwargs["hidden_states"]
        shape = self.latent_shape(hidden_states)
        timestep = kwargs["timestep"].max().item()  # tokens of an image may be at 0
        self.now = self.change(PipelinePass(timestep, shape, self.schedule(), self.starts))
        self.starts = False
        if self.now.latents is not None:
            latents = self.put_latents(hidden_states, self.in_layout(self.now.latents))
            if args:
                args = (latents, *args[1:])
            else:
                kwargs = kwargs | {"hidden_states": latents}
        if self.now.positions is not None:
            positions = tuple(part.to(hidden_states.device) for part in self.now.positions)
            kwargs = kwargs | self.put_positions(positions, shape)
        return args, kwargs

    def _after_pass(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.entered.close()

    def _start(self, *args: Any, **kwargs: Any) -> Any:
        """Of a call: every pipeline sets the timesteps once, before its first pass."""
        self.starts = True
        return self.own_start(*args, **kwargs)

    def _step(self, model_output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        values = list(args)
        if self.now.latents is not None:
            values = self.step_arguments(model_output, values)
        return self.own_step(model_output, *values, **kwargs)


@contextmanager
def replaced_method(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Context in which an object has another method, with its own's signature, for pipelines look
    there what a scheduler takes (and a bound method takes no attributes itself)."""
    set_before = owner.__dict__.get(name)
    setattr(owner, name, functools.wraps(getattr(owner, name))(functools.partial(method)))
    try:
        yield
    finally:
        if set_before is None:
            owner.__dict__.pop(name, None)
        else:
            setattr(owner, name, set_before)
