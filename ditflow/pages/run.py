"""The page of a fit or a predict."""

import json
import logging
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from ditflow.embedding.checks import LOADER
from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.reader import read_header
from ditflow.errors import DitflowError, printable, reason_of
from ditflow.pages.curve import loss_curve
from ditflow.pages.event_files import read_events
from ditflow.pages.templating import data_uri, link, render, sources
from ditflow.runs.claim import LOCK
from ditflow.runs.folder import CONFIG, EMBEDDING, FINISHED, PAGE, REFERENCE, TENSORBOARD
from ditflow.runs.history import read_commands
from ditflow.runs.progress import PROGRESS
from ditflow.settings.trust import check_backbone_is_known
from ditflow.utils.files import write_text, written
from ditflow.utils.untrusted import read_json, read_mapping

log = logging.getLogger(__name__)

UNLISTED = (PAGE, LOCK, PROGRESS)
"""Of the files beside a page, what is no result."""

SECTIONS = ("model", "data", "kv_injection")
"""Of a configuration, what says what was computed; the rest says how and where."""


@dataclass(frozen=True)
class Shown:
    """A video on a page, its name and what it was made with."""

    path: Path
    name: str
    detail: str = ""


class Record(Struct):
    """What a predict wrote beside a video, as far as it is shown."""

    prompt: str
    seed: int


def write_run_page(folder: Path) -> Path:
    """Write `index.html` of what a fit or a predict left in a folder, finished or not.

    Args:
        folder: of the output; videos that are not there, or events, are left out.

    Returns:
        the page.

    Raises:
        DitflowError: no configuration that can be read, or the page cannot be written.
    """
    config = _read_config(folder / CONFIG)
    header = _header(folder)
    videos = _videos(folder, config, header)
    addresses = sources([video.path for video in videos], folder)
    path = folder / PAGE
    text = render(
        "run.html",
        title=folder.resolve().name,
        kind="predict" if _is_predict(config) else "fit",
        backbone=_backbone(config, header),
        target=config["model"].get("target"),
        videos=[(video, addresses[video.path]) for video in videos],
        **drawn(folder),
        commands=read_commands(folder),
        reuse=None if header is None or _is_predict(config) else _reuse(folder, header, config),
        settings=[(section, list(flatten_settings(config[section]))) for section in SECTIONS],
        config=(folder / CONFIG).read_text(encoding="utf-8"),
        files=_files(folder),
    )
    write_text(path, text)
    return path


def run_videos(folder: Path) -> list[Shown]:
    """The videos of a run's folder, the reference first; none before it has a configuration.

    Raises:
        DitflowError: the configuration cannot be read.
    """
    if not (folder / CONFIG).is_file():
        return []
    return _videos(folder, _read_config(folder / CONFIG), _header(folder))


def drawn(folder: Path) -> dict[str, Any]:
    """What the templates `curve.html` and `flows.html` take of a fit's folder, finished or not."""
    header, events = _header(folder), read_events(folder / TENSORBOARD)
    return {
        "prompts": len(header.prompts) if header else 1,
        "curve": loss_curve(events.losses),
        "flows": [(step + 1, _png(picture)) for step, picture in events.flows.items()],
        "reference_flow": _png(events.reference),
        "wheel": _png(events.wheel),
    }


def flatten_settings(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every setting with its name as it is given on the command line: `objective.temperature`."""
    for name, value in values.items():
        if name == "init_args" and isinstance(value, Mapping):
            yield from flatten_settings(value, above)
        elif isinstance(value, Mapping):
            yield from flatten_settings(value, f"{above}{name}.")
        else:
            full = above.removesuffix(".") if name == "class_path" and above else f"{above}{name}"
            plain = isinstance(value, str) and value
            yield full, value if plain else json.dumps(value, ensure_ascii=False, default=str)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_mapping(path)
    except DitflowError as error:
        raise DitflowError(
            f"{path} cannot be read as settings ({error}) Give the output folder of a fit or a "
            "predict."
        ) from error
    if not all(isinstance(config.setdefault(section, {}), dict) for section in SECTIONS):
        raise DitflowError(f"{path} holds no settings; give the folder of a fit or a predict.")
    return config


def _is_predict(config: Mapping[str, Any]) -> bool:
    # An embedding in memory has no name, but a predict has seeds then, and no fit has.
    return bool(config["data"].get("embedding") or config["data"].get("seeds"))


def _header(folder: Path) -> EmbeddingHeader | None:
    """What the embedding of a fit says; nothing if it is not there or was not written whole."""
    try:
        return read_header(folder / EMBEDDING)
    except DitflowError:
        return None


def _backbone(config: Mapping[str, Any], header: EmbeddingHeader | None) -> str:
    if header is not None:
        return header.backbone
    return dict(flatten_settings(config["model"])).get("backbone.name", "")


def _videos(folder: Path, config: Mapping[str, Any], header: EmbeddingHeader | None) -> list[Shown]:
    """The reference, a fit's videos by prompt, and a predict's by prompt and seed."""
    given = config["data"].get("prompts") or []
    prompts = dict(enumerate(header.prompts if header is not None else given))
    found = []
    if (folder / REFERENCE).exists():
        found.append(Shown(folder / REFERENCE, "reference"))
    fitted = {0: folder / FINISHED}
    for path in folder.glob("video-*.mp4"):
        if match := re.match(r"video-(\d+)-", path.name):
            fitted[int(match[1])] = path
    for index, path in sorted(fitted.items()):
        if path.exists():
            found.append(Shown(path, str(prompts.get(index, path.stem)), "fitted"))
    for path in written(folder, "*-seed*.json"):
        video = path.with_suffix(".mp4")
        with suppress(DitflowError):  # anything else than what a predict wrote beside a video
            record = read_json(path, Record)
            if video.exists():
                found.append(Shown(video, record.prompt, f"seed {record.seed}"))
    return found


def _reuse(folder: Path, header: EmbeddingHeader, config: Mapping[str, Any]) -> str:
    """The command that puts a fit's motion into other prompts."""
    command = ["ditflow", "predict", "--embedding", str(folder / EMBEDDING)]
    backbone = config["model"].get("backbone")
    loader = backbone.get("class_path", LOADER) if isinstance(backbone, dict) else LOADER
    if loader != LOADER:  # code of one's own, which no embedding names
        own = {"model": {"backbone": backbone}}
        command += ["--config", json.dumps(own, ensure_ascii=False, default=str)]
    else:
        try:
            check_backbone_is_known(header)
        except DitflowError:
            command += ["--backbone", header.backbone]
    command += ["--prompts", "another prompt", "--output", f"{folder}-reused"]
    return shlex.join(command)


def _png(content: bytes | None) -> str | None:
    return None if content is None else data_uri(content, "image/png")


def _files(folder: Path) -> list[tuple[str, str]]:
    """Names and addresses of what lies beside the page."""
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    shown = [path for path in paths if path.name not in UNLISTED and path.name[0] != "."]
    return [(printable(path.name), link(path, folder)) for path in shown]


def write_page_if_possible(write: Callable[[Path], Path], folder: Path) -> None:
    """Write a page at the end of a run, whose results matter more: what is wrong is one line."""
    try:
        write(folder)
    except Exception as error:  # whatever it is, the run has done its work
        log.warning(
            "The page of %s could not be written (%s: %s); mend that, then: ditflow page %s",
            *(folder, type(error).__name__, reason_of(error), folder),
        )
