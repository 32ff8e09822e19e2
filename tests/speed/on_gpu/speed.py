"""Sections on time: attention's kernels, an Adam step, a whole fit, compiled blocks."""

import re

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from torch.profiler import ProfilerActivity, profile

from ditflow.backbones.kernels import kernel
from ditflow.objectives import AttentionMotionFlow
from tests.speed.on_gpu.bench import LARGE, Bench
from tests.speed.on_gpu.fitting import fit, moving_frames, new_module
from tests.speed.on_gpu.models import Watched
from tests.speed.on_gpu.report import LeftOut, free
from tests.speed.on_gpu.timing import seconds, wait

ARITHMETIC = re.compile(r"aten::(mm|addmm|bmm|baddbmm|.*attention.*|.*convolution.*)")
"""Operations that no way of computing the same could do without."""


def attention(bench: Bench) -> None:
    """Which kernel is fastest at a guided pass' length, forward and with the backward pass."""
    heads = bench.scale.configs(LARGE)[0]["num_attention_heads"]
    text = bench.scale.configs(LARGE)[0].get("max_text_seq_length", 226)
    for frames in bench.scale.frames:
        tokens = text + (frames // 4 + 1) * bench.scale.height * bench.scale.width // 256
        shape = 1, heads, tokens, 64
        given = [
            torch.randn(shape, device=bench.device, dtype=torch.bfloat16, requires_grad=True)
            for _ in range(3)
        ]

        def forward(given: list = given) -> torch.Tensor:
            return F.scaled_dot_product_attention(*given)

        def both(given=given, forward=forward) -> None:
            torch.autograd.grad(forward().sum(), given)

        for name in ("auto", "flash", "cudnn", "efficient"):
            try:
                with kernel(name):
                    once, whole = (seconds(bench.device, work) for work in (forward, both))
            except RuntimeError:
                bench.report.figure(f"{frames} frames, {name}", "not available")
                continue
            rate = 14 * tokens**2 * 64 * heads / whole / 1e12
            said = f"{once * 1e3:.2f} ms, {whole * 1e3:.2f} ms both ways, {rate:.0f} TFLOP/s"
            bench.report.figure(f"{frames} frames, {name}", said)


def step(bench: Bench) -> None:
    """An Adam step against its own matrix products and attention, and the motion flow's share."""
    backbone = bench.load()
    block = bench.block
    for count in bench.scale.frames:
        frames = moving_frames(count, bench.scale.height, bench.scale.width)
        fitted = fit(new_module(backbone, block, steps=2), frames)
        floor, others = arithmetic(bench, backbone, count)
        flow = flow_alone(bench, backbone, count)
        bench.report.figure(f"{count} frames, an Adam step, s", fitted.step)
        bench.report.at_most(f"{count} frames, Adam step/arithmetic", fitted.step / floor, 1.10)
        bench.report.at_most(f"{count} frames, flow/Adam step", flow / fitted.step, 0.02)
        bench.report.figure(f"{count} frames, what else its passes take, ms", others)


def arithmetic(bench: Bench, backbone: Watched, count: int) -> tuple[float, dict[str, float]]:
    """Seconds of matrix products and attention in an Adam step's passes, the motion flow apart,
    and milliseconds of the operations beside them that take most."""
    given, block = bench.given(backbone, count), bench.block
    recorded = backbone.record_key_values(given)
    latents = given.latents.float().requires_grad_()

    def passes() -> None:
        with backbone.injected(recorded):
            outputs = backbone.query_key(given._replace(latents=latents), block)
        read = [outputs.query, outputs.key]
        torch.autograd.grad(read, latents, [torch.ones_like(part) for part in read])

    passes()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.cuda else [])]
    with profile(activities=activities) as seen:
        passes()
        wait(bench.device)
    where = "self_device_time_total" if bench.cuda else "self_cpu_time_total"
    took = {
        event.key: getattr(event, where) / 1e3
        for event in seen.key_averages()
        if event.key.startswith("aten::")
    }
    floor = sum(each for name, each in took.items() if ARITHMETIC.fullmatch(name))
    others = {name: each for name, each in took.items() if not ARITHMETIC.fullmatch(name)}
    most = sorted(others, key=lambda name: -others[name])[:6]
    return floor / 1e3, {name: round(others[name], 2) for name in most}


def flow_alone(bench: Bench, backbone: Watched, count: int) -> float:
    """Seconds of the motion flow's loss and its gradient."""
    objective = AttentionMotionFlow()
    with torch.no_grad():
        outputs = backbone.query_key(bench.given(backbone, count), bench.block)
    reference = objective.reference(outputs) + 1.0
    for part in (outputs.query, outputs.key):
        part.requires_grad_()
    return seconds(bench.device, lambda: objective.loss(outputs, reference).backward())


def ratio(bench: Bench) -> None:
    """A whole fit, encoding and decoding apart, against the stock pipeline's sampling."""
    backbone, steps = bench.load(), 5 if bench.scale.tiny else 10
    given, block = bench.given(backbone, bench.size[0]), bench.block
    for part in backbone.blocks:
        part.attn1.processor = CogVideoXAttnProcessor2_0()
    count, height, width = bench.size

    def stock() -> None:
        backbone.pipeline(
            prompt_embeds=given.prompt,
            negative_prompt_embeds=given.prompt,
            num_frames=count,
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=6.0,
            use_dynamic_cfg=True,
            output_type="latent",
        )

    sampling = seconds(bench.device, stock, repeats=1)
    bench.report.figure(f"stock sampling in {steps} steps, s", sampling)
    backbone = Watched(backbone.pipeline, LARGE, backbone.options)
    for reuse, most in ((1, 1.65), (5, 1.15)):
        module = new_module(backbone, block, steps=steps, guided=steps // 5, gradient_reuse=reuse)
        fitted = fit(module, bench.frames)
        bench.report.at_most(
            f"fit/stock sampling, gradient_reuse {reuse}", fitted.whole / sampling, most
        )


def compiled(bench: Bench) -> None:
    """Blocks that are compiled against those that are not; a few, for all are alike."""
    if not bench.cuda:
        raise LeftOut("a CPU's compiler takes minutes")
    took = []
    for compile_blocks in (False, True):
        backbone = bench.load(num_layers=8, compile_blocks=compile_blocks)
        fitted = fit(new_module(backbone, 6), bench.frames)
        took.append((fitted.step, backbone.clock.fastest("denoising")))
        first = max(backbone.clock.seconds["optimising"])
        del backbone
        free()
    bench.report.figure("the first compiled Adam step, s", first)
    for name, plain, quick in zip(("Adam", "denoising"), *took, strict=True):
        bench.report.figure(f"{name} step, compiled/not", quick / plain)
