"""`ditflow benchmark`: every method on every reference, in tables."""

import json
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
from ditflow.settings.options import MANIFESTS, PRESETS, manifest_path, resolve_configs
from ditflow.settings.parsing import CommandParser
from ditflow.utils.shipped import shipped_files
from ditflow.utils.untrusted import read_mapping

log = logging.getLogger(__name__)


CONFIG_HELP = (
    "Manifest: a name or a file. Presets beside it, stacked, are the backbone in place of its own."
)


def benchmark(args: Sequence[str]) -> int:
    """Run a manifest, or what of it is not done yet.

    Any number of processes share the jobs: those of --processes on this machine, of torchrun or
    of SLURM, or the same command begun again wherever the output folder can be seen.

    Returns:
        0 if every job has its results, 1 if one has not.
    """
    is_worker = end_with_parent()
    parser = benchmark_parser()
    paths = resolve_configs(with_backbone(args), manifest_path)
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


def with_backbone(args: Sequence[str]) -> list[str]:
    """Arguments in which presets among those of `--config` are the manifest's one backbone, by the
    name of the first of them."""
    kept: list[str] = []
    presets: list[str] = []
    for before, token in pairwise(["", *args]):
        stated = token.startswith("--config=")
        config = token.removeprefix("--config=")
        if not (stated or before in ("-c", "--config")) or not _is_preset(config):
            kept.append(token)
            continue
        presets.append(config)
        if not stated:
            kept.pop()
    if not presets:
        return kept
    first = Path(presets[0])
    name = first.stem if first.suffix in (".yaml", ".yml") else first.name
    return [*kept, "--backbones", json.dumps({name: presets})]


def _is_preset(config: str) -> bool:
    if Path(config).is_file():
        return "model" in read_mapping(config)
    return config in shipped_files(PRESETS) and config not in shipped_files(MANIFESTS)


def benchmark_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow benchmark", description=benchmark.__doc__)
    parser.add_argument("-c", "--config", action="config", help=CONFIG_HELP)
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
