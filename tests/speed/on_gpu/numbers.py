"""Sections on numbers: the motion flow's, half precision's, repeated runs', quantised weights'."""

import importlib.util
import math
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel

from ditflow import load_backbone
from ditflow.backbones.base import BlockOutputs
from ditflow.functional import motion_flow
from ditflow.functional.motion_flow import patch_coordinates
from tests.speed.on_gpu.bench import LARGE, Bench
from tests.speed.on_gpu.fitting import fit, new_module
from tests.speed.on_gpu.models import Watched, random_pipeline
from tests.speed.on_gpu.report import LeftOut, free
from tests.speed.on_gpu.timing import seconds


def flow(bench: Bench) -> None:
    """The motion flow of real queries and keys: its time, and how far it is off float64."""
    backbone = bench.load(dtype="bfloat16")
    for count in bench.scale.frames:
        with torch.no_grad():
            outputs = backbone.query_key(bench.given(backbone, count), bench.block)
        query, key = (part.clone().requires_grad_() for part in (outputs.query, outputs.key))
        patches = outputs.grid[1] * outputs.grid[2]
        weight = torch.randn(outputs.grid[0], patches, 2, device=bench.device)

        def both(query=query, key=key, outputs=outputs, weight=weight):
            # Of the first frame, which float64 has to hold too.
            found = motion_flow(query, key, outputs.grid)[0]
            return found, *torch.autograd.grad((found * weight).sum(), (query, key))

        once = seconds(bench.device, partial(motion_flow, query, key, outputs.grid))
        bench.report.figure(f"{count} frames, forward, s", once)
        bench.report.figure(f"{count} frames, both ways, s", seconds(bench.device, both))
        ours, exact = both(), exact_flow(outputs, weight)
        off = (ours[0] - exact[0]).abs().max().item()
        bench.report.figure(
            f"{count} frames, off float64, tokens", off, "at most 1e-3", off <= 1e-3
        )
        off = max(
            ((own - other).norm() / other.norm()).item()
            for own, other in zip(ours[1:], exact[1:], strict=True)
        )
        bench.report.figure(
            f"{count} frames, gradient off, share", off, "at most 1e-2", off <= 1e-2
        )


def exact_flow(
    outputs: BlockOutputs, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first frame's flow [F, S, 2] in float64, and gradients of its weighted sum."""
    query, key = (part.detach().double().requires_grad_() for part in (outputs.query, outputs.key))
    frames, patches, where = outputs.grid[0], len(weight[0]), patch_coordinates(outputs.grid, query)
    own, every = query[:, :patches].transpose(0, 1).flatten(1), key.transpose(0, 1).flatten(1)
    logits = own @ every.T * (2.0 / math.sqrt(query.shape[-1]) / len(query))
    attention = logits.view(patches, frames, patches).softmax(-1)
    found = (attention @ where - where[:, None]).transpose(0, 1)
    return found, *torch.autograd.grad((found * weight).sum(), (query, key))


def precision(bench: Bench) -> None:
    """The motion flow read from bfloat16 weights against the same weights in float32."""
    backbone, block = bench.load(dtype="bfloat16"), bench.block
    given = bench.given(backbone, bench.size[0])
    with torch.device("meta"):
        config = dict(backbone.transformer.config) | {"num_layers": block + 1}
        wide = CogVideoXTransformer3DModel.from_config(config)
    state = backbone.transformer.state_dict()
    wide.load_state_dict({name: state[name].float() for name in wide.state_dict()}, assign=True)
    parts = backbone.pipeline.components | {"transformer": wide.eval()}
    other = Watched(CogVideoXPipeline(**parts), "float32", {})
    with torch.no_grad():
        half = backbone.query_key(given, block)
        whole = other.query_key(given._replace(prompt=given.prompt.float()), block)
        soft, soft_whole = (motion_flow(each.query, each.key, each.grid) for each in (half, whole))
        hard, hard_whole = (
            motion_flow(each.query, each.key, each.grid, hard=True) for each in (half, whole)
        )
    off = (soft - soft_whole).square().mean().sqrt().item()
    spread = soft_whole.std().item()
    bench.report.figure("soft flow off, rms of tokens", off)
    bench.report.figure("of its own spread", off / spread, "at most 0.2", off <= 0.2 * spread)
    same = (hard == hard_whole).all(-1).float().mean().item()
    bench.report.figure("hard flow equal, share of patches", same)


def deterministic(bench: Bench) -> None:
    """Two runs under `--trainer.deterministic true` are equal to the bit."""
    backbone, made = bench.load(), []
    try:
        for _ in range(2):
            module = new_module(backbone, bench.block, steps=2)
            made.append(fit(module, bench.frames, deterministic=True))
    finally:
        torch.use_deterministic_algorithms(False)
    one, two = made
    same = one.losses == two.losses and torch.equal(one.module.videos[0], two.module.videos[0])
    bench.report.figure("equal to the bit", same, "yes", same)
    bench.report.figure("an Adam step, s", one.step)


def quantised(bench: Bench) -> None:
    """Quantised weights of few layers, as wide as the whole model's, by ditflow's own loader."""
    if not bench.cuda or importlib.util.find_spec("bitsandbytes") is None:
        raise LeftOut("it needs a GPU and the package bitsandbytes")
    transformer, vae, text_encoder = bench.scale.configs(LARGE)
    few = transformer | {"num_layers": 5}, vae, text_encoder | {"num_layers": 2}
    made = random_pipeline(few, torch.bfloat16, torch.device("cpu"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "random"
        made.save_pretrained(path)
        plain = None
        for quantization in ("none", "bitsandbytes-8bit", "bitsandbytes-4bit"):
            free()
            before = torch.cuda.memory_allocated(bench.device)
            loaded = load_backbone(
                str(path), "bfloat16", str(bench.device), quantization=quantization
            )
            held = (torch.cuda.memory_allocated(bench.device) - before) / 2**30
            backbone = Watched(loaded.pipeline, loaded.name, loaded.options)
            fitted = fit(new_module(backbone, 3, steps=2), bench.frames)
            plain = plain or fitted
            off = abs(fitted.losses[0] / plain.losses[0] - 1)
            bench.report.figure(f"{quantization}: weights, GiB", held)
            bench.report.figure(f"{quantization}: Adam step, s", fitted.step)
            bench.report.figure(f"{quantization}: loss off", off, "at most 0.1", off <= 0.1)
            del loaded, backbone
