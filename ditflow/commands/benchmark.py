"""`ditflow benchmark`: every method on every reference, in tables."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from tqdm import tqdm

from ditflow.benchmark.jobs import Job, read_results, share
from ditflow.benchmark.manifest import Manifest
from ditflow.benchmark.montage import write_montages
from ditflow.benchmark.processes import end_with_parent, run_processes, workers
from ditflow.benchmark.ranks import Ranks
from ditflow.benchmark.runner import Runner
from ditflow.benchmark.tables import write_tables
from ditflow.benchmark.tensorboard import write_events
from ditflow.errors import DitflowError
from ditflow.metrics.scorer import Scorer
from ditflow.pages.benchmark import write_benchmark_page
from ditflow.pages.run import write_page_if_possible
from ditflow.runs.claim import claim
from ditflow.runs.folder import MANIFEST, PAGE
from ditflow.runs.history import record_command
from ditflow.settings.options import manifest_path, resolve_configs
from ditflow.settings.parsing import CommandParser
from ditflow.utils.files import write_text

log = logging.getLogger(__name__)


def benchmark(args: Sequence[str]) -> int:
    """Run a manifest, or what of it is not done yet.

    Several processes share the jobs, each takes every n-th: those of --processes on this machine,
    of torchrun or of SLURM, or of --share wherever they are.

    Returns:
        0 if every job has its results, 1 if one failed.
    """
    parser = benchmark_parser()
    paths = resolve_configs(args, manifest_path)
    config = parser.parse_args(paths)
    parsed = parser.instantiate(config)
    manifest = Manifest(**{field.name: parsed[field.name] for field in fields(Manifest)})
    configs = [token for token in paths if token.endswith((".yaml", ".yml"))]
    name = Path(configs[-1]).stem if configs else "benchmark"
    # How many shared the work is left out: the same command makes the same.
    typed = ["benchmark", *_without(_without(args, "--processes"), "--share")]
    asked = Asked(name, typed, _as_yaml(parser, config))
    several = parsed.processes != 1
    if several and (parsed.processes < 1 or parsed.share is not None):
        raise DitflowError(f"processes={parsed.processes} must be at least 1, and without --share.")
    torchrun = TorchElasticEnvironment.detect() and parsed.share is None
    if torchrun and TorchElasticEnvironment().world_size() > 1:
        if several:
            raise DitflowError(
                f"processes={parsed.processes} cannot be had under torchrun, which has started "
                "several already; leave it out."
            )
        return _run_rank(Ranks.of_torchrun(), manifest, parsed.output, asked)
    if not several:
        end_with_parent()
        return run(manifest, parsed.output, asked, _share(parsed.share))
    jobs = manifest.jobs(parsed.output)  # anything wrong is found once
    with claim(parsed.output):
        asked.keep(parsed.output)
        with _reported_when_stopped(parsed.output, asked.name):
            statuses = run_processes(_without(args, "--processes"), parsed.processes)
        report(parsed.output, asked.name)
    missing = _count_missing(manifest, jobs, parsed.output)
    return 1 if missing or any(statuses) else 0


@dataclass(frozen=True)
class Asked:
    """What an output folder keeps of how it was made.

    Attributes:
        name: of the manifest, for titles.
        typed: the command line.
        manifest: its content, YAML.
    """

    name: str
    typed: Sequence[str]
    manifest: str

    def keep(self, folder: Path) -> None:
        """Write it."""
        record_command(folder, self.typed)
        write_text(folder / MANIFEST, self.manifest)


def _as_yaml(parser: CommandParser, config: Any) -> str:
    """The manifest of a parsed command line."""
    every = yaml.safe_load(parser.dump(config))
    kept = {field.name: every[field.name] for field in fields(Manifest)}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _run_rank(ranks: Ranks, manifest: Manifest, folder: Path, asked: Asked) -> int:
    """Run the share of one of torchrun's ranks.

    A process of its own does the work: if that is killed, for want of memory or by a fault of a
    library, this rank lives on, and with it the others, which torchrun would stop. For the same
    reason no rank leaves, whatever has failed, before all have done their work.
    """
    jobs = manifest.jobs(folder)
    with claim(folder) if ranks.rank == 0 else nullcontext():
        ranks.meet("claimed")
        share = ranks.rank, ranks.size, ranks.local_rank
        with workers(asked.typed[1:], [share]) as (worker,):
            status = worker.wait()
        if status:
            log.error("The process of rank %d ended with status %d.", ranks.rank, status)
        failed = ranks.meet("finished", int(status != 0))
        if ranks.rank == 0:
            asked.keep(folder)
            report(folder, asked.name)
            failed += _count_missing(manifest, jobs, folder)
    failed = ranks.meet("reported", failed)
    return 1 if failed else 0


def _count_missing(manifest: Manifest, jobs: Sequence[Job], folder: Path) -> int:
    """How many jobs have no results yet, which is said."""
    measured = _scorer(manifest).names()
    missing = sum(not job.is_finished(folder, measured) for job in jobs)
    if missing:
        print(f"{missing} of {len(jobs)} jobs have no result; run the same command again for them.")
    return missing


def benchmark_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow benchmark", description=benchmark.__doc__)
    parser.add_argument("-c", "--config", action="config", help="Manifest: a name or a file.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of all that is made.")
    parser.add_argument("--processes", type=int, default=1, help="So many on this machine.")
    parser.add_argument("--share", type=str, help="Do part of the jobs: 2/3 is the second third.")
    parser.add_class_arguments(Manifest, instantiate=False)
    return parser


def run(
    manifest: Manifest,
    folder: Path,
    asked: Asked,
    part: tuple[int, int] | None = None,
) -> int:
    """Run a manifest's jobs of this process, then write tables, montages and the page.

    Args:
        manifest: what to run.
        folder: of the output.
        asked: how, which is kept in the folder.
        part: rank and number of processes; by default as this process was started.

    Returns:
        0 if every job of this process has its results, 1 if one failed.
    """
    jobs = manifest.jobs(folder)
    environment = _environment()
    rank, ranks = part or (environment.global_rank(), environment.world_size())
    own = share(jobs, rank, ranks)
    runner = Runner(folder, manifest.references, _scorer(manifest))
    failed = 0
    claimed = part is None and rank == 0
    with claim(folder, shared=ranks > 1) if claimed else nullcontext():
        asked.keep(folder)
        title = f"Rank {rank} of {ranks}" if ranks > 1 else "Jobs"
        with _reported_when_stopped(folder, asked.name) if claimed else nullcontext():
            for job in tqdm(own, desc=title, unit="job"):
                error = runner.run(job)
                if error is not None:
                    failed += 1
                    log.error("%s failed: %s", job, error)
        report(folder, asked.name)
    if failed:
        print(f"{failed} of {len(own)} jobs failed; run the same command again to retry them.")
    return 1 if failed else 0


@contextmanager
def _reported_when_stopped(folder: Path, name: str) -> Iterator[None]:
    """Context in which Ctrl-C and SIGTERM still leave a report of all that is there, and are
    followed by how to go on. Within a fit Lightning turns them into the end of the process."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        report(folder, name)
        log.warning("Stopped; the same command makes what is missing in %s.", folder)
        raise


def report(folder: Path, name: str) -> None:
    """Write tables, montages and the page of all that is there."""
    records = read_results(folder)
    tables, montages = write_tables(records, folder, name), write_montages(records, folder)
    events = write_events(tables[0].read_text(encoding="utf-8"), montages, folder, name)
    write_page_if_possible(write_benchmark_page, folder)
    print(f"Wrote to {folder}:")
    for path in [*tables, *montages, events, folder / PAGE]:
        print(f"  {path}")


def _scorer(manifest: Manifest) -> Scorer:
    return Scorer(manifest.tracker, manifest.clip, manifest.grid)


def _share(text: str | None) -> tuple[int, int] | None:
    """Rank, from 0, and number of processes of `2/3`."""
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise DitflowError(f"share={text} must be a part such as 1/3, 2/3 or 3/3.")
    return int(first) - 1, int(second)


def _without(args: Sequence[str], option: str) -> list[str]:
    """Arguments without an option and its value."""
    kept: list[str] = []
    skipped = False
    for token in args:
        if skipped:
            skipped = False
        elif token == option:
            skipped = True
        elif not token.startswith(f"{option}="):
            kept.append(token)
    return kept


def _environment() -> ClusterEnvironment:
    """How this process was started, as Lightning sees it."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect():
        return SLURMEnvironment()
    return LightningEnvironment()
