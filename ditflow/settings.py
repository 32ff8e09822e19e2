"""A run's settings from stacked presets, checked before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from ditflow.backbones.cogvideox import CogVideoXBackbone
from ditflow.backbones.loading import load_backbone
from ditflow.callbacks import KVInjection
from ditflow.data import MotionDataModule
from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer
from ditflow.options import preset_path


@dataclass(frozen=True)
class Settings:
    """What presets say, as arguments.

    Attributes:
        backbone: of `load_backbone`.
        model: of `MotionTransfer`, the backbone left out.
        injection: of `KVInjection`.
        data: of `MotionDataModule`.
        source: the stacked presets as read, for comparison and hashing.
    """

    backbone: dict[str, Any]
    model: dict[str, Any]
    injection: dict[str, Any]
    data: dict[str, Any]
    source: dict[str, Any]

    def module(self, backbone: CogVideoXBackbone, **changes: Any) -> MotionTransfer:
        """A module with these settings but for `changes`."""
        return MotionTransfer(backbone, **self.model | changes)


def read_settings(*configs: str | Mapping[str, Any]) -> Settings:
    """Stack presets (names, paths or mappings), later ones over earlier ones.

    Raises:
        DitflowError: a preset that is not there, is no mapping, or says what does not exist.
    """
    stacked: dict[str, Any] = {}
    for config in configs:
        stacked = stack(stacked, config if isinstance(config, Mapping) else _read(config))
    names = ", ".join(config for config in configs if isinstance(config, str))
    model = dict(stacked.get("model", {}))
    backbone = model.pop("backbone", {})
    arguments = {
        "model": model,
        "kv_injection": stacked.get("kv_injection", {}),
        "data": stacked.get("data", {}),
        "backbone": backbone.get("init_args", {}),
    }
    unknown = set(stacked) - {"model", "kv_injection", "data"}
    if unknown:
        raise DitflowError(f"config={names}: {', '.join(sorted(unknown))} cannot be set here.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MotionTransfer, "model", skip={"backbone"}, instantiate=False)
    parser.add_class_arguments(KVInjection, "kv_injection", instantiate=False)
    parser.add_class_arguments(MotionDataModule, "data", instantiate=False)
    parser.add_function_arguments(load_backbone, "backbone")
    try:
        parsed = parser.parse_object({key: value for key, value in arguments.items() if value})
        made = parser.instantiate(parsed)
    except DitflowError:
        raise
    except Exception as error:  # jsonargparse raises what the given classes raise
        reason = " ".join(str(error).split())
        raise DitflowError(f"config={names} is not usable: {reason}") from error
    return Settings(
        vars(made.backbone),
        vars(made.model),
        vars(made.kv_injection),
        vars(made.data),
        source=stacked,
    )


def stack(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings; another `class_path` replaces a class and its arguments as a whole."""
    merged = dict(below)
    for key, value in above.items():
        own = merged.get(key)
        both = isinstance(own, Mapping) and isinstance(value, Mapping)
        if both and value.get("class_path", own.get("class_path")) == own.get("class_path"):
            merged[key] = stack(own, value)
        else:
            merged[key] = value
    return merged


def _read(name: str) -> dict[str, Any]:
    path: Path = preset_path(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DitflowError(f"config={name} cannot be read as YAML ({error}).") from error
    if not isinstance(content, dict):
        raise DitflowError(f"config={name} holds no settings; see the presets for its form.")
    return content
