"""Measure the sprites backbones on decoded frames, with exact checks on pixels.

python -m ditflow.sprites.evaluate attributes --backbone sprites-rope
python -m ditflow.sprites.evaluate agreement --backbone sprites-rope --clips 12
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli

from ditflow.assembly.run import Run, unguided
from ditflow.backbones.base import Backbone
from ditflow.settings.stacked import Settings, read_settings
from ditflow.sprites.measure import attributes as drawn_attributes
from ditflow.sprites.measure import motion_agreement, path_error
from ditflow.sprites.render import render
from ditflow.sprites.world import BACKGROUNDS, COLORS, SHAPES, Clip, caption, sample_clip
from ditflow.video.pictures import contact_sheet
from ditflow.video.writing import write_video

HELD_OUT = 900_000
"""Seeds of the held-out clips start here: no training shard and no tuning uses them."""

OF_METHODS: dict[str, dict[str, Any]] = {
    "injection": {"optimization_steps": 0},
    "latents": {"target": "latents"},
    "values": {"target": "positions", "parameterization": "values"},
    "coordinates": {"target": "positions", "parameterization": "coordinates"},
}
"""Arguments of `MotionTransfer`."""


@dataclass
class Case:
    """A held-out reference, the prompt fitted with it, and another for zero-shot reuse."""

    clip: Clip
    prompt: str
    other: str
    seed: int


def attributes(
    backbone: str = "sprites-rope",
    prompts: int = 100,
    sheet: Path | None = None,
    output: Path | None = None,
) -> None:
    """Share of unguided samples that show the captioned shape, colour and background.

    Args:
        backbone: which one.
        prompts: how many random captions, one sample each.
        sheet: PNG of the first ten samples.
        output: JSON file of the result.
    """
    settings = read_settings(backbone)
    module = settings.module(settings.load_backbone())
    counts = {"shape": 0, "color": 0, "background": 0, "all": 0}
    generator = torch.Generator().manual_seed(HELD_OUT)
    videos: list[torch.Tensor] = []
    wrong: list[str] = []
    started = time.monotonic()
    for seed in range(prompts):
        clip = sample_clip(generator)
        video = unguided(module, clip.caption, seed)
        drawn = drawn_attributes(video)
        right = {name: drawn[name] == getattr(clip, name) for name in drawn}
        for name, is_right in right.items():
            counts[name] += is_right
        counts["all"] += all(right.values())
        if not all(right.values()):
            wrong.append(f"{clip.caption} -> {drawn}")
        videos.append(video)
    if sheet is not None:
        contact_sheet(videos[:10]).save(sheet)
    result: dict[str, Any] = {name: count / prompts for name, count in counts.items()}
    result |= {"prompts": prompts, "seconds a sample": (time.monotonic() - started) / prompts}
    result["wrong"] = wrong
    _report(result, output)


def agreement(
    backbone: str = "sprites-rope",
    clips: int = 12,
    methods: tuple[str, ...] = ("off", "injection", "latents", "values", "coordinates"),
    options: dict[str, Any] | None = None,
    first_seed: int = HELD_OUT + 1,
    sheet: Path | None = None,
    output: Path | None = None,
) -> None:
    """Motion agreement of generated and reference clips, with guidance by each method and with
    zero-shot reuse of each on another prompt.

    Args:
        backbone: which one.
        clips: how many held-out moving references.
        methods: which to run.
        options: arguments of `MotionTransfer` in place of the preset's.
        first_seed: of the references.
        sheet: PNG with the reference above each method's video, for the first clips.
        output: JSON file of the result.
    """
    settings = read_settings(backbone)
    loaded = settings.load_backbone()
    scores: dict[str, list[dict[str, float]]] = {}
    rows: list[torch.Tensor] = []
    for case in cases(clips, first_seed):
        reference = render([case.clip])[0]
        results = dict(run(settings, loaded, case, reference, methods, options or {}))
        for name, (video, prompt, seconds) in results.items():
            drawn = drawn_attributes(video)
            named = caption(drawn["shape"], drawn["color"], drawn["background"])
            scores.setdefault(name, []).append(
                {
                    "agreement": motion_agreement(video, reference),
                    "path error": path_error(video, reference),
                    "attributes": float(named == prompt),
                    "seconds": seconds,
                }
            )
        if len(rows) < 4 * (1 + len(results)):
            rows += [reference, *(video for video, _, _ in results.values())]
        print({name: round(values[-1]["agreement"], 2) for name, values in scores.items()})
    if sheet is not None:
        contact_sheet(rows).save(sheet)
    result = {
        name: {
            measure: round(statistics.fmean(value[measure] for value in values), 3)
            for measure in values[0]
        }
        | {"agreements": [round(value["agreement"], 3) for value in values]}
        for name, values in scores.items()
    }
    _report(result, output)


def run(
    settings: Settings,
    loaded: Backbone,
    case: Case,
    reference: torch.Tensor,
    methods: tuple[str, ...],
    options: dict[str, Any],
) -> Iterator[tuple[str, tuple[torch.Tensor, str, float]]]:
    """Each method's video of a case, with its prompt and its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.mp4"
        write_video(reference, path)
        given = {"video": path, "prompts": [case.prompt]}
        for method in methods:
            started = time.monotonic()
            chosen = options | {"seed": case.seed} | OF_METHODS.get(method, {})
            if method == "off":
                video = unguided(settings.module(loaded, **chosen), case.prompt, case.seed)
                yield method, (video, case.prompt, time.monotonic() - started)
                continue
            fit = Run.of(settings, loaded, given, chosen).fit()
            yield method, (fit.videos[0], case.prompt, time.monotonic() - started)
            if method == "injection":
                continue
            started = time.monotonic()
            again = Run.of(settings, loaded, {"prompts": [case.other]}, chosen)
            again.data.motion = fit.embedding
            video = again.predict()[0]
            yield f"{method}, reused", (video, case.other, time.monotonic() - started)


def cases(count: int, first_seed: int) -> Iterator[Case]:
    """Held-out references that move, each with two random prompts."""
    for seed in range(first_seed, first_seed + count):
        generator = torch.Generator().manual_seed(seed)
        clip = sample_clip(generator)
        while clip.motion == "still":
            clip = sample_clip(generator)
        prompts = []
        for _ in range(2):
            names = [
                options[int(torch.randint(len(options), (), generator=generator))]
                for options in (SHAPES, list(COLORS), list(BACKGROUNDS))
            ]
            prompts.append(caption(*names))
        yield Case(clip, prompts[0], prompts[1], seed)


def _report(result: dict[str, Any], output: Path | None) -> None:
    text = json.dumps(result, indent=1)
    print(text)
    if output is not None:
        output.write_text(text)


def main() -> None:
    """The command line."""
    auto_cli([attributes, agreement])
