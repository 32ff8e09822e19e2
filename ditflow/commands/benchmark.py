"""`ditflow benchmark`: every method on every reference, in tables."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import yaml
from jsonargparse import Namespace

from ditflow.benchmark.jobs import read_results
from ditflow.benchmark.manifest import Manifest
from ditflow.benchmark.montage import write_montages
from ditflow.benchmark.processes import count_workers, end_with_parent, run_processes
from ditflow.benchmark.runner import Runner
from ditflow.benchmark.sharing import SharedJobs, joined, part_of
from ditflow.benchmark.tables import write_tables
from ditflow.benchmark.tensorboard import write_events
from ditflow.metrics.scorer import Scorer
from ditflow.pages.benchmark import write_benchmark_page
from ditflow.pages.run import write_page_if_possible
from ditflow.runs.folder import PAGE
from ditflow.settings.options import manifest_path, resolve_configs
from ditflow.settings.parsing import CommandParser

log = logging.getLogger(__name__)


def benchmark(args: Sequence[str]) -> int:
    """Run a manifest, or what of it is not done yet.

    Any number of processes share the jobs: those of --processes on this machine, of torchrun or
    of SLURM, or the same command begun again wherever the output folder can be seen.

    Returns:
        0 if every job has its results, 1 if one has not.
    """
    is_worker = end_with_parent()
    parser = benchmark_parser()
    paths = resolve_configs(args, manifest_path)
    config = parser.parse_args(paths)
    parsed = parser.instantiate(config)
    folder, own = parsed.output, part_of(parsed.share)
    workers = count_workers(parsed.processes, parsed.share)
    if workers is None:
        return 0
    manifest = Manifest(**{field.name: parsed[field.name] for field in fields(Manifest)})
    jobs = manifest.jobs(folder)[own]  # anything wrong is found once
    scorer = Scorer(manifest.tracker, manifest.clip, manifest.grid)
    work = SharedJobs(jobs, Runner(folder, manifest.references, scorer))
    if is_worker:
        work.make()
        return 0
    configs = [token for token in paths if token.endswith((".yaml", ".yml"))]
    name = Path(configs[-1]).stem if configs else "benchmark"
    typed = _without_sharing(args)
    content, is_part = _as_yaml(parser, config), parsed.share is not None
    with joined(folder, ["benchmark", *typed], content, is_part):
        try:
            if workers:
                run_processes(typed, workers)
            work.make()  # what is left, if every worker died
        except (KeyboardInterrupt, SystemExit):
            report(folder, name)
            log.warning("Stopped; the same command makes what is missing in %s.", folder)
            raise
        report(folder, name)
    if missing := len(work.missing()):
        how = "failed" if work.failed == missing else "have no result"
        print(f"{missing} of {len(jobs)} jobs {how}; run the same command again for them.")
    return 1 if missing else 0


def benchmark_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow benchmark", description=benchmark.__doc__)
    parser.add_argument("-c", "--config", action="config", help="Manifest: a name or a file.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of all that is made.")
    parser.add_argument("--processes", type=int, default=1, help="So many on this machine.")
    parser.add_argument("--share", type=str, help="Do part of the jobs: 2/3 is the second third.")
    parser.add_class_arguments(Manifest, instantiate=False)
    return parser


def report(folder: Path, name: str) -> None:
    """Write tables, montages and the page of all that is there."""
    records = read_results(folder)
    tables, montages = write_tables(records, folder, name), write_montages(records, folder)
    events = write_events(tables[0].read_text(encoding="utf-8"), montages, folder, name)
    write_page_if_possible(write_benchmark_page, folder)
    print(f"Wrote to {folder}:")
    for path in [*tables, *montages, events, folder / PAGE]:
        print(f"  {path}")


def _as_yaml(parser: CommandParser, config: Namespace) -> str:
    """The manifest of a parsed command line."""
    every = yaml.safe_load(parser.dump(config))
    kept = {field.name: every[field.name] for field in fields(Manifest)}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _without_sharing(args: Sequence[str]) -> list[str]:
    """Arguments that say what is made: how many share the work is left out."""
    options = ("--processes", "--share")
    return [
        token
        for before, token in pairwise(["", *args])
        if before not in options and token.partition("=")[0] not in options
    ]
