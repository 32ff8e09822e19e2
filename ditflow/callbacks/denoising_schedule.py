"""Walk the denoising steps: one epoch, one guided step."""

import torch
from lightning import Callback, Trainer

from ditflow.data import data_of
from ditflow.denoising import GuidedSampling
from ditflow.errors import DitflowError
from ditflow.utils.distributed import all_gather, local_share
from ditflow.utils.hashing import hash_of_tensors


class DenoisingSchedule(Callback):
    """Runs Algorithm 1 around the optimiser.

    Before an epoch: z_t becomes the optimised tensor (latents) or ρ_{t+1} stays it (positions,
    warm start), and Adam's state starts fresh. After it: z_t → z_{t-1}. After the last guided
    step: the remaining steps with the stock ρ, and decoding.
    """

    def setup(self, trainer: Trainer, module: GuidedSampling, stage: str) -> None:
        if stage != "fit":
            return
        check_shared(trainer, module)
        trainer.fit_loop.max_epochs = module.guided_steps
        # One Adam step is the mean loss over all prompts, those of other processes included.
        trainer.accumulate_grad_batches = len(local_share(trainer, data_of(trainer).prompts))

    def on_train_epoch_start(self, trainer: Trainer, module: GuidedSampling) -> None:
        trainer.optimizers[0].state.clear()
        if module.target == "latents":
            latents = torch.cat([sampler.latents for sampler in module.samplers])
            module.parameter.data.copy_(latents)

    def on_before_optimizer_step(
        self, trainer: Trainer, module: GuidedSampling, optimizer: torch.optim.Optimizer
    ) -> None:
        gradient = module.parameter.grad
        if gradient is not None and not torch.isfinite(gradient).all():
            raise DitflowError(
                f"the gradient is not finite at guided step {module.current_epoch + 1} of "
                f"{module.guided_steps}; use --dtype bfloat16 or --dtype float32."
            )

    def on_train_epoch_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        step, optimised = trainer.current_epoch, module.parameter.detach().clone()
        if not torch.isfinite(optimised).all():
            raise DitflowError(
                f"the optimised {module.target} are not finite after guided step {step + 1} of "
                f"{module.guided_steps}; lower learning_rate={module.rates[0]:g}."
            )
        module.keep(optimised)
        with torch.no_grad():
            positions = module.current_positions()
            for index, sampler in enumerate(module.samplers):
                if module.target == "latents":
                    sampler.replace(optimised[index : index + 1])
                module.denoise_guided(sampler, step, positions)

    def on_fit_end(self, trainer: Trainer, module: GuidedSampling) -> None:
        module.finish()


def check_shared(trainer: Trainer, module: GuidedSampling) -> None:
    """Refuse what several processes cannot fit together.

    Raises:
        DitflowError: on every process alike, before any optimisation.
    """
    processes, data = trainer.world_size, data_of(trainer)
    if processes == 1:
        return
    if module.target == "latents":
        raise DitflowError(
            f"trainer.devices: {processes} processes have nothing to share with target=latents, "
            "where each prompt is fitted by itself; start a fit for each, or use target=positions."
        )
    if module.optimization_steps == 0:
        raise DitflowError(
            f"trainer.devices: {processes} processes have nothing to share with "
            "optimization_steps=0; use --trainer.devices 1."
        )
    if len(data.prompts) % processes:
        raise DitflowError(
            f"trainer.devices: {len(data.prompts)} prompts cannot be shared evenly by {processes} "
            "processes; use as many prompts, or a number that divides them."
        )
    mask = data.mask_on_frames
    seen = hash_of_tensors(data.frames, *(() if mask is None else (mask,)))
    if len(set(all_gather(trainer, [seen]))) > 1:
        raise DitflowError(
            f"video={data.video} or its mask is not the same for all processes; give each the same "
            "file."
        )
