"""Benchmarks: methods x videos x prompts x seeds, scored and put into tables."""

from ditflow.benchmark.manifest import Manifest
from ditflow.benchmark.references import Reference, References, VideoList

__all__ = ["Manifest", "Reference", "References", "VideoList"]
