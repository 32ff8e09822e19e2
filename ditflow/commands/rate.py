"""`ditflow rate`: have people rate a benchmark's videos, and see what they say."""

from collections.abc import Sequence
from pathlib import Path

from ditflow.benchmark.jobs import read_results
from ditflow.errors import DitflowError
from ditflow.rating.answers import read_answers
from ditflow.rating.figure import write_figure
from ditflow.rating.study import KEY, choose_results, read_study, write_study
from ditflow.settings.parsing import CommandParser
from ditflow.utils.files import make_output

USAGE = """\
ditflow rate: have people rate a benchmark's videos, and see what they say.

  ditflow rate make --results DIR --output DIR [--pairs N] [--methods A B] [--backbone NAME]
  ditflow rate figure answers-*.json --key DIR/key.json --output DIR

Both have --help.
"""


def rate(args: Sequence[str]) -> int:
    """Make a rating page, or the figure of its answers.

    Returns:
        0.

    Raises:
        DitflowError: neither is asked for, or what they need is not there.
    """
    commands = {"make": _make, "figure": _figure}
    if args and args[0] in ("-h", "--help"):
        print(USAGE, end="")
    elif args and args[0] in commands:
        commands[args[0]](args[1:])
    else:
        given = f" {args[0]}" if args else ""
        raise DitflowError(f"rate{given} is unknown; use rate make or rate figure.")
    return 0


def rate_parsers() -> dict[str, CommandParser]:
    """Of the command lines, by what is to be done."""
    return {"make": _make_parser(), "figure": _figure_parser()}


def _make_parser() -> CommandParser:
    parser = CommandParser(prog="ditflow rate make", description=_make.__doc__)
    parser.add_argument("--results", type=Path, required=True, help="A benchmark's output folder.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of the study.")
    parser.add_argument("--pairs", type=int, default=10, help="Of a reference and a prompt.")
    parser.add_argument("--methods", type=str, nargs="+", help="By default all.")
    parser.add_argument("--backbone", type=str, help="Needed if the benchmark has several.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draw, and of the names.")
    return parser


def _figure_parser() -> CommandParser:
    parser = CommandParser(prog="ditflow rate figure", description=_figure.__doc__)
    parser.add_argument("answers", type=Path, nargs="+", help="Files that the page saved.")
    parser.add_argument("--key", type=Path, required=True, help=f"{KEY} of the study.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of all that is made.")
    return parser


def _make(args: Sequence[str]) -> None:
    """Make a rating page from a benchmark's results, blinded: how a video was made is in key.json.

    For each of a number of pairs of a reference and a prompt, raters see every method's video
    beside the reference, in an order of their own, and say how far they agree with two statements,
    on motion and on the prompt. The page works without server and network: send the folder `page`,
    and keep key.json.
    """
    given = _make_parser().parse_args(list(args))
    records = _of_backbone(read_results(given.results), given.backbone, given.results)
    methods = sorted({record["method"] for record in records})
    for method in given.methods or []:
        if method not in methods:
            raise DitflowError(f"methods: {method} has no results; use {', '.join(methods)}.")
    records = [r for r in records if not given.methods or r["method"] in given.methods]
    chosen = choose_results(records, given.results, given.pairs, given.seed)
    make_output(given.output)
    study = write_study(chosen, given.results, given.output, given.seed)
    print(
        f"{len(study.trials)} videos to rate: {given.pairs} pairs of a reference and a prompt, "
        f"{len(study.trials) // given.pairs} methods.\n"
        f"For raters:  {given.output / 'page'} (they open rating.html)\n"
        f"To be kept:  {given.output / KEY}"
    )


def _figure(args: Sequence[str]) -> None:
    """Make the figure and the table of all raters' answers."""
    given = _figure_parser().parse_args(list(args))
    study = read_study(given.key)
    answers = read_answers(given.answers, study)
    make_output(given.output)
    written = write_figure(study, answers, given.output)
    print(f"Answers of {len(answers)} raters. Wrote to {given.output}:")
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
