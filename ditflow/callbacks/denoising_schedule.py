"""Walk the denoising steps: one epoch, one guided step."""

import torch
from lightning import Callback, Trainer

from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer


class DenoisingSchedule(Callback):
    """Runs Algorithm 1 around the optimiser.

    Before an epoch: z_t becomes the optimised tensor (latents) or ρ_{t+1} stays it (positions,
    warm start), and Adam's state starts fresh. After it: z_t → z_{t-1}. After the last guided
    step: the remaining steps with the stock ρ, and decoding.
    """

    def setup(self, trainer: Trainer, module: MotionTransfer, stage: str) -> None:
        if stage != "fit":
            return
        if trainer.world_size > 1:
            raise DitflowError(
                f"trainer.devices makes {trainer.world_size} processes, but one fit runs on one; "
                "use --trainer.devices 1 (predict takes several)."
            )
        trainer.fit_loop.max_epochs = module.guided_steps
        # One Adam step is the mean loss over all prompts.
        trainer.accumulate_grad_batches = len(trainer.datamodule.prompts)

    def on_train_epoch_start(self, trainer: Trainer, module: MotionTransfer) -> None:
        trainer.optimizers[0].state.clear()
        if module.target == "latents":
            latents = torch.cat([sampler.latents for sampler in module.samplers])
            module.parameter.data.copy_(latents)

    def on_train_epoch_end(self, trainer: Trainer, module: MotionTransfer) -> None:
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
                    sampler.latents = optimised[index : index + 1].to(sampler.latents)
                module.denoise_guided(sampler, step, positions)

    def on_fit_end(self, trainer: Trainer, module: MotionTransfer) -> None:
        module.finish()
