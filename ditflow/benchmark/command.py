"""`ditflow benchmark`: every method on every reference, in tables."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from tqdm import tqdm

from ditflow.benchmark.events import write_events
from ditflow.benchmark.jobs import read_results, share
from ditflow.benchmark.manifest import Manifest
from ditflow.benchmark.montage import write_montages
from ditflow.benchmark.runner import Runner
from ditflow.benchmark.tables import write_tables
from ditflow.options import manifest_path, resolve_configs
from ditflow.parsing import CommandParser
from ditflow.scoring import Scorer

log = logging.getLogger(__name__)


def benchmark(args: Sequence[str]) -> int:
    """Run a manifest, or what of it is not done yet.

    Several processes, started by torchrun or SLURM, share the jobs: each takes every n-th, and
    each writes the tables of all that is there when it has finished.

    Returns:
        0 if every job of this process has its results, 1 if one failed.
    """
    parser = CommandParser(prog="ditflow benchmark", description=benchmark.__doc__)
    parser.add_argument("-c", "--config", action="config", help="Manifest: a name or a file.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of all that is made.")
    parser.add_class_arguments(Manifest, instantiate=False)
    paths = resolve_configs(args, manifest_path)
    parsed = parser.instantiate(parser.parse_args(paths))
    manifest = Manifest(**{field.name: parsed[field.name] for field in fields(Manifest)})
    configs = [token for token in paths if token.endswith((".yaml", ".yml"))]
    name = Path(configs[-1]).stem if configs else "benchmark"
    return run(manifest, parsed.output, name)


def run(manifest: Manifest, folder: Path, name: str) -> int:
    """Run a manifest's jobs of this process, then write tables and montages."""
    jobs = manifest.jobs(folder)
    environment = _environment()
    rank, ranks = environment.global_rank(), environment.world_size()
    own = share(jobs, rank, ranks)
    scorer = Scorer(manifest.tracker, manifest.clip, manifest.grid)
    runner = Runner(folder, manifest.references, scorer)
    failed = 0
    for job in tqdm(own, desc=f"Rank {rank} of {ranks}" if ranks > 1 else "Jobs", unit="job"):
        error = runner.run(job)
        if error is not None:
            failed += 1
            log.error("%s failed: %s", job, error)
    records = read_results(folder)
    tables, montages = write_tables(records, folder, name), write_montages(records, folder)
    events = write_events(tables[0].read_text(encoding="utf-8"), montages, folder, name)
    written = [*tables, *montages, events]
    print(f"Wrote to {folder}:")
    for path in written:
        print(f"  {path}")
    if failed:
        print(f"{failed} of {len(own)} jobs failed; run the same command again to retry them.")
    return 1 if failed else 0


def _environment() -> ClusterEnvironment:
    """How this process was started, as Lightning sees it."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect():
        return SLURMEnvironment()
    return LightningEnvironment()
