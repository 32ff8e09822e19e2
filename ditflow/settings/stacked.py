"""A run's settings from stacked presets, checked before anything is loaded."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from ditflow.backbones.base import Backbone
from ditflow.callbacks import KVInjection
from ditflow.data import MotionDataModule
from ditflow.embedding.checks import LOADER
from ditflow.errors import DitflowError, reason_of, shortened
from ditflow.module import MotionTransfer
from ditflow.settings.options import preset_path
from ditflow.utils.untrusted import read_mapping

log = logging.getLogger(__name__)

SECTIONS = ("model", "kv_injection", "data")
"""Of a configuration, what says what is computed."""

LOADED_BY = ("class_path", "init_args")
"""What a configuration says of a backbone."""

OF_A_RUN = ("trainer", "media_logger", "seed_everything", "overwrite", "ckpt_path")
"""What a fit's configuration says beside that, of how and where it runs."""


@dataclass(frozen=True)
class Settings:
    """What presets say, as arguments.

    Attributes:
        backbone: of what loads it.
        model: of `MotionTransfer`, the backbone left out.
        injection: of `KVInjection`.
        data: of `MotionDataModule`.
        source: the stacked presets as read, for comparison and hashing.
        loader: where what loads the backbone is found, `load_backbone` or code of one's own.
        written: gives the same as YAML.
    """

    backbone: dict[str, Any]
    model: dict[str, Any]
    injection: dict[str, Any]
    data: dict[str, Any]
    source: dict[str, Any]
    loader: str = LOADER
    written: Callable[[], str] = field(default=lambda: "", repr=False, compare=False)

    def configuration(self) -> dict[str, Any]:
        """All of it but what is None, in the plain values and the order of a configuration file."""
        whole = yaml.safe_load(self.written())
        loaded_by = {"class_path": self.loader, "init_args": whole.pop("backbone", {})}
        return whole | {"model": {"backbone": loaded_by, **whole["model"]}}

    @property
    def own_loader(self) -> bool:
        """Whether the backbone is loaded by code that is not ditflow's."""
        return self.loader != LOADER

    @property
    def backbone_name(self) -> str:
        """What messages call the backbone before it is loaded."""
        return str(self.backbone.get("name", self.loader))

    def load_backbone(self, **changes: Any) -> Backbone:
        """The backbone with these settings but for `changes`.

        Raises:
            DitflowError: it is not there, or changes that its loader does not take.
        """
        unknown = [name for name in changes if name not in self.backbone]
        if unknown:
            raise DitflowError(f"{unknown[0]} is no option of {self.loader}; leave it out.")
        return _found(self.loader)(**self.backbone | changes)

    def module(self, backbone: Backbone, **changes: Any) -> MotionTransfer:
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
        read = config if isinstance(config, Mapping) else _of_a_file(config)
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
    unknown = [shortened(key) for key in stacked if key not in SECTIONS]
    unknown += [f"model.backbone.{shortened(key)}" for key in backbone if key not in LOADED_BY]
    if unknown:
        raise DitflowError(f"config={names}: {', '.join(unknown)} cannot be set here.")
    loader = _loader(backbone.get("class_path", LOADER), names)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MotionTransfer, "model", skip={"backbone"}, instantiate=False)
    parser.add_class_arguments(KVInjection, "kv_injection", instantiate=False)
    parser.add_class_arguments(MotionDataModule, "data", instantiate=False)
    load = _found(loader)
    if isinstance(load, type):
        parser.add_class_arguments(load, "backbone", instantiate=False)
    else:
        parser.add_function_arguments(load, "backbone")
    try:
        parsed = parser.parse_object({key: value for key, value in arguments.items() if value})
        made = parser.instantiate(parsed)
    except DitflowError:
        raise
    except Exception as error:  # jsonargparse raises what the given classes raise
        reason = " ".join(str(error).split())
        raise DitflowError(f"config={names} is not usable: {reason}") from error
    return Settings(
        vars(made.get("backbone", Namespace())),  # a loader may take none
        vars(made.model),
        vars(made.kv_injection),
        vars(made.data),
        source=stacked,
        loader=loader,
        written=lambda: parser.dump(parsed, skip_validation=True),
    )


def stack(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings; another `class_path` replaces a class and its arguments as a whole."""
    merged = dict(below)
    for key, value in above.items():
        own: Any = merged.get(key)
        both = isinstance(own, Mapping) and isinstance(value, Mapping)
        if both and value.get("class_path", own.get("class_path")) == own.get("class_path"):
            merged[key] = stack(own, value)
        else:
            merged[key] = value
    return merged


def _of_a_file(config: str) -> dict[str, Any]:
    """A file's settings; it may be a fit's own configuration, which says more."""
    read = read_mapping(preset_path(config))
    unheeded = [name for name in OF_A_RUN if name in read]
    if unheeded:
        log.info("%s: %s are not heeded here; they are of a fit.", config, ", ".join(unheeded))
    return {name: value for name, value in read.items() if name not in unheeded}


def _loader(class_path: Any, configs: str) -> str:
    """Where a backbone's loader is, known to be there."""
    if not isinstance(class_path, str):
        raise DitflowError(f"config={configs}: model.backbone.class_path must be a text.")
    try:
        found = _found(class_path)
    except Exception as error:  # whatever code of one's own raises when it is imported
        raise DitflowError(
            f"config={configs}: model.backbone.class_path={shortened(class_path)} cannot be "
            f"imported ({reason_of(error)})."
        ) from error
    if not callable(found):
        raise DitflowError(f"config={configs}: {class_path} loads nothing; name a function.")
    # `ditflow.load_backbone` has a longer name, too.
    return LOADER if found is _found(LOADER) else class_path


def _found(class_path: str) -> Callable[..., Any]:
    """A configuration names code and runs it, by design."""
    return resolve_name(class_path)


def _section(settings: Mapping[str, Any], name: str, configs: str) -> Mapping[str, Any]:
    """The settings under a name; none if it is not there."""
    section = settings.get(name, {})
    if not isinstance(section, Mapping) or not all(isinstance(key, str) for key in section):
        raise DitflowError(f"config={configs}: {name} must hold settings by name.")
    return section
