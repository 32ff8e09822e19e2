"""What nodes use of the ComfyUI around them: its bar, its stop button, its memory, its folders.

ComfyUI's modules are imported where they are used. Nothing else is needed, so that this file also
serves a ComfyUI whose Python has no more of ditflow.
"""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from ditflow.errors import DitflowError

Show = Callable[[int, int], None]
"""Shows how much of a node's work is done, of how much, and raises where it is to stop."""

FILE = "file"
"""The input that is a menu of motions."""

FOLDERS = "DITFLOW_COMFYUI_MOTIONS"
"""Environment variable: the folders of motions, for a process that ComfyUI is not in."""


def progress() -> Show:
    """What fills ComfyUI's bar of the node that runs, and ends it at the stop button; nothing in a
    process that ComfyUI is not in."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
        from comfy.utils import ProgressBar
    except ImportError:
        return lambda done, total: None
    bar = ProgressBar(1)

    def show(done: int, total: int) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return show


def make_room() -> None:
    """Have ComfyUI take its own models off the GPU; it brings them back when they are needed."""
    try:
        from comfy.model_management import soft_empty_cache, unload_all_models
    except ImportError:
        return
    unload_all_models()
    soft_empty_cache()


def temporary_folder() -> Path:
    """A new folder where ComfyUI keeps what need not outlive it."""
    import folder_paths

    parent = Path(folder_paths.get_temp_directory())
    parent.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(prefix="ditflow-", dir=parent))


def motion_folders() -> list[Path]:
    """ComfyUI's `models/ditflow`, and what its extra_model_paths.yaml has under that name."""
    if (named := os.environ.get(FOLDERS)) is not None:
        return [Path(folder) for folder in named.split(os.pathsep)]
    import folder_paths

    own = Path(folder_paths.models_dir) / "ditflow"
    others, *_ = folder_paths.folder_names_and_paths.get("ditflow", ([],))
    return [own, *(Path(other) for other in others if Path(other) != own)]


def motion_files() -> list[str]:
    """The motions there are, by the names that a menu shows."""
    return sorted(
        path.relative_to(folder).as_posix()
        for folder in motion_folders()
        for path in folder.glob("**/*.safetensors")
        if not path.name.startswith(".")  # not those that are being written
    )


def find_motion(file: str) -> Path:
    """The path of a motion by its name in the menu.

    Raises:
        DitflowError: there is none.
    """
    folders = motion_folders()
    for folder in folders:
        path = folder / file
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    raise DitflowError(
        f"file={file} is not in {folders[0]}; save a motion first, or put one there."
    )


def new_motion(name: str) -> Path:
    """Where a motion is to be saved: by its name, and by a number where that is taken.

    Raises:
        DitflowError: the name is of no file in there.
    """
    folder = motion_folders()[0]
    path = folder / f"{name.strip().removesuffix('.safetensors')}.safetensors"
    inside = path.resolve().is_relative_to(folder.resolve())
    if not inside or path.name.startswith("."):
        raise DitflowError(f"name={name} is no name of a file in {folder}; give one such as walk.")
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def stamp(file: str) -> str:
    """What differs once a motion's file is another one: ComfyUI keeps what it has read."""
    found = find_motion(file).stat()
    return f"{found.st_mtime_ns} {found.st_size}"
