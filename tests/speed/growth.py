"""How time and memory grow with frames, patches, heads and the block's index: fitted exponents.

python tests/speed/growth.py

Time is the process' own, the least of several; memory is what tensors hold at most, counted.
Exponents are slopes of straight lines through logarithms: 1 is linear, 2 is quadratic.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from jsonargparse import auto_cli
from tqdm import tqdm

from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.functional import motion_flow
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan.live_memory import LiveMemory

BASE = {"heads": 16, "frames": 6, "patches": 16}
GROWN = {"heads": (8, 16, 32, 64), "frames": (4, 8, 12, 16), "patches": (12, 16, 20, 28)}
DIM = 64


def flow_and_gradient(heads: int, frames: int, patches: int) -> Callable[[], None]:
    """Of a grid with `patches` rows and columns."""
    shape = (heads, frames * patches**2, DIM)
    query, key = (torch.randn(shape).requires_grad_() for _ in range(2))

    def run() -> None:
        query.grad = key.grad = None
        motion_flow(query, key, (frames, patches, patches)).square().mean().backward()

    return run


def optimisation_step(blocks: int) -> Callable[[int], Callable[[], None]]:
    """One Adam step of latents, guided at a block of a transformer of random weights."""
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=8,
        num_layers=blocks,
        text_embed_dim=64,
        max_text_seq_length=32,
        sample_height=24,
        sample_width=32,
        sample_frames=17,
        use_rotary_positional_embeddings=True,
    )
    pipeline = CogVideoXPipeline(None, None, None, transformer.eval(), CogVideoXDDIMScheduler())
    backbone = CogVideoXBackbone(pipeline, "random")
    shape = (1, 5, 16, 24, 32)
    positions, prompt = backbone.positions(shape), torch.randn(1, 32, 64)
    objective = AttentionMotionFlow()

    def at(block: int) -> Callable[[], None]:
        with torch.no_grad():
            outputs = backbone.query_key(PassInput(torch.randn(shape), 0, prompt, positions), block)
        reference = objective.reference(outputs)

        def run() -> None:
            parameter = torch.nn.Parameter(torch.randn(shape))
            optimizer = torch.optim.Adam([parameter])
            outputs = backbone.query_key(PassInput(parameter, 500, prompt, positions), block)
            objective.loss(outputs, reference).backward()
            optimizer.step()

        return run

    return at


def measure(run: Callable[[], None], repeats: int) -> tuple[float, int]:
    """Seconds of the process, and bytes held at most."""
    with LiveMemory() as live:
        run()
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return min(seconds), live.peak


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main(repeats: int = 3):
    """Measure.

    Args:
        repeats: of every size; the fastest counts.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, sizes in GROWN.items():
        bar = tqdm(sizes, desc=f"Motion flow, {name}")
        found = [measure(flow_and_gradient(**BASE | {name: size}), repeats) for size in bar]
        beyond = []
        for size, (_, peak) in zip(sizes, found, strict=True):
            now = BASE | {name: size}
            gradients = 2 * now["heads"] * now["frames"] * now["patches"] ** 2 * DIM * 4
            beyond.append(peak - gradients)
        # Patches are counted by rows and columns: S is their square.
        grown = [size**2 for size in sizes] if name == "patches" else sizes
        label = {"heads": "M", "frames": "F", "patches": "S"}[name]
        print(
            f"motion flow, {label}: time exponent "
            f"{exponent(grown, [seconds for seconds, _ in found]):.2f}, memory exponent "
            f"{exponent(grown, [peak for _, peak in found]):.2f}, beyond gradients "
            f"{exponent(grown, beyond):.2f}",
            flush=True,
        )
    at, blocks = optimisation_step(13), (3, 6, 9, 12)
    bar = tqdm(blocks, desc="Optimisation step, block")
    found = [measure(at(block), repeats) for block in bar]
    print(
        f"optimisation step, block index: time exponent "
        f"{exponent(blocks, [seconds for seconds, _ in found]):.2f}, memory exponent "
        f"{exponent(blocks, [peak for _, peak in found]):.2f}"
    )


if __name__ == "__main__":
    auto_cli(main)
