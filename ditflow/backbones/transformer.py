"""What every family over a diffusers transformer does alike: stop in a block, record, replace."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import torch
from diffusers import DiffusionPipeline, FirstBlockCacheConfig
from torch.nn import Module, ModuleList

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, KeyValues, PassInput
from ditflow.backbones.control import (
    AttentionControl,
    BlockReached,
    ControlledProcessor,
    run_controlled,
)
from ditflow.backbones.pipeline_hooks import Change, PassChange, PipelineHooks, PipelinePass
from ditflow.backbones.transformer_shapes import TransformerShapes
from ditflow.errors import DitflowError
from ditflow.utils.hashing import hash_of, hash_of_tensors
from ditflow.utils.prompts import unheeded


class TransformerBackbone(Backbone):
    """A diffusers pipeline seen as a `Backbone`, with our processor in its self-attention.

    All weights are frozen. A family says where its blocks and their self-attention are, what
    processor they take, and how one pass is run.

    Args:
        pipeline: loaded, on its device, where it stays.
        name: what messages and motion embeddings call it.
        options: see `Backbone.options`; by default the name alone.
        install: freeze the weights and put our processors in the place of the stock ones; off
            leaves the pipeline as it is, for `applied` alone.
    """

    batched_guidance = True
    """Whether the stock pipeline runs both branches of classifier-free guidance as one batch."""
    shapes_class = TransformerShapes
    """Of the family, such as one that knows how its VAE works on a part of a video at a time."""

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        name: str,
        options: dict[str, Any] | None = None,
        install: bool = True,
    ):
        self.pipeline, self.name = pipeline, name
        self.options = options or {"name": name}
        # Asked once: it goes through every module, and a pass asks for it several times.
        self.device = pipeline._execution_device
        self.transformer = pipeline.transformer
        if install:
            for component in (self.transformer, pipeline.vae, pipeline.text_encoder):
                if component is not None:
                    component.requires_grad_(False).eval()
            self._install()

    @property
    @abstractmethod
    def blocks(self) -> ModuleList:
        """The transformer's, in order."""

    @abstractmethod
    def self_attention(self, block: Module) -> Any:
        """Of a block, over all video tokens."""

    @abstractmethod
    def new_processor(self) -> ControlledProcessor:
        """For the self-attention of a block."""

    @property
    @abstractmethod
    def prompt_length(self) -> int:
        """Tokens that a prompt is padded or cut to."""

    @abstractmethod
    def run(self, given: PassInput) -> torch.Tensor:
        """The transformer's prediction [B, F, C, h, w], with ρ as given."""

    @abstractmethod
    def hooks(self, change: Change) -> PipelineHooks:
        """What changes the pipeline's own calls."""

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.dtype

    @property
    def num_blocks(self) -> int:
        return len(self.blocks)

    @property
    def num_train_timesteps(self) -> int:
        return self.pipeline.scheduler.config.num_train_timesteps

    def fingerprint(self) -> str:
        """Hash of the transformer's and the VAE's configurations, versions and paths left out."""
        configs = [dict(part.config) for part in (self.transformer, self.pipeline.vae)]
        kept = [{k: v for k, v in config.items() if not k.startswith("_")} for config in configs]
        return hash_of(kept)

    def encoder_identity(self) -> list[str]:
        vae = self.pipeline.vae
        tiles = [vae.tile_sample_min_height, vae.tile_sample_min_width] if vae.use_tiling else []
        weights = hash_of_tensors(*vae.state_dict().values())
        return [str(value) for value in (dict(vae.config), self.device.type, tiles, weights)]

    def unheeded(self, prompt: str) -> Iterator[str]:
        return unheeded(prompt, self.pipeline.tokenizer, self.prompt_length, self.name)

    # -- passes ----------------------------------------------------------------------------------

    def query_keys(self, given: PassInput, blocks: Sequence[int]) -> list[BlockOutputs]:
        controls = self._run_to(given, blocks, "query_key")
        grid = self.token_grid(tuple(given.latents.shape))
        return [BlockOutputs(control.query[0], control.key[0], grid) for control in controls]

    def features(self, given: PassInput, block: int) -> BlockFeatures:
        self.check_block(block)
        with self._stopped_after(block) as reached, suppress(BlockReached):
            self._run(given)
        return BlockFeatures(reached[0][0], self.token_grid(tuple(given.latents.shape)))

    @torch.no_grad()
    def record_key_values(self, given: PassInput, block: int = 0) -> KeyValues:
        (control,) = self._run_to(given, [block], "key_value")
        return KeyValues(block, control.key, control.value)

    def injected(self, key_values: KeyValues) -> AbstractContextManager[None]:
        control = AttentionControl(replacement=(key_values.key, key_values.value))
        return self._controlled({key_values.block: control})

    def denoise(
        self, given: PassInput, negative_prompt: torch.Tensor | None, guidance_scale: float
    ) -> torch.Tensor:
        def predict(given: PassInput, branch: str) -> torch.Tensor:
            with self.transformer.cache_context(branch):
                return self._run(given).float()

        if negative_prompt is None:
            return predict(given, "conditional")
        if not self.batched_guidance or self.options.get("split_guidance"):
            unconditional = predict(given._replace(prompt=negative_prompt), "unconditional")
            conditional = predict(given, "conditional")
        else:
            latents = torch.cat([given.latents] * 2)
            prompts = torch.cat([negative_prompt, given.prompt])
            both = predict(given._replace(latents=latents, prompt=prompts), "both")
            unconditional, conditional = both.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    @contextmanager
    def block_cache(self, threshold: float) -> Iterator[None]:
        if threshold == 0:
            yield
            return
        self.transformer.enable_cache(FirstBlockCacheConfig(threshold))
        try:
            yield
        finally:
            self.transformer.disable_cache()

    # -- the stock pipeline's calls --------------------------------------------------------------

    @contextmanager
    def applied(self, change: Change, separate_query_key: bool) -> Iterator[DiffusionPipeline]:
        attentions = [self.self_attention(block) for block in self.blocks]
        own = [attention.processor for attention in attentions]
        # Tables of their own for queries and keys need our attention.
        if separate_query_key and not all(isinstance(part, ControlledProcessor) for part in own):
            self._install()
        installed = [attention.processor for attention in attentions]

        def checked(made: PipelinePass) -> PassChange:
            if [attention.processor for attention in attentions] != installed:
                raise DitflowError(
                    "the transformer's attention was exchanged inside applied_to (as "
                    "fuse_qkv_projections does); exchange it before."
                )
            return change(made)

        try:
            with self.hooks(checked).applied():
                yield self.pipeline
        finally:
            for attention, processor in zip(attentions, own, strict=True):
                attention.processor = processor

    # -- memory ----------------------------------------------------------------------------------

    def release(self) -> None:
        # Hooks of model offloading know but one order: in any other, two parts would be there.
        self.pipeline.maybe_free_model_hooks()

    # -- planning --------------------------------------------------------------------------------

    def shapes(self) -> TransformerShapes:
        kind = type(self).__qualname__
        return self.shapes_class(self.pipeline, self.prompt_length, self._over, kind)

    def _over(self, pipeline: DiffusionPipeline, options: dict[str, Any]) -> Self:
        """This adapter, with all that a subclass adds, over a pipeline like its own."""
        other = copy(self)
        TransformerBackbone.__init__(other, pipeline, self.name, options)
        return other

    # -- control ---------------------------------------------------------------------------------

    def _install(self) -> None:
        for block in self.blocks:
            self.self_attention(block).processor = self.new_processor()

    def _run(self, given: PassInput) -> torch.Tensor:
        # Group offloading takes a weight's memory away after its layer has run, and puts the main
        # memory's in its place: what autograd saved must be an alias that stays where it is.
        if self.options.get("offload") != "group":
            return self.run(given)
        with torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, lambda kept: kept):
            return self.run(given)

    def _run_to(
        self, given: PassInput, blocks: Sequence[int], record: Literal["query_key", "key_value"]
    ) -> list[AttentionControl]:
        """Run up to the last block's attention and return what each recorded."""
        controls = {}
        for block in blocks:
            self.check_block(block)
            # A block may be recorded while its keys and values are replaced: keep the replacement.
            replacement = self._processor(block).control.replacement
            controls[block] = AttentionControl(
                record, block == max(blocks), replacement, checkpointed=False
            )
        with self._controlled(controls), suppress(BlockReached):
            self._run(given)
            raise AssertionError(f"block {max(blocks)} was never reached")
        return [controls[block] for block in blocks]

    def _processor(self, block: int) -> ControlledProcessor:
        processor = self.self_attention(self.blocks[block]).processor
        assert isinstance(processor, ControlledProcessor)
        return processor

    @contextmanager
    def _controlled(self, controls: Mapping[int, AttentionControl]) -> Iterator[None]:
        """Ask blocks (by index) for what `controls` say; as before on exit, exceptions included.

        Gradient checkpointing runs a block again in the backward pass, when this context may have
        closed: a block with a replacement brings it along, one that records or stops is left out.
        """
        transformer = self.transformer
        processors = {index: self._processor(index) for index in controls}
        before = {index: processor.control for index, processor in processors.items()}
        checkpointing = transformer._gradient_checkpointing_func
        own = [(self.blocks[index], processors[index], controls[index]) for index in controls]

        def checkpoint(block: Module, *args: Any) -> Any:
            for other, processor, control in own:
                if other is not block:
                    continue
                if not control.checkpointed:
                    return block(*args)
                return checkpointing(partial(run_controlled, block, processor, control), *args)
            return checkpointing(block, *args)

        try:
            for index, control in controls.items():
                processors[index].control = control
            if checkpointing is not None:
                transformer._gradient_checkpointing_func = checkpoint
            yield
        finally:
            for index, control in before.items():
                processors[index].control = control
            transformer._gradient_checkpointing_func = checkpointing

    @contextmanager
    def _stopped_after(self, index: int) -> Iterator[list[torch.Tensor]]:
        """Context in which a pass ends with `BlockReached` after a block; yields the list that its
        output image tokens [B, N, C] are put into."""
        reached: list[torch.Tensor] = []

        def stop(_module: Module, _args: Any, outputs: Any) -> None:
            reached.append(outputs[0] if isinstance(outputs, tuple) else outputs)
            raise BlockReached

        control = replace(self._processor(index).control, checkpointed=False)
        handle = self.blocks[index].register_forward_hook(stop)
        try:
            with self._controlled({index: control}):
                yield reached
        finally:
            handle.remove()
