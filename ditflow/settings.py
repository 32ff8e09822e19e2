"""A run's settings from stacked presets, checked before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser

from ditflow.backbones.cogvideox import CogVideoXBackbone
from ditflow.backbones.loading import load_backbone
from ditflow.callbacks import KVInjection
from ditflow.data import MotionDataModule
from ditflow.errors import DitflowError, shortened
from ditflow.module import MotionTransfer
from ditflow.options import preset_path
from ditflow.yaml_files import read_mapping


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
        if not isinstance(config, str | Mapping):
            raise DitflowError(
                f"config={shortened(config)} is neither a preset nor settings by name."
            )
        read = config if isinstance(config, Mapping) else read_mapping(preset_path(config))
        stacked = stack(stacked, read)
    names = ", ".join(config for config in configs if isinstance(config, str))
    model = dict(_section(stacked, "model", names))
    backbone = _section(model, "backbone", names)
    model.pop("backbone", None)
    arguments = {
        "model": model,
        "kv_injection": _section(stacked, "kv_injection", names),
        "data": _section(stacked, "data", names),
        "backbone": _section(backbone, "init_args", names),
    }
    unknown = [shortened(key) for key in stacked if key not in ("model", "kv_injection", "data")]
    if unknown:
        raise DitflowError(f"config={names}: {', '.join(unknown)} cannot be set here.")
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


def _section(settings: Mapping[str, Any], name: str, configs: str) -> Mapping[str, Any]:
    """The settings under a name; none if it is not there."""
    section = settings.get(name, {})
    if not isinstance(section, Mapping) or not all(isinstance(key, str) for key in section):
        raise DitflowError(f"config={configs}: {name} must hold settings by name.")
    return section
