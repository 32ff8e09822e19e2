"""What is shipped: presets, manifests and the embedded models; and names of what is not."""

import os
import re
from pathlib import Path

from ditflow.errors import DitflowError

PACKAGE = Path(__file__).parents[1]

PRESETS, MANIFESTS = "presets", "configs/benchmark"
"""Folders of them."""

EMBEDDED = PACKAGE / "sprites" / "weights"
"""Folder of the embedded models."""

WEIGHTS = (".bin", ".ckpt", ".gguf", ".onnx", ".pt", ".pth", ".safetensors", ".sft")
"""How names of single files with weights end."""

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
"""`user/name`, or `user/name@revision`."""


def shipped(folder: str) -> Path:
    """A folder of shipped files: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def shipped_files(folder: str) -> dict[str, Path]:
    """The YAML files of such a folder and the folders in it, by bare name, in order."""
    return {path.stem: path for path in sorted(shipped(folder).rglob("*.yaml"))}


def source_of(name: str) -> str:
    """The folder of an embedded model by its name; any other name or path as it is."""
    path = EMBEDDED / name
    return str(path) if path.is_dir() else name


def check_source(name: str) -> None:
    """Refuse a model's name that is a file's: pipelines are folders.

    Raises:
        DitflowError: says what is wanted.
    """
    # Path's own raises for a name too long for one, of which the loader says more.
    if os.path.isfile(name) or name.endswith(WEIGHTS):  # noqa: PTH113
        raise DitflowError(
            f"backbone={name} is a single file; give a folder in diffusers' layout (with a "
            "model_index.json), user/name on the hub, or an embedded one "
            f"({', '.join(embedded_backbones())})."
        )


def embedded_backbones() -> list[str]:
    """Names of the embedded pipelines; a CLIP is none."""
    return sorted(path.parent.name for path in EMBEDDED.glob("*/model_index.json"))


def is_hub_name(named: Path | str) -> bool:
    """Whether it can be a repository's name; a file's own name cannot, for mistyped paths must not
    reach for the network."""
    return bool(HUB_NAME.fullmatch(str(named))) and not str(named).endswith(".safetensors")
