"""Time and memory of the motion flow against the whole attention tensor, as ratios in one run.

python tests/speed/motion_flow.py                  # both; 5B's heads and frames, fewer patches
python tests/speed/motion_flow.py --height 30 --width 45 --whole false   # 5B's own size
python tests/speed/motion_flow.py --height 30 --width 45 --whole false --frames 13

Memory is what the process grows by at most, without the gradients of queries and keys.
"""

import multiprocessing
import resource
import time

import torch
from jsonargparse import auto_cli
from tqdm import tqdm

from ditflow.functional import motion_flow
from ditflow.functional.motion_flow import patch_coordinates


def whole_tensor_flow(query, key, grid, temperature=2.0):
    """The obvious way: every head's [F·S, F·S] products at once, under autograd."""
    frames, patches = grid[0], grid[1] * grid[2]
    logits = (temperature * query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).mean(0)
    logits = logits.view(frames, patches, frames, patches).transpose(1, 2)
    coordinates = patch_coordinates(grid, query)
    return logits.softmax(-1) @ coordinates - coordinates


def measure(name, heads, grid, dim, options, queue):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    tokens = grid[0] * grid[1] * grid[2]
    query, key = (
        torch.randn(heads, tokens, dim, generator=generator).requires_grad_() for _ in range(2)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started = time.perf_counter()
    compute = whole_tensor_flow if name == "whole" else motion_flow
    flow = compute(query, key, grid, **options)
    flow.square().mean().backward()
    seconds = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    queue.put((seconds, grown - query.grad.nbytes - key.grad.nbytes, query.grad.norm().item()))


def main(
    heads: int = 48,
    frames: int = 6,
    height: int = 15,
    width: int = 22,
    dim: int = 64,
    whole: bool = True,
    frame_window: int = 2,
    patch_window: int = 8,
):
    """Compare in fresh processes of one thread, forward and backward.

    Args:
        heads: M.
        frames, height, width: the token grid.
        dim: of a head.
        whole: run the obvious form too, which holds M [F·S, F·S] products twice.
        frame_window, patch_window: of a third run.
    """
    grid, block = (frames, height, width), frames * (height * width) ** 2 * 4
    windows = {"frame_window": frame_window, "patch_window": patch_window}
    runs = {"ours": {}, "windows": windows} | ({"whole": {}} if whole else {})
    results = {}
    for name, options in tqdm(runs.items(), desc="Measuring"):
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=measure, args=(name, heads, grid, dim, options, queue))
        process.start()
        results[name] = queue.get()
        process.join()
    (seconds, grown, norm), (windowed, windowed_grown, _) = results["ours"], results["windows"]
    print(f"ours: {grown / 2**20:.0f} MiB, {grown / block:.1f} [S, F·S] blocks")
    print(
        f"windows of {frame_window} frames and {patch_window} patches/ours: "
        f"time {windowed / seconds:.2f}, memory {windowed_grown / grown:.2f}"
    )
    if whole:
        other, other_grown, other_norm = results["whole"]
        print(f"whole/ours: time {other / seconds:.2f}, memory {other_grown / grown:.0f}")
        print(f"gradient norms: ours/whole {norm / other_norm:.6f}")


if __name__ == "__main__":
    auto_cli(main)
