"""Time and memory of the motion flow against the whole attention tensor, as ratios in one run.

python tests/benchmarks/motion_flow.py --heads 8 --frames 6 --height 15 --width 22
"""

import multiprocessing
import resource
import time

import torch
from jsonargparse import auto_cli

from ditflow.functional import motion_flow
from ditflow.functional.motion_flow import patch_coordinates


def whole_tensor_flow(query, key, grid, temperature=2.0):
    """The obvious way: every head's [F·S, F·S] products at once, under autograd."""
    frames, patches = grid[0], grid[1] * grid[2]
    logits = (temperature * query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).mean(0)
    logits = logits.view(frames, patches, frames, patches).transpose(1, 2)
    coordinates = patch_coordinates(grid, query)
    return logits.softmax(-1) @ coordinates - coordinates


def measure(name, heads, grid, dim, queue):
    generator = torch.Generator().manual_seed(0)
    tokens = grid[0] * grid[1] * grid[2]
    query, key = (
        torch.randn(heads, tokens, dim, generator=generator).requires_grad_() for _ in range(2)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    flow = {"ours": motion_flow, "whole": whole_tensor_flow}[name](query, key, grid)
    flow.square().mean().backward()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    block = grid[1] * grid[2] * tokens * 4 / 1024
    queue.put((seconds, peak, peak / block, query.grad.norm().item()))


def main(heads: int = 16, frames: int = 6, height: int = 15, width: int = 22, dim: int = 64):
    """Compare both in fresh processes, forward and backward.

    Args:
        heads: M.
        frames, height, width: the token grid.
        dim: of a head.
    """
    results = {}
    for name in ("ours", "whole"):
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        grid = (frames, height, width)
        process = context.Process(target=measure, args=(name, heads, grid, dim, queue))
        process.start()
        results[name] = queue.get()
        process.join()
    (time_a, peak_a, blocks, norm_a), (time_b, peak_b, _, norm_b) = results.values()
    print(f"time: ours/whole {time_a / time_b:.2f}")
    print(f"peak memory: ours/whole {peak_a / peak_b:.3f}; ours {blocks:.1f} [S, F·S] blocks")
    print(f"gradient norms: ours/whole {norm_a / norm_b:.6f}")


if __name__ == "__main__":
    auto_cli(main)
