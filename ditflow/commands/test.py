"""`ditflow test`: score videos, given or made from a motion embedding, against a reference."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ditflow.assembly.calls import prediction
from ditflow.assembly.run import Run
from ditflow.errors import DitflowError
from ditflow.metrics import TrackerName
from ditflow.metrics.scorer import HEADINGS, Scorer
from ditflow.runs.claim import claim, refuse_results
from ditflow.runs.folder import COMPARISON, EMBEDDING, FINISHED, SCORES
from ditflow.utils.files import missing, write_text
from ditflow.utils.prompts import read_prompts
from ditflow.video.cropping import Crop
from ditflow.video.reading import FrameRange, open_footage, read_video
from ditflow.video.sizing import fit_size

MADE = (SCORES, EMBEDDING, FINISHED, COMPARISON, "[!.]*-seed*.json")
"""What tells that a fit, a predict or another test has left videos that new ones would replace."""


def score(
    *,
    video: Path,
    embedding: Path | None = None,
    backbone: str | None = None,
    image: Path | None = None,
    videos: Sequence[Path] | None = None,
    prompts: Sequence[str] | None = None,
    prompts_file: Path | None = None,
    seeds: Sequence[int] | None = None,
    start_frame: int = 0,
    stride: int | None = None,
    tracker: TrackerName = "lucas-kanade",
    clip: str = "sprites-clip",
    grid: int = 55,
    output: Path,
    overwrite: bool = False,
) -> None:
    """Score videos against the reference whose motion they should have, and their prompts.

    Either `--embedding` (videos are made, one a prompt and seed, as `ditflow predict` does) or
    `--videos` (files, with one prompt each or one for all) names them.

    Args:
        video: The reference.
        embedding: Of a fit, or user/name on the hub.
        backbone: By default the one that was fitted on.
        image: That the videos that are made begin with, of an image-to-video model.
        videos: Videos to score.
        prompts_file: More prompts, one a line.
        seeds: By default the fit's.
        stride: Every so many frames of the reference; by default those that the fit took, or of a
            file as many a second as the first of the videos has.
        clip: CLIP model of IQ.
        grid: Tracks start on grid x grid points.
        output: Folder of all that is made.
        overwrite: Replace what an earlier run left in the output folder.
    """
    if (embedding is None) == (videos is None):
        raise DitflowError("test takes either --embedding or --videos, and one of them.")
    if embedding is None and image is not None:
        raise DitflowError(f"image={image} is of videos that are made; leave it out of --videos.")
    if not video.exists():
        raise missing("video", video)
    frames, crop = FrameRange(start_frame, None, stride), Crop()
    taken: tuple[int, ...] = ()
    scorer = Scorer(tracker, clip, grid)
    kept = () if overwrite else (SCORES,) if embedding is None else MADE
    refuse_results(output, kept, resumable=False)
    texts = None
    if embedding is None or prompts or prompts_file is not None:
        texts = read_prompts(prompts or (), prompts_file)
    if embedding is None:
        scored = _given(videos or (), texts or [])
        file = open_footage(videos[0]).file if videos else None
        frames = replace(frames, fps=None if file is None else file.even[1])
    else:
        run = prediction(embedding, texts, seeds, backbone, image=image)[1]
        scored, header = _made(run, output), run.data.loaded_motion.header
        crop = Crop.parse(header.crop)
        if header.frames_taken:  # earlier fits took every frame
            taken, frames = header.frames_taken, replace(frames, fps=header.fps)
    reference = _read(video, frames, taken)
    with claim(output):
        # Again: a backbone may have been loaded for minutes, while another run has ended here.
        refuse_results(output, kept, resumable=False)
        rows = []
        for name, pixels, prompt in scored:
            # The reference as large as the video: tracks are compared, not pixels.
            height, width = pixels.shape[-2:]
            fitted = fit_size(reference, height, width, crop)
            rows.append({"video": name, "prompt": prompt, **scorer.score(pixels, fitted, prompt)})
        path = output / SCORES
        write_text(path, _as_csv(rows))
    print(_as_table(rows, scorer))
    print(f"Wrote to {output}:\n  {path}")


def _read(video: Path, frames: FrameRange, taken: tuple[int, ...]) -> np.ndarray:
    """The reference, as a fit took it if nothing else is said."""
    footage = open_footage(video, frames)
    if taken and (frames.start, frames.stride) == (0, None) and taken[-1] < footage.available:
        footage = replace(footage, numbers=list(taken))
    return np.stack(list(footage))


def _given(paths: Sequence[Path], prompts: list[str]) -> Iterator[tuple[str, torch.Tensor, str]]:
    """Name, pixels and prompt of each video, all of them read."""
    if len(prompts) not in (1, len(paths)):
        raise DitflowError(
            f"prompts: {len(prompts)} for {len(paths)} videos; give one for all, or one for each."
        )
    prompts = prompts * len(paths) if len(prompts) == 1 else prompts
    videos = [read_video(path) for path in paths]
    return (
        (str(path), fit_size(pixels, *pixels.shape[1:3]), prompt)
        for path, pixels, prompt in zip(paths, videos, prompts, strict=True)
    )


def _made(run: Run, folder: Path) -> Iterator[tuple[str, torch.Tensor, str]]:
    """The same of the videos that a predict makes, in the folder of the output."""
    paths = run.predictions(folder)
    for item, video in zip(paths.items, run.predict(folder, progress=True), strict=True):
        yield paths.path(item).name, video, item[0]


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _as_table(rows: Sequence[dict[str, Any]], scorer: Scorer) -> str:
    lines = [", ".join(f"{name} {value}" for name, value in scorer.names().items())]
    for row in rows:
        lines.append(f"{row['video']} ({row['prompt']})")
        lines += [f"  {title:<26}{row[name]:.3f}" for name, title in HEADINGS.items()]
    if len(rows) > 1:
        lines.append(f"mean of {len(rows)}")
        for name, title in HEADINGS.items():
            lines.append(f"  {title:<26}{sum(row[name] for row in rows) / len(rows):.3f}")
    return "\n".join(lines)
