"""`ditflow test`: score videos, given or made from a motion embedding, against a reference."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from ditflow.assembly.calls import prediction
from ditflow.data import read_prompts
from ditflow.errors import DitflowError
from ditflow.metrics import TrackerName
from ditflow.metrics.scorer import HEADINGS, Scorer
from ditflow.runs.claim import claim, refuse_results
from ditflow.runs.folder import COMPARISON, EMBEDDING, FINISHED, SCORES
from ditflow.settings.parsing import CommandParser
from ditflow.utils.files import write_text
from ditflow.video.reading import FrameRange, read_video
from ditflow.video.sizing import fit_size

MADE = (SCORES, EMBEDDING, FINISHED, COMPARISON, "[!.]*-seed*.json")
"""What tells that a fit, a predict or another test has left videos that new ones would replace."""


def score(args: Sequence[str]) -> int:
    """Score videos against the reference whose motion they should have, and their prompts.

    Either `--embedding` (videos are made, one a prompt and seed, as `ditflow predict` does) or
    `--videos` (files, with one prompt each or one for all) names them.
    """
    parser = score_parser()
    given = parser.instantiate(parser.parse_args(list(args)))
    if (given.embedding is None) == (given.videos is None):
        raise DitflowError("test takes either --embedding or --videos, and one of them.")
    frames = FrameRange(given.start_frame, None, given.stride)
    reference = read_video(given.video, frames)
    scorer = Scorer(given.tracker, given.clip, given.grid)
    if not given.overwrite:
        results = (SCORES,) if given.embedding is None else MADE
        refuse_results(given.output, results, resumable=False)
    path = given.output / SCORES
    with ExitStack() as held:
        videos = (_given if given.embedding is None else _made)(given, held)
        rows = []
        for name, video, prompt in videos:
            # The reference as large as the video: tracks are compared, not pixels.
            fitted = fit_size(reference, *video.shape[-2:])
            rows.append({"video": name, "prompt": prompt, **scorer.score(video, fitted, prompt)})
        write_text(path, _as_csv(rows))
    print(_as_table(rows, scorer))
    print(f"Wrote to {given.output}:\n  {path}")
    return 0


def score_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow test", description=score.__doc__)
    parser.add_argument("--video", type=Path, required=True, help="The reference.")
    parser.add_argument("--embedding", type=Path, help="Of a fit, or user/name on the hub.")
    parser.add_argument("--backbone", type=str, help="By default the one that was fitted on.")
    parser.add_argument("--videos", type=Path, nargs="+", help="Videos to score.")
    parser.add_argument("--prompts", "--prompt", type=str, nargs="+", default=[])
    parser.add_argument("--prompts-file", type=Path, help="More prompts, one a line.")
    parser.add_argument("--seeds", type=int, nargs="+", help="By default the fit's.")
    parser.add_argument("--start-frame", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--tracker", type=TrackerName, default="lucas-kanade")
    parser.add_argument("--clip", type=str, default="sprites-clip", help="CLIP model of IQ.")
    parser.add_argument("--grid", type=int, default=55, help="Tracks start on grid x grid points.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of all that is made.")
    parser.add_argument(
        "--overwrite",
        type=bool,
        default=False,
        help="Replace what an earlier run left in the output folder.",
    )
    return parser


def _given(given: Any, held: ExitStack) -> Iterator[tuple[str, torch.Tensor, str]]:
    prompts = read_prompts(given.prompts, given.prompts_file)
    if len(prompts) not in (1, len(given.videos)):
        raise DitflowError(
            f"prompts: {len(prompts)} for {len(given.videos)} videos; "
            "give one for all, or one for each."
        )
    prompts = prompts * len(given.videos) if len(prompts) == 1 else prompts
    videos = [read_video(path) for path in given.videos]
    held.enter_context(claim(given.output))
    for path, pixels, prompt in zip(given.videos, videos, prompts, strict=True):
        yield str(path), fit_size(pixels, *pixels.shape[1:3]), prompt


def _made(given: Any, held: ExitStack) -> Iterator[tuple[str, torch.Tensor, str]]:
    prompts = None
    if given.prompts or given.prompts_file is not None:
        prompts = read_prompts(given.prompts, given.prompts_file)
    _, run = prediction(given.embedding, prompts, given.seeds, given.backbone)
    held.enter_context(claim(given.output))
    paths = run.predictions(given.output)
    for item, video in zip(paths.items, run.predict(given.output, progress=True), strict=True):
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
