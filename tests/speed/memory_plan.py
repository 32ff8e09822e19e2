"""What `ditflow plan` estimates against the resident memory that real passes take.

python tests/speed/memory_plan.py

A CogVideoX of random weights, large enough for a process' memory to be told from its noise, at
three sizes of video. Every phase runs in a process of its own: what one leaves with the allocator
would be another's; and every tensor in pages of its own, so that what is measured is what tensors
hold and not how the C library files them. Linux only.
"""

import ctypes
import gc
import multiprocessing
import os
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from jsonargparse import auto_cli
from transformers import T5Config, T5EncoderModel

from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan.phases import Work, phases
from ditflow.utils.memory import peak_memory

BLOCK = 3
SIZES = ((9, 192, 256), (13, 256, 320), (21, 256, 384))
TEXT = T5Config(d_model=64, d_ff=64, d_kv=16, num_heads=4, num_layers=1, vocab_size=100)


def pipeline(frames: int, height: int, width: int) -> CogVideoXPipeline:
    """Random weights: 5 blocks of 8 heads, and a VAE of 32 to 64 channels."""
    torch.manual_seed(0)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=8,
        num_layers=5,
        text_embed_dim=64,
        max_text_seq_length=32,
        sample_height=height // 8,
        sample_width=width // 8,
        sample_frames=frames,
        use_rotary_positional_embeddings=True,
    )
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(32, 32, 64, 64), layers_per_block=1, norm_num_groups=16
    )
    text_encoder, scheduler = T5EncoderModel(TEXT), CogVideoXDDIMScheduler()
    return CogVideoXPipeline(None, text_encoder, vae.eval(), transformer.eval(), scheduler)


def work_of(backbone: CogVideoXBackbone, name: str, size: tuple[int, int, int]):
    """What a phase does, ready to run."""
    shape = backbone.latent_shape(*size)
    latents, positions, prompt = (
        torch.randn(shape),
        backbone.positions(shape),
        torch.randn(1, 32, 64),
    )
    objective = AttentionMotionFlow()
    if name == "encoding the reference":
        frames = torch.rand(size[0], 3, *size[1:])
        return lambda: backbone.encode_video(frames)
    if name == "denoising":
        return lambda: backbone.denoise(
            PassInput(latents, torch.tensor(500), prompt, positions), prompt, 6.0
        )
    if name == "decoding":
        return lambda: backbone.decode_video(latents, size[0])

    def read():
        with torch.no_grad():
            outputs = backbone.query_key(PassInput(latents, 0, prompt, positions), BLOCK)
        return objective.reference(outputs)

    if name == "reading its motion":
        return read
    reference = read()

    def optimise():
        parameter = torch.nn.Parameter(latents.clone())
        optimizer = torch.optim.Adam([parameter])
        recorded = backbone.record_key_values(PassInput(latents, 500, prompt, positions))
        with backbone.injected(recorded):
            outputs = backbone.query_key(PassInput(parameter, 500, prompt, positions), BLOCK)
        objective.loss(outputs, reference).backward()
        optimizer.step()

    return optimise


def measure(name: str, size: tuple[int, int, int], send) -> None:
    """Bytes of resident memory that a phase adds at most."""
    torch.set_num_threads(1)
    backbone = CogVideoXBackbone(pipeline(*size), "random")
    run = work_of(backbone, name, size)
    run()  # libraries take memory of their own at the first use, and keep it
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = resident()
    with peak_memory(torch.device("cpu")) as peak:
        run()
    send.send(peak.mib * 2**20 - before)


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(sizes: tuple[tuple[int, int, int], ...] = SIZES):
    """Compare.

    Args:
        sizes: frames, height and width in pixels.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # of the processes that are started
    worst = 0.0
    for size in sizes:
        shapes = CogVideoXBackbone(pipeline(*size), "random").shapes()
        work = Work(torch.float32, *size, block=BLOCK, objective=AttentionMotionFlow())
        largest = [0, 0]
        for phase in phases(shapes, work):
            if phase.name == "encoding prompts":
                continue
            name = phase.name.split(",")[0]
            receive, send = multiprocessing.get_context("spawn").Pipe(False)
            process = multiprocessing.get_context("spawn").Process(
                target=measure, args=(name, size, send)
            )
            process.start()
            real = receive.recv()
            process.join()
            ratio = phase.working / real
            largest = [max(largest[0], phase.working), max(largest[1], real)]
            print(
                f"{size}: {name}: planned {phase.working / 2**20:.0f} MiB, "
                f"measured {real / 2**20:.0f} MiB, ratio {ratio:.2f}",
                flush=True,
            )
        ratio = largest[0] / largest[1]
        worst = max(worst, abs(ratio - 1))
        print(f"{size}: peak of the run: planned/measured {ratio:.2f}")
    print(f"worst of the runs' peaks: {worst:.0%} off")


if __name__ == "__main__":
    auto_cli(main)
