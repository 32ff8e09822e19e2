"""DiTFlow's optimisation: one epoch is one guided denoising step, one batch one Adam step."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from lightning import Callback, LightningModule
from tqdm import tqdm

from ditflow.backbones.base import BlockOutputs, Positions
from ditflow.backbones.cogvideox import CogVideoXBackbone
from ditflow.data import MotionItem, SampleItem
from ditflow.embedding import MotionEmbedding
from ditflow.errors import DitflowError
from ditflow.objectives import AttentionMotionFlow, Objective
from ditflow.sampling import Sampler, SamplerOptions
from ditflow.targets import (
    LearningRates,
    Parameterization,
    Target,
    initial_parameter,
    positions_of,
)

log = logging.getLogger(__name__)


class Injection(Protocol):
    """What the KVInjection callback offers the module."""

    def at(
        self, module: "MotionTransfer", sampler: Sampler, step: int, positions: Positions
    ) -> AbstractContextManager[None]: ...


class MotionTransfer(LightningModule):
    """Fit a motion (Algorithm 1), or sample videos with a fitted one.

    Args:
        backbone: frozen model, as `load_backbone` gives it.
        objective: what is made equal to the reference's.
        target: optimise the `latents` z_t or the `positions` ρ_t.
        parameterization: of positions: `values` is ρ itself, the paper's; `coordinates` is each
            token's (frame, row, column), from which ρ is derived.
        separate_query_key: with rotary values, optimise separate copies for queries and keys.
        block: the transformer block whose queries and keys the objective reads.
        guided_share: share of the denoising steps that are guided, from the first.
        optimization_steps: K_opt, Adam steps at each guided step.
        learning_rates: first and last, of each target and parameterisation.
        learning_rate: takes the place of the first rate; the last is then half of it.
        num_inference_steps: denoising steps.
        guidance_scale: of classifier-free guidance.
        dynamic_guidance: vary the scale over steps as the stock pipeline's dynamic guidance.
        negative_prompt: of classifier-free guidance.
        seed: of the initial noise.

    Raises:
        DitflowError: an option out of its range.
    """

    def __init__(
        self,
        backbone: CogVideoXBackbone,
        objective: Objective | None = None,
        target: Target = "latents",
        parameterization: Parameterization = "coordinates",
        separate_query_key: bool = False,
        block: int = 5,
        guided_share: float = 0.3,
        optimization_steps: int = 5,
        learning_rates: LearningRates = LearningRates(),
        learning_rate: float | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 3.0,
        dynamic_guidance: bool = False,
        negative_prompt: str = "",
        seed: int = 0,
    ):
        super().__init__()
        if learning_rate is not None and not 0 < learning_rate < float("inf"):
            raise DitflowError(f"learning_rate={learning_rate} must be greater than 0.")
        if not 0 < guided_share <= 1:
            raise DitflowError(f"guided_share={guided_share} must be above 0 and at most 1.")
        if optimization_steps < 1:
            raise DitflowError(f"optimization_steps={optimization_steps} must be at least 1.")
        if num_inference_steps < 1:
            raise DitflowError(f"num_inference_steps={num_inference_steps} must be at least 1.")
        if not 0 <= block < backbone.num_blocks:
            raise DitflowError(
                f"block={block} is out of range: {backbone.name} has blocks 0 to "
                f"{backbone.num_blocks - 1}."
            )
        # In a list: the frozen backbone is no submodule, and is neither moved nor saved with us.
        self._backbone = [backbone]
        self.objective = objective or AttentionMotionFlow()
        self.target, self.parameterization = target, parameterization
        self.separate_query_key = separate_query_key
        self.block = block
        self.optimization_steps = optimization_steps
        self.guided_steps = max(1, round(guided_share * num_inference_steps))
        rates = learning_rates.of(target, parameterization)
        self.rates = rates if learning_rate is None else (learning_rate, learning_rate / 2)
        self.sampler_options = SamplerOptions(
            num_inference_steps, guidance_scale, dynamic_guidance, negative_prompt
        )
        self.seed = seed
        self.injection: Injection | None = None
        self.reference_latents: torch.Tensor | None = None
        self.reference_motion: torch.Tensor | None = None
        self.embedding: MotionEmbedding | None = None
        self.samplers: list[Sampler] = []
        self.finished: list[torch.Tensor] = []
        """The optimised tensor of every finished guided step; of latents only the last is kept."""
        self.previous_predictions: torch.Tensor | None = None
        self.videos: list[torch.Tensor] = []
        """What a fit made, one video a prompt."""
        self.last_outputs: BlockOutputs | None = None

    @property
    def backbone(self) -> CogVideoXBackbone:
        return self._backbone[0]

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    def configure_callbacks(self) -> Sequence[Callback]:
        from ditflow.callbacks.denoising_schedule import DenoisingSchedule

        return [DenoisingSchedule()]

    # -- the reference ---------------------------------------------------------------------------

    def encode_reference(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames [T, 3, height, width] to the reference motion (Algorithm 1, lines 1 to 7)."""
        backbone = self.backbone
        with tqdm(total=1, desc="Encoding the reference") as bar:
            self.reference_latents = backbone.encode_video(frames)
            outputs = self.outputs(
                self.reference_latents,
                timestep=0,
                prompt=backbone.encode_prompt(""),
                positions=backbone.positions(self.reference_latents.shape),
                grad=False,
            )
            self.reference_motion = self.objective.reference(outputs)
            bar.update()
        if isinstance(self.objective, AttentionMotionFlow) and self.objective.is_static(
            self.reference_motion
        ):
            log.warning("Nothing moves in the reference: the result is guided to hold still.")
        return self.reference_motion

    def outputs(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        grad: bool = True,
    ) -> BlockOutputs:
        """What the objective reads of one video."""
        with torch.set_grad_enabled(grad):
            return self.backbone.query_key(latents, timestep, prompt, positions, self.block)

    # -- fit -------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        if stage == "fit":
            data = self.trainer.datamodule
            shape = tuple(self.reference_latents.shape)
            self.samplers = [self.sampler(prompt, self.seed, shape) for prompt in data.prompts]
            if self.target == "latents":
                start = torch.cat([sampler.latents for sampler in self.samplers]).float()
            else:
                start = self.initial_positions(shape)
            self.parameter = torch.nn.Parameter(start.clone())
            self.initial = start

    def sampler(self, prompt: str, seed: int, latent_shape: tuple[int, ...]) -> Sampler:
        return Sampler(self.backbone, self.sampler_options, prompt, seed, latent_shape)

    def timesteps(self) -> tuple[int, ...]:
        """Of all denoising steps, from noise to video."""
        scheduler = type(self.backbone.scheduler).from_config(self.backbone.scheduler.config)
        scheduler.set_timesteps(self.sampler_options.num_steps)
        return tuple(scheduler.timesteps.tolist())

    def initial_positions(self, latent_shape: tuple[int, ...]) -> torch.Tensor:
        """The parameter that stands for the stock ρ."""
        return initial_parameter(
            self.backbone.positions(latent_shape),
            self.backbone.coordinates(latent_shape),
            self.parameterization,
            self.separate_query_key,
        )

    def positions_of(self, parameter: torch.Tensor) -> Positions:
        return positions_of(parameter, self.parameterization, self.backbone.positions_at)

    def current_positions(self) -> Positions:
        """ρ_t of the guided step being optimised."""
        if self.target == "latents":
            return self.backbone.positions(tuple(self.reference_latents.shape))
        return self.positions_of(self.parameter)

    def training_step(self, item: MotionItem, batch_idx: int) -> torch.Tensor:
        """One prompt's loss at one timestep (Algorithm 1, lines 13 to 19)."""
        sampler = self.samplers[item.prompt_index]
        step = self.current_epoch
        if self.target == "latents":
            latents = self.parameter[item.prompt_index : item.prompt_index + 1]
        else:
            latents = sampler.latents
        positions = self.current_positions()
        with self.injected(sampler, step, positions):
            outputs = self.outputs(latents, item.timestep, sampler.prompt, positions)
        loss = self.objective.loss(outputs, item.reference)
        if not torch.isfinite(loss):
            raise DitflowError(
                f"the loss is {loss.item()} at guided step {step + 1} of {self.guided_steps} "
                f"(timestep {int(item.timestep)}); lower learning_rate={self.rates[0]:g}, "
                "or use dtype=float32."
            )
        self.last_outputs = BlockOutputs(outputs.query.detach(), outputs.key.detach(), outputs.grid)
        self.log("loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False)
        return loss

    def configure_optimizers(self):
        first, last = self.rates
        optimizer = torch.optim.Adam([self.parameter], lr=first)

        def factor(epoch: int) -> float:
            share = min(epoch / max(1, self.guided_steps - 1), 1.0)
            return (first + (last - first) * share) / first

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def keep(self, optimised: torch.Tensor) -> None:
        """Remember a finished guided step's tensor, and the sampler's memory before that step."""
        if self.target == "latents":
            self.finished = [*(tensor.new_empty(0) for tensor in self.finished), optimised]
            previous = [sampler.previous_prediction for sampler in self.samplers]
            remembered = all(tensor is not None for tensor in previous)
            self.previous_predictions = torch.cat(previous) if remembered else None
        else:
            self.finished.append(optimised)

    # -- denoising, shared by fit and predict ------------------------------------------------------

    def injected(
        self, sampler: Sampler, step: int, positions: Positions
    ) -> AbstractContextManager[None]:
        """KV injection's context at a guided step, if that callback is there."""
        if self.injection is None or self.reference_latents is None:
            return nullcontext()
        return self.injection.at(self, sampler, step, positions)

    def denoise_guided(self, sampler: Sampler, step: int, positions: Positions) -> None:
        """The ordinary step after optimising (line 25), with ρ_t and KV injection."""
        positions = tuple(part.detach() for part in positions)
        with self.injected(sampler, step, positions):
            prediction = sampler.predict(step, positions)
        sampler.advance(step, prediction)

    def denoise_rest(self, sampler: Sampler, first: int) -> torch.Tensor:
        """The unguided steps, with the stock ρ; returns z_0."""
        positions = self.backbone.positions(tuple(sampler.latents.shape))
        steps = range(first, self.sampler_options.num_steps)
        for step in tqdm(steps, desc="Denoising", disable=not steps):
            sampler.advance(step, sampler.predict(step, positions))
        return sampler.latents

    def decode(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        with tqdm(total=1, desc="Decoding") as bar:
            video = self.backbone.decode_video(latents, num_frames)
            bar.update()
        return video

    @torch.no_grad()
    def finish(self) -> list[torch.Tensor]:
        """After the last guided step: the rest of the denoising, and decoding, done once.

        Returns:
            a video [T, 3, height, width] for each prompt.
        """
        if not self.videos:
            num_frames = len(self.trainer.datamodule.frames)
            self.videos = [
                self.decode(self.denoise_rest(sampler, self.guided_steps), num_frames)
                for sampler in self.samplers
            ]
        return self.videos

    # -- predict ---------------------------------------------------------------------------------

    def on_predict_start(self) -> None:
        self.embedding = self.trainer.datamodule.motion
        self.reference_latents = self.embedding.tensors.get("reference_latents")
        if self.injection is not None and self.reference_latents is None:
            log.info("The embedding carries no reference latents: predicting with no KV injection.")

    @torch.no_grad()
    def predict_step(self, item: SampleItem, batch_idx: int) -> torch.Tensor:
        """A video [T, 3, height, width] with the embedding's motion, no optimisation."""
        embedding, header = self.embedding, self.embedding.header
        sampler = self.sampler(item.prompt, item.seed, header.latent_shape)
        stock = self.backbone.positions(header.latent_shape)
        for step in tqdm(range(header.guided_steps), desc="Guided steps"):
            if step < embedding.first_step:
                # Overwritten below, but the noise of a stochastic scheduler must be drawn.
                sampler.advance(step, torch.zeros_like(sampler.latents, dtype=torch.float32))
                continue
            positions = stock
            if header.target == "latents":
                sampler.restart(*embedding.latents_for(item.prompt))
            else:
                initial = self.initial_positions(header.latent_shape)
                difference = embedding.tensors["positions"][step].to(initial)
                positions = self.positions_of(initial + difference)
            self.denoise_guided(sampler, step, positions)
        latents = self.denoise_rest(sampler, header.guided_steps)
        return self.decode(latents, header.num_frames)

    # -- checkpoints: tensors and primitives only --------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["samplers"] = [sampler.state_dict() for sampler in self.samplers]
        checkpoint["finished"] = list(self.finished)
        checkpoint["previous_predictions"] = self.previous_predictions

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for sampler, state in zip(self.samplers, checkpoint["samplers"], strict=True):
            sampler.load_state_dict(state)
        self.finished = [tensor.to(self.device) for tensor in checkpoint["finished"]]
        previous = checkpoint["previous_predictions"]
        self.previous_predictions = None if previous is None else previous.to(self.device)

    def arguments(self) -> dict[str, Any]:
        """What `predict` needs to repeat this run's sampling, as arguments of this class."""
        options = self.sampler_options
        return {
            "backbone": {"class_path": "ditflow.load_backbone", "init_args": self.backbone.options},
            "target": self.target,
            "parameterization": self.parameterization,
            "separate_query_key": self.separate_query_key,
            "block": self.block,
            "num_inference_steps": options.num_steps,
            "guidance_scale": options.guidance_scale,
            "dynamic_guidance": options.dynamic_guidance,
            "negative_prompt": options.negative_prompt,
            "seed": self.seed,
        }
