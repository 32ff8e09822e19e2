"""`ditflow rate`: have people rate a benchmark's videos, and see what they say."""

from collections.abc import Sequence
from pathlib import Path

from ditflow.benchmark.jobs import read_results
from ditflow.errors import DitflowError
from ditflow.rating.answers import read_answers
from ditflow.rating.figure import write_figure
from ditflow.rating.study import KEY, choose_results, read_study, write_study
from ditflow.utils.files import make_output


def make(
    *,
    results: Path,
    output: Path,
    pairs: int = 10,
    methods: Sequence[str] | None = None,
    backbone: str | None = None,
    seed: int = 0,
) -> None:
    """Make a rating page from a benchmark's results, blinded: how a video was made is in key.json.

    For each of a number of pairs of a reference and a prompt, raters see every method's video
    beside the reference, in an order of their own, and say how far they agree with two statements,
    on motion and on the prompt. The page works without server and network: send the folder `page`,
    and keep key.json.

    Args:
        results: A benchmark's output folder.
        output: Folder of the study.
        pairs: Of a reference and a prompt.
        methods: By default all.
        backbone: Needed if the benchmark has several.
        seed: Of the draw, and of the names.
    """
    records = _of_backbone(read_results(results), backbone, results)
    known = sorted({record["method"] for record in records})
    for method in methods or known:
        if method not in known:
            raise DitflowError(f"methods: {method} has no results; use {', '.join(known)}.")
    records = [record for record in records if record["method"] in (methods or known)]
    chosen = choose_results(records, results, pairs, seed)
    make_output(output)
    study = write_study(chosen, results, output, seed)
    print(
        f"{len(study.trials)} videos to rate: {pairs} pairs of a reference and a prompt, "
        f"{len(study.trials) // pairs} methods.\n"
        f"For raters:  {output / 'page'} (they open rating.html)\n"
        f"To be kept:  {output / KEY}"
    )


def figure(answers: Sequence[Path], *, key: Path, output: Path) -> None:
    """Make the figure and the table of all raters' answers.

    Args:
        answers: Files that the page saved.
        key: key.json of the study.
        output: Folder of all that is made.
    """
    study = read_study(key)
    raters = read_answers(answers, study)
    make_output(output)
    written = write_figure(study, raters, output)
    print(f"Answers of {len(raters)} raters. Wrote to {output}:")
    for path in written:
        print(f"  {path}")


def _of_backbone(records: list[dict], backbone: str | None, folder: Path) -> list[dict]:
    """One backbone's results: raters compare methods, not models.

    Raises:
        DitflowError: no results, or it is not clear of which backbone.
    """
    names = sorted({record["backbone"] for record in records})
    if not names:
        raise DitflowError(f"results={folder} has no results; give a benchmark's output folder.")
    if backbone is None and len(names) > 1:
        raise DitflowError(
            f"results={folder} has several backbones; give --backbone, one of {', '.join(names)}."
        )
    if backbone is not None and backbone not in names:
        raise DitflowError(f"backbone={backbone} has no results; use {', '.join(names)}.")
    return [record for record in records if record["backbone"] == (backbone or names[0])]
