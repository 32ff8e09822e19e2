"""A run's settings: presets, short options, and what they are checked for."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.settings.stacked import Settings, read_settings

__all__ = ["Settings", "read_settings"]

__getattr__ = importer(__name__, {"Settings": "stacked", "read_settings": "stacked"})
