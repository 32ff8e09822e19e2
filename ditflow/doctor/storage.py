"""Folders: the hub's cache with the presets' models, and ditflow's own."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CachedRepoInfo, constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from ditflow.doctor.finding import Finding
from ditflow.errors import DitflowError
from ditflow.plan.report import GIB
from ditflow.settings.trust import known_backbones
from ditflow.utils.cache import cache_folder
from ditflow.utils.files import make_output
from ditflow.utils.shipped import embedded_backbones

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ROOM = 25 * GIB
"""That the largest preset's model takes, about."""
INDEX = "model_index.json"
"""Of a pipeline: which parts it has."""


def look_at_storage() -> Iterator[Finding]:
    """Where models and cached results are kept, what is there, and whether there is room."""
    yield from look_at_hub(Path(constants.HF_HUB_CACHE))
    yield look_at_cache()


def look_at_hub(folder: Path) -> Iterator[Finding]:
    """The hub's cache, whether it is all there is, and each model of the presets."""
    free = shutil.disk_usage(_existing(folder)).free
    said = f"{folder}, {free / GIB:.1f} GiB free"
    short = "make room, or set HF_HOME to a larger disk" if free < ROOM else ""
    yield Finding("hub cache", said, short)
    offline = [name for name in OFFLINE if os.environ.get(name)]
    if constants.HF_HUB_OFFLINE:
        yield Finding("hub", f"offline: {', '.join(offline)} is set; only what is kept is used")
    kept = _kept(folder)
    for name in sorted(known_backbones() - set(embedded_backbones())):
        missing = _missing(kept[name]) if name in kept else ""
        if name in kept and not missing:
            yield Finding(name, f"kept, {kept[name].size_on_disk / GIB:.1f} GiB")
            continue
        unset = f"unset {' and '.join(offline)}, then " if constants.HF_HUB_OFFLINE else ""
        remedy = f"{unset}hf download {name}; a first fit would fetch it too"
        said = f"its download broke off: {missing}" if missing else "not in the hub cache"
        yield Finding(name, said, remedy)


def _kept(folder: Path) -> dict[str, CachedRepoInfo]:
    """Models in the hub's cache by name, whole or not."""
    try:
        return {repository.repo_id: repository for repository in scan_cache_dir(folder).repos}
    except (CacheNotFound, OSError):
        return {}


def _missing(repository: CachedRepoInfo) -> str:
    """What is not there of a model that was begun to be fetched; empty if nothing is missing."""
    begun = len(list(repository.repo_path.glob("blobs/*.incomplete")))
    if begun:
        return f"{begun} files are incomplete"
    lacks = [_missing_files(revision.snapshot_path) for revision in repository.revisions]
    return "" if [] in lacks else f"no {min(lacks, key=len)[0]}" if lacks else f"no {INDEX}"


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


def look_at_cache() -> Finding:
    """Ditflow's own cache: whether it can be written to, and how large it is."""
    folder = cache_folder()
    try:
        make_output(folder)
    except DitflowError:
        return Finding(
            "ditflow cache",
            f"{folder} cannot be written to: nothing is kept between runs",
            "set DITFLOW_CACHE to a folder that can",
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Finding("ditflow cache", f"{folder}, {size / 2**20:.1f} MiB")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
