"""What is on the disk: video files written and read back, the hub's models, ditflow's cache."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import SubprocessError

import imageio_ffmpeg
import torch
from huggingface_hub import CachedRepoInfo, constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from ditflow.doctor.finding import Finding
from ditflow.errors import DitflowError, reason_of
from ditflow.plan.report import GIB
from ditflow.settings.trust import known_backbones
from ditflow.utils.cache import cache_folder
from ditflow.utils.files import make_output
from ditflow.utils.shipped import embedded_backbones
from ditflow.video.reading import read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

REINSTALL = "pip install --force-reinstall imageio-ffmpeg"
ROOM = 25 * GIB
"""That the largest preset's model takes, about."""
INDEX = "model_index.json"
"""Of a pipeline: which parts it has."""


def look_at_codecs() -> Iterator[Finding]:
    """ffmpeg, and the way of each format that is written to the disk and back."""
    try:
        yield Finding(
            "ffmpeg",
            f"{imageio_ffmpeg.get_ffmpeg_version()}, {imageio_ffmpeg.get_ffmpeg_exe()}",
        )
    except (OSError, RuntimeError, SubprocessError) as error:
        remedy = f"{REINSTALL}, or name one in IMAGEIO_FFMPEG_EXE"
        yield Finding("ffmpeg", reason_of(error), remedy, needed=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, file in {"mp4 (H.264)": "clip.mp4", "gif": "clip.gif"}.items():
            amiss = round_trip(Path(folder) / file)
            remedy = REINSTALL if amiss else ""
            yield Finding(name, amiss or "written and read back", remedy, needed=True)


def round_trip(path: Path) -> str:
    """What is amiss with a format when a moving edge is written and read back; empty if nothing."""
    edge = torch.arange(64).expand(64, -1) > 8 * torch.arange(1, 6)[:, None, None]
    video = edge[:, None].expand(-1, 3, -1, -1).float()
    try:
        write_video(video, path)
        read = as_tensor(read_video(path))
    except (OSError, RuntimeError, ValueError) as error:  # a DitflowError is a ValueError
        return f"fails: {reason_of(error)}"
    if read.shape != video.shape:
        return f"{len(video)} frames are read back as {len(read)}"
    return "" if (read - video).abs().mean() <= 0.05 else "is read back as another picture"


def look_at_storage() -> Iterator[Finding]:
    """Where models and cached results are kept, what is there, and whether there is room."""
    yield from look_at_hub(Path(constants.HF_HUB_CACHE))
    folder = cache_folder()
    try:
        make_output(folder)
    except DitflowError:
        said = f"{folder} cannot be written to: nothing is kept between runs"
        yield Finding("ditflow cache", said, "set DITFLOW_CACHE to a folder that can")
    else:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        yield Finding("ditflow cache", f"{folder}, {size / 2**20:.1f} MiB")


def look_at_hub(folder: Path) -> Iterator[Finding]:
    """The hub's cache, whether it is all there is, and each model of the presets."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    short = "make room, or set HF_HOME to a larger disk" if free < ROOM else ""
    yield Finding("hub cache", f"{folder}, {free / GIB:.1f} GiB free", short)
    unset = ""
    if constants.HF_HUB_OFFLINE:
        names = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.getenv(name)]
        unset = f"unset {' and '.join(names)}, then "
        said = f"offline: {', '.join(names)} is set; only what is kept is used"
        yield Finding("hub", said)
    try:
        kept = {repository.repo_id: repository for repository in scan_cache_dir(folder).repos}
    except (CacheNotFound, OSError):
        kept = {}
    for name in sorted(known_backbones() - set(embedded_backbones())):
        missing = _missing(kept[name]) if name in kept else ""
        remedy = f"{unset}hf download {name}; a first fit would fetch it too"
        if missing:
            yield Finding(name, f"its download broke off: {missing}", remedy)
        elif name in kept:
            yield Finding(name, f"kept, {kept[name].size_on_disk / GIB:.1f} GiB")
        else:
            yield Finding(name, "not in the hub cache", remedy)


def _missing(repository: CachedRepoInfo) -> str:
    """What is not there of a model that was begun to be fetched; empty if nothing is missing."""
    if begun := len(list(repository.repo_path.glob("blobs/*.incomplete"))):
        return f"{begun} files are incomplete"
    lacks = [_missing_files(revision.snapshot_path) for revision in repository.revisions]
    fewest = min(lacks, key=len, default=[INDEX])
    return f"no {fewest[0]}" if fewest else ""


def _missing_files(snapshot: Path) -> list[str]:
    """Files that a pipeline's index and those of weights in several parts name."""
    try:
        index = json.loads((snapshot / INDEX).read_text(encoding="utf-8"))
        wanted = [name for name, value in index.items() if isinstance(value, list) and value[0]]
        for path in snapshot.glob("*/*.index.json"):
            parts = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
            wanted += sorted({f"{path.parent.name}/{part}" for part in parts})
    except (OSError, ValueError, AttributeError, KeyError, IndexError):
        return [INDEX]
    return [name for name in wanted if not (snapshot / name).exists()]
