"""The page of a benchmark: its tables, and every result to browse."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ditflow.benchmark.jobs import read_results
from ditflow.benchmark.tables import ordered, sections
from ditflow.metrics.scorer import HEADINGS
from ditflow.pages.event_files import is_loss
from ditflow.pages.templating import data_uri, link, render
from ditflow.runs.folder import PAGE
from ditflow.runs.history import read_commands, read_manifest
from ditflow.utils.files import write_text, written
from ditflow.video.pictures import as_image, color_wheel

TABLE = "table.md"
MOST_LOSSES = 10_000
SHOWN = ("mf", "iq", "trajectory_error", "temporal_consistency")
"""Scores below a video; the tables have all of them."""


def write_benchmark_page(folder: Path) -> Path:
    """Write `index.html` of what is there of a benchmark.

    Videos stay beside the page, and only those of the chosen reference are loaded: there may be
    thousands.

    Args:
        folder: of the benchmark's output.

    Returns:
        the page.

    Raises:
        DitflowError: the page cannot be written.
    """
    records = sorted(read_results(folder), key=lambda record: record["order"])
    failed = [record for record in records if "error" in record]
    montages = written(folder, "montage/*.png")
    text = render(
        "benchmark.html",
        title=_name(folder),
        results=len(records),
        sections=sections(records),
        failed=failed,
        wheel=_wheel(),
        manifest=read_manifest(folder),
        montages=[(path.stem, link(path, folder)) for path in montages],
        commands=read_commands(folder),
        choices=_choices(records, folder),
    )
    path = folder / PAGE
    write_text(path, text)
    return path


def video_in(folder: Path, record: dict[str, Any]) -> Path | None:
    """A result's video; None if it is not there, or the record points out of the folder."""
    path = folder / record["file"]
    inside = path.resolve().is_relative_to(folder.resolve())
    return path if inside and path.is_file() else None


def reference_in(folder: Path, record: dict[str, Any]) -> Path | None:
    """A result's reference as the model saw it, if it is there."""
    return video_in(folder, {"file": f"references/{record['video']}.mp4"})


def _name(folder: Path) -> str:
    """Of the manifest, which the table has as its heading."""
    try:
        first = (folder / TABLE).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        first = ""
    return first.removeprefix("# ") or folder.resolve().name


def _choices(records: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What the page's script chooses from."""
    videos = {record["video"]: reference_in(folder, record) for record in records}
    return {
        "backbones": ordered(records, "backbone"),
        "videos": {
            name: None if path is None else link(path, folder)
            for name, path in sorted(videos.items())
        },
        "categories": ordered(records, "category"),
        "results": [_result(record, folder) for record in records],
    }


def _wheel() -> str:
    """Which colour of a motion flow is which direction."""
    content = io.BytesIO()
    as_image(color_wheel()).save(content, "png")
    return data_uri(content.getvalue(), "image/png")


def _flow(folder: Path, file: str) -> str | None:
    """Address of the picture of a motion flow, if it is there."""
    path = video_in(folder, {"file": file})
    return None if path is None else link(path, folder)


def _curve(losses: Any) -> dict[str, str] | None:
    """A fit's losses as the points of a line in a box of 100 by 24, and in words."""
    if not isinstance(losses, list) or not 1 < len(losses) <= MOST_LOSSES:
        return None
    if not all(isinstance(loss, float) and is_loss(loss) for loss in losses):
        return None
    low, high = min(losses), max(losses)
    across, up = 100 / (len(losses) - 1), 22 / ((high - low) or 1.0)
    points = (f"{i * across:.1f},{23 - (loss - low) * up:.1f}" for i, loss in enumerate(losses))
    return {"line": " ".join(points), "text": f"loss {losses[0]:.3g} to {losses[-1]:.3g}"}


def _result(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = video_in(folder, record)
    name = record["method"]
    if record["reused"]:
        name = f"{name}, from {record['fitted']}"
    scores = record.get("scores", {})
    return {
        "backbone": record["backbone"],
        "video": record["video"],
        "category": record["category"],
        "seed": record["seed"],
        "name": name,
        "prompt": record["prompt"],
        "file": None if path is None or "error" in record else link(path, folder),
        "flow": _flow(folder, str(Path(record["file"]).with_suffix(".png"))),
        "curve": _curve(record.get("losses")),
        "error": record.get("error"),
        "scores": ", ".join(f"{HEADINGS[s]} {scores[s]:.3f}" for s in SHOWN if s in scores),
    }
