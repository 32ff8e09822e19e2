"""Versions of what a result depends on."""

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ditflow.version import __version__

PACKAGES = ("torch", "diffusers", "transformers", "lightning", "huggingface_hub", "safetensors")


def versions() -> dict[str, str]:
    """Of ditflow, Python, the platform, the packages that matter, and torch's CUDA or ROCm.

    Nothing of them is imported.
    """
    found = {
        "ditflow": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["torch"] += _torch_build()
    return found


def describe_versions() -> str:
    """As `ditflow --version` prints them, ditflow's own first."""
    return "\n".join(f"{name} {value}" for name, value in versions().items())


def _torch_build() -> str:
    """What torch was built for, from the file in which it says so: importing it takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    for label, variable in (("CUDA", "cuda"), ("ROCm", "hip")):
        built = re.search(rf"^{variable}(?:: [^=]+)? = '([^']+)'", text, re.MULTILINE)
        if built:
            return f" ({label} {built[1]})"
    return " (CPU)"
