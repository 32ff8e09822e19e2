"""One optimisation step and a whole fit against the obvious way, stock sampling, and arithmetic.

python tests/speed/optimisation.py

The obvious way is written from the paper's formulas: whole passes, every head's [N, N] product,
a loop over pairs of frames, and weights that gradients are computed for. All in one process, one
after the other, and again; ratios of the fastest. About ten minutes on one core.
"""

import time
from collections.abc import Callable

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.embeddings import apply_rotary_emb
from jsonargparse import auto_cli
from tqdm import tqdm

from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.functional import motion_flow
from ditflow.objectives import AttentionMotionFlow

RATE = 0.01


class Obvious:
    """The method with nothing saved.

    Args:
        transformer: with weights that take gradients.
        rotary: its positions.
        grid: (F, H, W).
        block: guided.
    """

    def __init__(self, transformer, rotary, grid, block):
        self.transformer, self.rotary, self.grid, self.block = transformer, rotary, grid, block
        self.seen: dict[str, torch.Tensor] = {}
        attention = transformer.transformer_blocks[block].attn1
        for name in ("norm_q", "norm_k"):
            getattr(attention, name).register_forward_hook(
                # A copy: the stock processor rotates in place.
                lambda _m, _i, output, name=name: self.seen.update({name: output.clone()})
            )

    def forward(self, latents, prompt, timestep):
        timesteps = torch.full((len(latents),), int(timestep))
        return self.transformer(latents, prompt, timesteps, image_rotary_emb=self.rotary)[0]

    def flow(self, latents, prompt, timestep):
        """Soft motion flow [F, F, S, 2], from every head's [N, N] attention."""
        self.forward(latents, prompt, timestep)
        text = prompt.shape[1]
        query, key = (
            apply_rotary_emb(self.seen[name][:, :, text:], self.rotary)[0]
            for name in ("norm_q", "norm_k")
        )
        logits = 2.0 * torch.einsum("mnd,mkd->mnk", query, key) / query.shape[-1] ** 0.5
        logits = logits.mean(0)
        frames, height, width = self.grid
        patches = height * width
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        where = torch.stack([columns.flatten(), rows.flatten()], -1).float()
        pairs = []
        for i in range(frames):
            for j in range(frames):
                own, other = (slice(f * patches, (f + 1) * patches) for f in (i, j))
                pairs.append(logits[own, other].softmax(-1) @ where - where)
        return torch.stack(pairs).view(frames, frames, patches, 2)

    def step(self, parameter, optimizer, prompt, timestep, reference):
        loss = (self.flow(parameter, prompt, timestep) - reference).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss


def main(
    blocks: int = 11,
    heads: int = 16,
    frames: int = 5,
    height: int = 12,
    width: int = 16,
    block: int | None = None,
    steps: int = 10,
    guided_steps: int = 2,
    repeats: int = 2,
):
    """Compare on random weights, no KV injection, no encoding and decoding.

    Args:
        blocks, heads: of the transformer; a head has 64 channels.
        frames, height, width: the token grid.
        block: guided; by default nearest to the paper's 20 of 42.
        steps, guided_steps: of denoising, and of them guided, five Adam steps each.
        repeats: of every measurement; the fastest counts.
    """
    torch.manual_seed(0)
    block = round(20 / 42 * blocks) if block is None else block
    grid = (frames, height, width)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=heads,
        num_layers=blocks,
        text_embed_dim=64,
        max_text_seq_length=32,
        sample_height=2 * height,
        sample_width=2 * width,
        sample_frames=4 * (frames - 1) + 1,
        use_rotary_positional_embeddings=True,
    ).eval()
    pipeline = CogVideoXPipeline(None, None, None, transformer, CogVideoXDDIMScheduler())
    backbone = CogVideoXBackbone(pipeline, "random")
    shape = (1, frames, 16, 2 * height, 2 * width)
    positions, prompt = backbone.positions(shape), torch.randn(1, 32, 64)
    objective = AttentionMotionFlow(moving_only=False)
    with torch.no_grad():
        outputs = backbone.query_key(PassInput(torch.randn(shape), 0, prompt, positions), block)
    reference = objective.reference(outputs)
    noise = torch.randn(shape)
    timesteps = torch.linspace(999, 99, steps).long()

    def optimise(step: Callable, count: int, gradients: int = 5) -> torch.Tensor:
        """Latents after `count` guided steps, of five Adam steps each."""
        latents = noise.clone()
        for timestep in timesteps[:count]:
            parameter = torch.nn.Parameter(latents)
            optimizer = torch.optim.Adam([parameter], lr=RATE)
            for _ in range(gradients):
                step(parameter, optimizer, timestep)
            for _ in range(5 - gradients):
                optimizer.step()
            latents = denoise(parameter.detach(), timestep)
        return latents

    def once(step: Callable) -> torch.Tensor:
        """The gradient of one optimisation step."""
        parameter = torch.nn.Parameter(noise.clone())
        step(parameter, torch.optim.Adam([parameter], lr=RATE), timesteps[0])
        return parameter.grad

    def ours(parameter, optimizer, timestep) -> None:
        outputs = backbone.query_key(PassInput(parameter, timestep, prompt, positions), block)
        optimizer.zero_grad()
        objective.loss(outputs, reference).backward()
        optimizer.step()

    def denoise(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return latents - 0.1 * backbone.denoise(
            PassInput(latents, timestep, prompt, positions), prompt, 6.0
        )

    def sample(latents: torch.Tensor, first: int) -> torch.Tensor:
        for timestep in timesteps[first:]:
            latents = denoise(latents, timestep)
        return latents

    naive = Obvious(transformer, positions, grid, block)

    def obvious(parameter, optimizer, timestep) -> None:
        naive.step(parameter, optimizer, prompt, timestep, reference)

    def stock(
        work: Callable[[], torch.Tensor], gradients: bool = True
    ) -> Callable[[], torch.Tensor]:
        """Work on the stock transformer, whose weights take gradients."""

        def run() -> torch.Tensor:
            transformer.requires_grad_(gradients)
            for part in transformer.transformer_blocks:
                part.attn1.processor = CogVideoXAttnProcessor2_0()
            try:
                return work()
            finally:
                transformer.requires_grad_(False).zero_grad(set_to_none=True)
                for part in transformer.transformer_blocks:
                    part.attn1.processor = backbone.new_processor()

        return run

    work = {
        "step": lambda: once(ours),
        "obvious step": stock(lambda: once(obvious)),
        "fit": lambda: sample(optimise(ours, guided_steps), guided_steps),
        "obvious fit": stock(lambda: sample(optimise(obvious, guided_steps), guided_steps)),
        "fast fit": lambda: sample(optimise(ours, guided_steps, 1), guided_steps),
        "two-gradient fit": lambda: sample(optimise(ours, guided_steps, 2), guided_steps),
        "sampling": stock(lambda: sample(noise, 0), gradients=False),
        "flow": lambda: flow_alone(outputs, objective, reference),
        "block forward": lambda: block_pass(transformer, shape, positions, False),
        "block both": lambda: block_pass(transformer, shape, positions, True),
    }
    seconds, results = {}, {}
    bar = tqdm(list(work.items()) * repeats, desc="Measuring")
    for name, run in bar:
        bar.set_postfix_str(name)
        started = time.perf_counter()
        results[name] = run()
        seconds[name] = min(seconds.get(name, 1e9), time.perf_counter() - started)
    for name in ("step", "fit"):
        print(f"{name}: obvious/ours {seconds[f'obvious {name}'] / seconds[name]:.2f}")
    own, other = results["step"], results["obvious step"]
    print(f"gradients differ by {((own - other).norm() / other.norm()).item():.1e} of their norm")
    for name, what in (
        ("fit", "exact"),
        ("two-gradient fit", "gradient_reuse 3"),
        ("fast fit", "gradient_reuse 5"),
    ):
        print(f"fit/stock sampling {seconds[name] / seconds['sampling']:.2f}, {what}")
    optimising = 5 * guided_steps
    arithmetic = (
        2 * blocks * steps * seconds["block forward"] + block * optimising * seconds["block both"]
    )
    flow = optimising * seconds["flow"]
    print(
        f"fit/block arithmetic {(seconds['fit'] - flow) / arithmetic:.2f}, the motion flow apart, "
        f"which is {flow / seconds['fit']:.0%} of the fit"
    )


def flow_alone(outputs, objective, reference):
    query, key = (part.detach().requires_grad_() for part in (outputs.query, outputs.key))
    flow = motion_flow(query, key, outputs.grid, temperature=objective.temperature)
    (flow - reference).square().mean().backward()
    return query.grad


def block_pass(transformer, shape, positions, backward: bool):
    """One block of a single video, forward, or forward and backward without weight gradients."""
    tokens, channels = len(positions[0]), transformer.config.num_attention_heads * 64
    hidden = torch.randn(1, tokens, channels, requires_grad=backward)
    text, time_embedding = torch.randn(1, 32, channels), torch.randn(1, 512)
    with torch.set_grad_enabled(backward):
        out, _ = transformer.transformer_blocks[1](hidden, text, time_embedding, positions)
        if backward:
            out.sum().backward()
    return out


if __name__ == "__main__":
    auto_cli(main)
