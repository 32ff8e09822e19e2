"""DiTFlow's optimisation: one epoch is one guided denoising step, one batch one Adam step."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer

from ditflow.backbones.base import Backbone
from ditflow.backbones.images import condition_on
from ditflow.callbacks.denoising_schedule import DenoisingSchedule
from ditflow.data import data_of, run_of
from ditflow.denoising import GuidedSampling, MotionItem
from ditflow.embedding.header import SEEDS
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Parameterization, Positions, Target
from ditflow.functional.scaled_gradient import scaled_gradient
from ditflow.learning_rates import LearningRates, falling
from ditflow.objectives import AttentionMotionFlow, Objective
from ditflow.objectives.base import Outputs
from ditflow.reference import encode, mask_on_tokens, reference_input
from ditflow.runs.resume import check_same_run
from ditflow.sampling import Sampler, SamplerOptions, steps_of
from ditflow.utils.bars import Bar
from ditflow.utils.distributed import all_gather, local_share
from ditflow.video.scene_cuts import warn_of_cuts

log = logging.getLogger(__name__)


class MotionTransfer(GuidedSampling):
    """Fit a motion (Algorithm 1), or sample videos with a fitted one.

    Args:
        backbone: frozen model, as `load_backbone` gives it.
        objective: what is made equal to the reference's.
        target: optimise the `latents` z_t or the `positions` ρ_t.
        parameterization: of positions: `values` is ρ itself, the paper's; `coordinates` is each
            token's (frame, row, column), from which ρ is derived.
        separate_query_key: with rotary positions, optimise copies of their own for queries and
            keys: where a token looks from, and where it is found.
        block: the transformer block whose queries and keys the objective reads.
        guided_share: share of the denoising steps that are guided, from the first.
        optimization_steps: K_opt, Adam steps at each guided step; 0 leaves nothing but the
            callbacks, such as KV injection.
        gradient_reuse: Adam steps taken with each gradient; 1 computes every one, as the paper,
            and K_opt computes one a guided step, which is the fastest.
        learning_rates: first and last, of each target and parameterisation.
        learning_rate: takes the place of the first rate; the last is then half of it.
        num_inference_steps: denoising steps.
        guidance_scale: of classifier-free guidance.
        dynamic_guidance: vary the scale over steps as the stock pipeline's dynamic guidance.
        negative_prompt: of classifier-free guidance.
        seed: of the initial noise.
        unguided_stride: after the guided steps, take every so many denoising steps at once.
        unguided_cache: after the guided steps, skip all blocks but the first for as long as what
            the first adds changes by no more than this share (0.1 to 0.3); 0 is exact.

    Raises:
        DitflowError: an option out of its range.
    """

    def __init__(
        self,
        backbone: Backbone,
        objective: Objective | None = None,
        target: Target = "latents",
        parameterization: Parameterization = "coordinates",
        separate_query_key: bool = True,
        block: int = 6,
        guided_share: float = 0.2,
        optimization_steps: int = 5,
        gradient_reuse: int = 1,
        learning_rates: LearningRates = LearningRates(),
        learning_rate: float | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 3.0,
        dynamic_guidance: bool = False,
        negative_prompt: str = "",
        seed: int = 0,
        unguided_stride: int = 1,
        unguided_cache: float = 0.0,
    ):
        super().__init__(
            backbone,
            SamplerOptions(
                num_inference_steps,
                guidance_scale,
                dynamic_guidance,
                negative_prompt,
                unguided_stride,
                unguided_cache,
            ),
            parameterization,
            separate_query_key,
        )
        if learning_rate is not None and not 0 < learning_rate < float("inf"):
            raise DitflowError(f"learning_rate={learning_rate} must be greater than 0.")
        if not 0 < guided_share <= 1:
            raise DitflowError(f"guided_share={guided_share} must be above 0 and at most 1.")
        if optimization_steps < 0:
            raise DitflowError(f"optimization_steps={optimization_steps} must be at least 0.")
        if gradient_reuse < 1:
            raise DitflowError(f"gradient_reuse={gradient_reuse} must be at least 1.")
        if not SEEDS.start <= seed < SEEDS.stop:
            raise DitflowError(f"seed={seed} must be {SEEDS.start} to {SEEDS.stop - 1}.")
        backbone.check_block(block)
        self.objective = objective or AttentionMotionFlow()
        if self.objective.reads == "prediction" and target == "positions":
            raise DitflowError(
                f"target=positions: {type(self.objective).__name__} holds the prediction constant, "
                "and positions have no gradient without it; use target=latents."
            )
        self.target = target
        self.block = block
        self.optimization_steps, self.gradient_reuse = optimization_steps, gradient_reuse
        self.guided_steps = steps_of(guided_share, num_inference_steps)
        backbone.check_guided(self.guided_steps, num_inference_steps)
        rates = learning_rates.of(target, parameterization, self.objective.reads)
        self.rates = rates if learning_rate is None else (learning_rate, learning_rate / 2)
        self.seed = seed
        self.loss_scale = 2.0**12  # in float16
        self.reference_motion = self.reference_flow = self.reference_weight = None
        self.samplers, self.finished, self.videos = [], [], []
        self.previous_predictions = self.last_outputs = None
        self.reference_image: torch.Tensor | None = None

    def configure_callbacks(self) -> Sequence[Callback]:
        return [DenoisingSchedule()]

    # -- the reference ---------------------------------------------------------------------------

    def encode_reference(
        self,
        frames: torch.Tensor,
        cache: bool = False,
        mask: torch.Tensor | None = None,
        numbers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Frames [T, 3, height, width] to the reference motion (Algorithm 1, lines 1 to 8).

        Args:
            frames: of the reference, in [0, 1].
            cache: take its latents from an earlier run, or keep them for a later.
            mask: [T, height, width] in [0, 1], where the reference guides; None for all of it.
            numbers: of the frames in their file, for messages; by default from 0 on.
        """
        backbone = self.backbone
        warn_of_cuts(frames, numbers)
        with Bar(total=1, desc="Encoding the reference", disable=not self.progress) as bar:
            self.reference_latents = encode(backbone, frames, cache)
            self.reference_image = None if self.image is None else frames[0]
            shape = tuple(self.reference_latents.shape)
            self.reference_condition = condition_on(backbone, self.reference_image, shape)
            outputs = self.reference_outputs(step=0)
            found = self.objective.reference_and_flow(outputs)
            self.reference_motion, self.reference_flow = found
            self.reference_weight = self.objective.weight(
                outputs, mask_on_tokens(backbone, mask, self.reference_latents)
            )
            bar.update()
        if self.objective.is_static(self.reference_motion, **self._weighted()):
            where = "the reference" if mask is None else "the mask's part of the reference"
            log.warning("Nothing moves in %s: the result is guided to hold still.", where)
        return self.reference_motion

    @torch.no_grad()
    def reference_outputs(self, step: int) -> Outputs:
        """What the objective reads of the reference: of a block, at t = 0 whatever the step; of the
        prediction, with as much noise as the step has, drawn anew for each from the seed."""
        backbone, objective, options = self.backbone, self.objective, self.sampler_options
        if objective.reads != "prediction":
            empty = self.encoded("")
            given = reference_input(backbone, self.z_ref, empty, self.reference_condition)
            return objective.read(backbone, given, self.block)
        # Away from an empty negative prompt the empty one has nowhere to go.
        scale = objective.reference_guidance if options.negative_prompt else 1.0
        options = replace(options, guidance_scale=scale, dynamic_guidance=False)
        shape, seed = tuple(self.z_ref.shape), (self.seed + 1 + step) % SEEDS.stop
        image = self.reference_image
        sampler = Sampler(backbone, options, "", seed, shape, self.encoded, image)
        noised, positions = sampler.noised(self.z_ref, step), backbone.positions(shape)
        return sampler.read(objective, self.block, step, noised, positions)

    def on_train_epoch_start(self) -> None:
        if self.objective.reads == "prediction" and self.current_epoch > 0:
            outputs = self.reference_outputs(self.current_epoch)
            self.reference_motion = self.objective.reference(outputs)

    def _weighted(self) -> dict[str, torch.Tensor]:
        """The weights as an argument; an objective of the user's own may know none."""
        return {} if self.reference_weight is None else {"weight": self.reference_weight}

    # -- fit -------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        if stage == "fit":
            # A module may be fitted again: nothing of an earlier fit is left.
            self.finished, self.videos = [], []
            self.previous_predictions = self.last_outputs = None
            data = data_of(self.trainer)
            shape = tuple(self.z_ref.shape)
            self.stock_positions = self.backbone.positions(shape)
            prompts = local_share(self.trainer, data.prompts)
            self.samplers = [self.sampler(prompt, self.seed, shape) for prompt in prompts]
            # The videos of a prompt that is given more than once take turns.
            rows: dict[str, list[int]] = {prompt: [] for prompt in prompts}
            for row, prompt in enumerate(prompts):
                rows[prompt].append(row)
            self._rows = {prompt: cycle(own_rows) for prompt, own_rows in rows.items()}
            if self.target == "latents":
                start = torch.cat([sampler.latents for sampler in self.samplers]).float()
            else:
                start = self.initial_positions(shape)
            self.parameter = torch.nn.Parameter(start.clone())
            self.initial = start.cpu()

    def current_positions(self) -> Positions:
        """ρ_t of the guided step being optimised."""
        if self.target == "latents":
            return self.stock_positions
        return self.positions_of(self.parameter)

    def training_step(self, item: MotionItem, batch_idx: int) -> torch.Tensor | None:
        """One prompt's loss at one timestep (Algorithm 1, lines 14 to 19)."""
        if self.optimization_steps == 0:
            return None
        row = next(self._rows[item.prompt])
        sampler, step, positions = self.samplers[row], self.current_epoch, self.current_positions()
        latents = sampler.latents
        if self.target == "latents":
            latents = self.parameter[row : row + 1]
        with self.injected(sampler, step, positions):
            outputs = sampler.read(self.objective, self.block, step, latents, positions)
        assert self.reference_motion is not None
        loss = self.objective.loss(outputs, self.reference_motion, **self._weighted())
        if not torch.isfinite(loss):
            raise DitflowError(
                f"the loss is {loss.item()} at guided step {step + 1} of {self.guided_steps} "
                f"(timestep {int(item.timestep)}); lower learning_rate={self.rates[0]:g}, "
                "or use dtype=float32."
            )
        self.last_outputs = outputs.detach()
        self.log("loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False)
        return loss

    def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """In float16 by a scaled loss; other formats reach lower."""
        if self.backbone.dtype != torch.float16:
            super().backward(loss, *args, **kwargs)
            return
        gradient, self.loss_scale = scaled_gradient(loss, self.parameter, self.loss_scale)
        # By autograd again, for hooks of several processes wait for the parameter's own gradient.
        (self.parameter * gradient).sum().backward()

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """An Adam step with a new gradient, and those that reuse it."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        taken = batch_idx // len(self.samplers) * self.gradient_reuse
        for _ in range(min(self.gradient_reuse, self.optimization_steps - taken) - 1):
            optimizer.optimizer.step()

    def configure_optimizers(self) -> Any:
        first, last = self.rates
        optimizer = torch.optim.Adam([self.parameter], lr=first)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, falling(first, last, self.guided_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def keep(self, optimised: torch.Tensor) -> None:
        """Remember a finished guided step's tensor, and the sampler's memory before that step.

        In main memory: values of every step are gigabytes.
        """
        optimised = optimised.cpu()
        if self.target == "latents":
            self.finished = [*(tensor.new_empty(0) for tensor in self.finished), optimised]
            remembered = [sampler.solver.previous_prediction for sampler in self.samplers]
            previous = [tensor for tensor in remembered if tensor is not None]
            self.previous_predictions = torch.cat(previous) if previous else None
        else:
            self.finished.append(optimised)

    @torch.no_grad()
    def finish(self) -> list[torch.Tensor]:
        """After the last guided step: the rest of the denoising, and decoding, done once.

        Returns:
            a video [T, 3, height, width] for each prompt of this process.

        Raises:
            DitflowError: not all guided steps are finished.
        """
        if len(self.finished) < self.guided_steps:
            raise DitflowError(
                f"the fit was ended after {len(self.finished)} of {self.guided_steps} guided "
                "steps, by a limit of the trainer or a callback; leave that out, and go on by "
                "--resume."
            )
        if not self.videos:
            num_frames = len(data_of(self.trainer).frames)
            # All of them before any is decoded, for which the transformer may have to leave.
            denoised = [self.denoise_rest(sampler, self.guided_steps) for sampler in self.samplers]
            self.videos = [self.decode(latents, num_frames) for latents in denoised]
        return self.videos

    # -- checkpoints: tensors and primitives only --------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = run_of(self, data_of(self.trainer), self.injection)
        states = [sampler.state_dict() for sampler in self.samplers]
        checkpoint["samplers"] = all_gather(self.trainer, states)
        checkpoint["finished"] = list(self.finished)
        checkpoint["previous_predictions"] = self.previous_predictions

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_same_run(checkpoint["run"], run_of(self, data_of(self.trainer), self.injection))
        states = local_share(self.trainer, checkpoint["samplers"])
        for sampler, state in zip(self.samplers, states, strict=True):
            sampler.load_state_dict(state)
        self.finished = [tensor.cpu() for tensor in checkpoint["finished"]]
        previous = checkpoint["previous_predictions"]
        self.previous_predictions = None if previous is None else previous.to(self.device)
