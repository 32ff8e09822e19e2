"""Pictures of a benchmark to look at: the reference above, every method below."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ditflow.utils.files import atomic_write
from ditflow.video.pictures import labelled_sheet
from ditflow.video.reading import FrameRange, read_video
from ditflow.video.sizing import as_tensor


def write_montages(records: Sequence[dict[str, Any]], folder: Path, videos: int = 4) -> list[Path]:
    """One PNG a backbone, category and video: `montage/<backbone>-<category>-<video>.png`.

    Args:
        records: results of the benchmark.
        folder: of the benchmark.
        videos: for how many references.
    """
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if "error" not in record:
            groups[record["backbone"], record["category"], record["video"]].append(record)
    shown = sorted({video for _, _, video in groups})[:videos]
    written = []
    for (backbone, category, video), group in sorted(groups.items()):
        reference = folder / "references" / f"{video}.mp4"
        if video not in shown or not reference.exists():
            continue
        rows = {"reference": _frames(reference)}
        for record in sorted(group, key=lambda record: record["order"]):
            path = folder / record["file"]
            name = record["method"]
            if record["reused"]:
                name = f"{name}, from {record['fitted']}"
            if len({r["seed"] for r in group}) > 1:
                name = f"{name}, seed {record['seed']}"
            if path.exists():
                rows[name] = _frames(path)
        target = folder / "montage" / f"{backbone}-{category}-{video}.png"
        with atomic_write(target) as partial:  # another process may be reading it
            labelled_sheet(list(rows.values()), list(rows)).save(partial)
        written.append(target)
    return written


def _frames(path: Path) -> torch.Tensor:
    return as_tensor(read_video(path, FrameRange()))
