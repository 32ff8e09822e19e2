"""What a run leaves in its output folder, and what a new one does about it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ditflow.errors import DitflowError
from ditflow.runs.claim import claim, refuse_results, remove_results
from ditflow.utils.files import missing

CONFIG = "config.yaml"
PAGE = "index.html"
EMBEDDING = "motion.safetensors"
REFERENCE = "reference.mp4"
COMPARISON = "comparison.mp4"
COMMANDS = "commands.txt"
MANIFEST = "manifest.yaml"
SCORES = "scores.csv"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
LAST = "last"

FINISHED = "video.mp4"
"""What is there only once everything is computed."""

RESULTS = (EMBEDDING, FINISHED, f"{CHECKPOINTS}/{LAST}.ckpt")
"""Where one of them is, there was an earlier run."""

MADE = (
    *RESULTS,
    # Numbered by prompt, up to 999: a user's own video-original.mp4 is none of them.
    *(f"video-{'[0-9]' * digits}-*.mp4" for digits in (1, 2, 3)),
    *(REFERENCE, COMPARISON, f"{TENSORBOARD}/events.out.*"),
    *(PAGE, COMMANDS),
)
"""All that a fit may leave, but for its configuration, which every run writes."""


def check_inputs(inputs: Mapping[str, Path | str | None]) -> None:
    """Refuse files that are not there, before anything is loaded.

    Args:
        inputs: by the options that name them.

    Raises:
        DitflowError: names the first.
    """
    for name, path in inputs.items():
        if path is not None and not Path(path).exists():
            raise missing(name, Path(path))


@dataclass(frozen=True)
class FitFolder:
    """A fit's output folder, and what becomes of an earlier run's results in it.

    Attributes:
        folder: of the output.
        inputs: of the fit, by the options that name them.
        overwrite: whether results are to be replaced.
        anew: whether the run begins again that was stopped here before its first checkpoint; it
            may have left an embedding.
        goes_on: whether the run goes on that was stopped here; then all stays.
        resumable: whether the fit's user can give --resume.
    """

    folder: Path
    inputs: Mapping[str, Path | str | None]
    overwrite: bool
    anew: bool = False
    goes_on: bool = False
    resumable: bool = True

    def check(self) -> None:
        """Refuse to write over an earlier run's results, or the fit's own input.

        Raises:
            DitflowError: names what is there, and what to do.
        """
        if self.goes_on:
            return
        if not self.overwrite:
            refuse_results(self.folder, (FINISHED,) if self.anew else RESULTS, self.resumable)
        made = {path.resolve() for pattern in MADE for path in self.folder.glob(pattern)}
        for name, path in self.inputs.items():
            if path is not None and Path(path).resolve() in made:
                raise DitflowError(
                    f"{name}={path} is in the output folder under a name that a run writes, and "
                    "would be lost; rename it, or give another folder."
                )

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the folder until the block ends, without the results that are to be replaced.

        Raises:
            DitflowError: as `check`, of what another run has left since; and as `claim`.
        """
        with claim(self.folder):
            self.check()
            if self.overwrite and not self.goes_on:
                remove_results(self.folder, MADE)
            yield


def remove_reference(folder: Path) -> None:
    """Remove a predict's reference, which may be of another motion; a fit's is its own."""
    if any(folder.glob("*-seed*.json")) and not (folder / EMBEDDING).exists():
        remove_results(folder, (REFERENCE,))
