"""Wan's schedulers along a flow, UniPC and Euler's method, as the stock pipeline takes them."""

from typing import TypeAlias

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from ditflow.backbones.solver import Schedule, Solver
from ditflow.errors import DitflowError
from ditflow.utils.hashing import hash_of

Scheduler: TypeAlias = UniPCMultistepScheduler | FlowMatchEulerDiscreteScheduler


def schedule_of(scheduler: Scheduler) -> Schedule:
    """A scheduler's schedule, its number of steps set; a shift chooses among its timesteps."""
    noise = {"flow": True, "num_train_timesteps": scheduler.config.num_train_timesteps}
    timesteps = tuple(scheduler.timesteps.tolist())
    return Schedule(type(scheduler).__name__, hash_of(noise), timesteps)


def flow_scheduler(own: Scheduler, name: str, flow_shift: float | None) -> Scheduler:
    """A pipeline's scheduler, or another in its place.

    Args:
        own: the pipeline's.
        name: `own`, `unipc` or `euler`.
        flow_shift: of its schedule; None keeps the pipeline's.
    """
    is_euler = isinstance(own, FlowMatchEulerDiscreteScheduler)
    option = "shift" if is_euler else "flow_shift"
    shift = own.config.get(option, 1.0) if flow_shift is None else flow_shift
    if name == "own":
        return type(own).from_config(own.config, **{option: shift})
    steps = own.config.num_train_timesteps
    if name == "euler":
        return FlowMatchEulerDiscreteScheduler(num_train_timesteps=steps, shift=shift)
    return UniPCMultistepScheduler(
        num_train_timesteps=steps,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
    )


def solver_of(scheduler: Scheduler, num_steps: int, device: torch.device) -> "FlowSolver":
    """Of a video of its own, as a pipeline's scheduler would.

    Raises:
        DitflowError: of a scheduler that is neither of the two, or not along a flow.
    """
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return EulerSolver(scheduler, num_steps, device)
    config = scheduler.config
    known = isinstance(scheduler, UniPCMultistepScheduler) and config.use_flow_sigmas
    if not known or config.solver_order != 2 or not config.predict_x0:
        raise DitflowError(
            f"the pipeline's scheduler, {type(scheduler).__name__}, is none that is known here "
            "(UniPC along a flow, of order 2, and flow matching by Euler's method); use "
            "--model.backbone.scheduler unipc or euler."
        )
    return UniPCSolver(scheduler, num_steps, device)


class FlowSolver(Solver):
    """Of x_t = (1 - σ) x + σ ε, with a scheduler of its own of the given one's configuration.

    Args:
        scheduler: the pipeline's.
        num_steps: denoising steps.
        device: of the latents.
    """

    def __init__(self, scheduler: Scheduler, num_steps: int, device: torch.device):
        self.scheduler = type(scheduler).from_config(scheduler.config)
        self.scheduler.set_timesteps(num_steps, device=device)
        self.schedule = schedule_of(self.scheduler)
        self.timesteps, self.sigmas = self.scheduler.timesteps, self.scheduler.sigmas

    def clean(self, step: int) -> tuple[float, float]:
        return 1.0, -self.sigmas[step].item()

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        sigma = self.sigmas[step]
        return sigma * noise + (1 - sigma) * latents


class EulerSolver(FlowSolver):
    """Straight steps along the predicted velocity; nothing is remembered."""

    def step(
        self,
        step: int,
        latents: torch.Tensor,
        prediction: torch.Tensor,
        generator: torch.Generator,
        jump: int = 1,
    ) -> torch.Tensor:
        return latents + (self.sigmas[step + jump] - self.sigmas[step]) * prediction


class UniPCSolver(FlowSolver):
    """UniPC of order 2: a step remembers the clean video predicted before it.

    Its corrector goes once more from the step before, to where it now knows better, and drops
    the z_t it is given: 99 % of a change of z_t at a flow shift of 3. Where z_t has been replaced
    there is nothing to correct.
    """

    def __init__(self, scheduler: UniPCMultistepScheduler, num_steps: int, device: torch.device):
        super().__init__(scheduler, num_steps, device)
        self.taken: tuple[int, ...] = ()
        """Steps before, of which the last two count."""

    @property
    def previous_prediction(self) -> torch.Tensor | None:
        """ẑ_0 of the step before, [1, F, C, h, w]."""
        return self.scheduler.model_outputs[-1]

    @previous_prediction.setter
    def previous_prediction(self, prediction: torch.Tensor | None) -> None:
        self.scheduler.model_outputs[-1] = prediction

    def step(
        self,
        step: int,
        latents: torch.Tensor,
        prediction: torch.Tensor,
        generator: torch.Generator,
        jump: int = 1,
    ) -> torch.Tensor:
        scheduler, end = self.scheduler, step + jump
        # The scheduler looks around the current index for the noise of the steps before and after,
        # and counts the timesteps that are left for the last one, which is of order 1.
        scheduler.sigmas = self.sigmas.clone()
        for index, past in enumerate(reversed(self.taken[-2:]), start=1):
            scheduler.sigmas[step - index] = self.sigmas[past]
        scheduler.sigmas[step + 1] = self.sigmas[end]
        last = end == len(self.timesteps)
        scheduler.timesteps = self.timesteps[: step + 1] if last else self.timesteps
        scheduler._step_index = step
        self.taken = (*self.taken, step)
        timestep = self.timesteps[step]
        return scheduler.step(prediction, timestep, latents, return_dict=False)[0]

    def replaced(self) -> None:
        self.scheduler.last_sample = None

    def state_dict(self) -> dict[str, torch.Tensor | None]:
        last = self.scheduler.last_sample
        older = self.scheduler.model_outputs[0]
        return super().state_dict() | {
            "taken": torch.tensor(self.taken),
            "last_sample": None if last is None else last.cpu(),
            "older_prediction": None if older is None else older.cpu(),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor | None], device: torch.device) -> None:
        super().load_state_dict(state, device)
        taken, last, older = (state[name] for name in ("taken", "last_sample", "older_prediction"))
        assert taken is not None
        self.taken = tuple(taken.tolist())
        scheduler = self.scheduler
        scheduler.last_sample = None if last is None else last.to(device)
        scheduler.model_outputs[0] = None if older is None else older.to(device)
        # What the last step left: its order, and how many steps its successor may look back.
        scheduler.lower_order_nums = min(len(self.taken), 2)
        scheduler.this_order = scheduler.lower_order_nums
