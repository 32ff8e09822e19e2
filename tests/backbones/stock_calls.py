"""What the conformance suite asks of a stock pipeline, and where it looks into one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from torch import Tensor
from torch.nn import Module

from ditflow.backbones.base import Backbone, PassInput
from ditflow.backbones.images import condition_on
from ditflow.sampling import Sampler, SamplerOptions
from ditflow.video.pictures import as_image

PROMPT = "a red circle on a gray background"
SEED = 2


class Attended(NamedTuple):
    """Queries, keys and values of one self-attention as they are multiplied, [B, M, N, D]."""

    query: Tensor
    key: Tensor
    value: Tensor


class StockCalls:
    """Calls of a stock pipeline, for comparison; what differs by family is overridden."""

    size = (9, 32, 48)
    """(frames, height, width), not the default one."""
    sizes: Sequence[tuple[int, int, int]] = ((5, 32, 48), (9, 32, 32), (13, 48, 32))
    wrong_sizes: Sequence[tuple[tuple[int, int, int], str]] = (
        ((10, 32, 32), "num_frames"),
        ((9, 36, 32), "height"),
        ((9, 32, 4), "width"),
    )

    with_image = False
    """Whether videos begin with an image."""

    def image_of(self, size: tuple[int, int, int]) -> Tensor | None:
        """[3, height, width] in [0, 1], in 8 bits as of a file; None of a model that takes none."""
        generator = torch.Generator().manual_seed(SEED)
        pixels = torch.randint(256, (3, *size[1:]), generator=generator)
        return pixels / 255 if self.with_image else None

    rounding = 0.0
    """Share of the largest value by which results may differ whose sums are the same; on a GPU
    their order may be another from run to run."""

    def same(self, ours: Tensor, theirs: Tensor) -> None:
        """Fail if they differ by more than `rounding`."""
        most = self.rounding * theirs.abs().max().item()
        torch.testing.assert_close(ours.cpu(), theirs.cpu(), rtol=0, atol=most)

    def call_options(self, stock: DiffusionPipeline) -> dict[str, Any]:
        """Further arguments of the pipeline's call, with which it does what the adapter does."""
        return {}

    def blocks(self, pipeline: DiffusionPipeline) -> Sequence[Module]:
        return pipeline.transformer.transformer_blocks

    def self_attention(self, block: Module) -> Module:
        return block.attn1

    def image_tokens(self, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Image tokens and the others of [B, M, N, D]; here the text's, if any, come first."""
        return tokens[:, :, -count:], tokens[:, :, :-count]

    def applicable(self, stock: DiffusionPipeline) -> DiffusionPipeline | Backbone:
        """What `applied_to` takes: the pipeline itself, of a family that ditflow ships."""
        return stock

    def call(self, stock: DiffusionPipeline, size: tuple[int, int, int], **options: Any) -> Tensor:
        """The stock pipeline's video, [T, 3, height, width]."""
        given = dict(zip(("num_frames", "height", "width"), size, strict=True))
        given |= {"num_inference_steps": 3, "guidance_scale": 1.0, "output_type": "pt"}
        given |= {"generator": torch.Generator().manual_seed(SEED)}
        image = self.image_of(size)
        given |= {} if image is None else {"image": as_image(image)}
        given |= {"prompt": PROMPT} | self.call_options(stock) | options
        return stock(**given).frames[0][-size[0] :].cpu()

    @pytest.fixture
    def given(self, backbone: Backbone) -> PassInput:
        """A pass at the first of the steps that `call` takes, from the same noise."""
        shape = backbone.latent_shape(*self.size)
        generator, image = torch.Generator().manual_seed(SEED), self.image_of(self.size)
        condition = condition_on(backbone, image, shape, generator)
        noise = backbone.initial_noise(shape, generator)
        solver, prompt = backbone.solver(1), backbone.encode_prompt(PROMPT)
        positions = backbone.positions(shape)
        timestep = solver.timesteps[0]
        return PassInput(solver.start(noise), timestep, prompt, positions, condition)

    def sampler(
        self, backbone: Backbone, options: SamplerOptions, size: tuple[int, int, int] | None = None
    ) -> Sampler:
        """Of a video that begins with the image, if the model takes one."""
        size = size or self.size
        shape, image = backbone.latent_shape(*size), self.image_of(size)
        return Sampler(backbone, options, PROMPT, SEED, shape, image=image)

    @contextmanager
    def attended(self, pipeline: DiffusionPipeline) -> Iterator[list[Attended]]:
        """Context that gives what every block's self-attention multiplies, in order."""
        seen: list[Attended] = []
        inside: list[bool] = []
        handles = []
        for block in self.blocks(pipeline):
            attention = self.self_attention(block)
            handles += [
                attention.register_forward_pre_hook(lambda *_: inside.append(True)),
                attention.register_forward_hook(lambda *_: inside.clear(), always_call=True),
            ]
        own = F.scaled_dot_product_attention

        def noted(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if inside:
                seen.append(Attended(*(part.detach().clone() for part in (query, key, value))))
            return own(query, key, value, *args, **kwargs)

        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(F, "scaled_dot_product_attention", noted)
                yield seen
        finally:
            for handle in handles:
                handle.remove()
