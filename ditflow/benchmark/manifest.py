"""A benchmark manifest, checked in full before any work."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

from ditflow.benchmark.jobs import Job, content_of
from ditflow.benchmark.references import CATEGORIES, References, unfit_names
from ditflow.errors import DitflowError, shortened
from ditflow.metrics import TrackerName
from ditflow.settings.stacked import Settings, read_settings
from ditflow.utils.files import make_output

Presets = list[Any]
"""Names or paths of presets, and mappings laid over them, in this order."""


@dataclass
class Manifest:
    """Methods × videos × prompts × seeds, on each backbone.

    Attributes:
        references: where the videos and their prompts come from.
        backbones: presets of each backbone, under the name that tables give it.
        methods: presets of each method, laid over the backbone's.
        categories: of prompts.
        seeds: of the initial noise, added to each reference's own.
        reuse: also put every motion embedding into the prompts of the other categories.
        tracker: of motion fidelity and trajectory error.
        clip: CLIP model of IQ and temporal consistency.
        grid: tracks start on a `grid` × `grid` division of the first frame.
    """

    references: References
    backbones: dict[str, Presets]
    methods: dict[str, Presets]
    categories: list[str] = field(default_factory=lambda: list(CATEGORIES))
    seeds: list[int] = field(default_factory=lambda: [0])
    reuse: bool = False
    tracker: TrackerName = "lucas-kanade"
    clip: str = "sprites-clip"
    grid: int = 55

    def jobs(self, folder: Path) -> list[Job]:
        """Every job, in the order they are run.

        Raises:
            DitflowError: anything that is wrong, all of it listed; or an output folder that
                cannot be written to.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # Which a parser lets pass for anything.
        empty = [name for name, v in values.items() if v is None or (type(v) is list and None in v)]
        if empty:
            raise DitflowError(f"the manifest cannot be run: {', '.join(empty)} must not be null.")
        problems = list(self.references.problems())
        problems += [
            f"categories: {shortened(name)!r} is unknown, use {', '.join(CATEGORIES)}"
            for name in self.categories
            if name not in CATEGORIES
        ]
        for name, value in (("categories", self.categories), ("seeds", self.seeds)):
            if not value or len(set(value)) != len(value):
                problems.append(f"{name}: {shortened(value)} must be one or more, each once")
        if self.reuse and len(self.categories) < 2:
            problems.append("reuse: needs at least two categories")
        settings = self._settings(problems)
        if problems:
            raise DitflowError("the manifest cannot be run:\n  " + "\n  ".join(problems))
        make_output(folder)
        references = self.references.videos(folder / "references")
        contents = {reference.name: content_of(reference) for reference in references}
        combinations = product(settings.items(), references, self.categories, self.seeds)
        return [
            Job(
                order=order,
                backbone=backbone,
                method=method,
                settings=chosen,
                reference=reference,
                content=contents[reference.name],
                category=category,
                seed=reference.seed + seed,
                reused=tuple(c for c in self.categories if self.reuse and c != category),
            )
            for order, (((backbone, method), chosen), reference, category, seed) in enumerate(
                combinations
            )
        ]

    def _settings(self, problems: list[str]) -> dict[tuple[str, str], Settings]:
        """Settings of every backbone with every method; what is wrong is added to `problems`."""
        settings: dict[tuple[str, str], Settings] = {}
        for kind, named in (("backbones", self.backbones), ("methods", self.methods)):
            if not named:
                problems.append(f"{kind}: none given")
            problems += unfit_names(kind, named)
        for backbone, below in self.backbones.items():
            for method, above in self.methods.items():
                try:
                    made = read_settings(*_listed(below), *_listed(above))
                    self._check_masks(made)
                    settings[backbone, method] = made
                except DitflowError as error:
                    problems.append(f"{backbone} with {method}: {error}")
        return settings

    def _check_masks(self, settings: Settings) -> None:
        """Refuse one mask for all references, and masks that a method does not heed."""
        if settings.data["mask"] is not None:
            raise DitflowError(
                f"data.mask={settings.data['mask']} would be the mask of every reference; give "
                "each its own, `mask` beside `video` in the list of ditflow.benchmark.VideoList"
            )
        objective = settings.model["objective"]
        if objective is not None and self.references.masked():
            objective.check_mask(True)


def _listed(presets: Presets | str) -> Sequence[Any]:
    return [presets] if isinstance(presets, str) else presets
