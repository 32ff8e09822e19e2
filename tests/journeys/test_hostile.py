"""Commands given damaged and made-up files, as a user types them: done, or refused in one line.

`pytest -m slow tests/journeys/test_hostile.py` tries thousands. Readers of files have tests of
their own.
"""

import copy
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ditflow import DitflowError
from ditflow.app.remembered import prompts_of, remembered
from ditflow.benchmark.manifest import Manifest
from ditflow.cli import main
from ditflow.commands.benchmark import benchmark_parser
from ditflow.embedding.publishing import read_picture
from ditflow.pages.event_files import read_events
from ditflow.rating.answers import read_answers
from ditflow.rating.study import Study, read_study
from ditflow.settings.options import manifest_path, resolve_configs
from ditflow.video.masks import read_mask
from ditflow.video.reading import open_footage, read_video
from tests.embedding.test_header import HEADER, ODD, TENSORS, paths_of, write
from tests.mutation import mutated
from tests.pages.test_benchmark import record
from tests.pages.test_run import HOSTILE, events, fit_folder, predict_folder
from tests.rating.test_rating import answered

OF_TEXT = [*ODD, HOSTILE, "../x", "a/../../x", "\0", [None], {"a": [1]}, -(10**30), 1e-320]
COUNTS = [60, pytest.param(500, marks=pytest.mark.slow)]


def changed(content, chance: random.Random):
    """Plain values with something odd in the place of some of them, taken out or put in."""
    changed = copy.deepcopy(content)
    for _ in range(chance.choice([1, 1, 2])):
        *above, key = chance.choice([place for place in paths_of(changed) if place])
        inside = changed
        for step in above:
            inside = inside[step]
        kind = chance.randrange(4)
        if kind == 0:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict):
            inside[chance.choice(["extra", "", "class_path", "../x"])] = copy.deepcopy(
                chance.choice(OF_TEXT)
            )
        else:
            inside[key] = copy.deepcopy(chance.choice(OF_TEXT))
        if not changed:
            break
    return changed


def tried(count: int, given: Callable[[random.Random], list[str]], capsys) -> Counter:
    """Run a command so often; how often it ended with each status."""
    chance, statuses = random.Random(count), Counter()
    for number in range(count):
        status = main(given(chance))
        said = capsys.readouterr().err
        statuses[status] += 1
        assert status in (0, 1, 2), number
        errors = [line for line in said.splitlines() if line.startswith("ditflow: error: ")]
        assert len(errors) == (status == 2)
        assert all(len(line) < 4000 and line.isprintable() for line in errors)
        assert "Traceback" not in said
    return statuses


def refused(count: int, attempt: Callable[[random.Random], object]) -> int:
    """Do something so often; how often it was refused in a line."""
    chance, lines = random.Random(count), []
    for _ in range(count):
        try:
            attempt(chance)
        except DitflowError as error:
            lines.append(str(error))
    assert all(len(line) < 4000 for line in lines)
    return len(lines)


def spoil(path: Path, content, chance: random.Random) -> None:
    """Write JSON with damaged bytes or odd values."""
    text = json.dumps(content).encode()
    if chance.random() < 0.4:
        path.write_bytes(mutated(text, chance))
    else:
        path.write_text(json.dumps(changed(content, chance)))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A benchmark's, of hostile prompts."""
    folder = tmp_path_factory.mktemp("results")
    for method in ("one", "two"):
        for name in ("clip-1", "clip-2"):
            record(folder, method, name, prompt=HOSTILE)
    return folder


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("command", ["page", "rate"])
def test_results(command, count, results, tmp_path, capsys):
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    path = sorted(folder.rglob("*.json"))[0]
    good = json.loads(path.read_text())
    out = tmp_path / "study"

    def given(chance: random.Random) -> list[str]:
        spoil(path, good, chance)
        shutil.rmtree(out, ignore_errors=True)
        if command == "page":
            return ["page", str(folder)]
        return ["rate", "make", "--results", str(folder), "--output", str(out), "--pairs", "1"]

    statuses = tried(count, given, capsys)
    assert statuses[0] > count / 4
    made = {p for p in tmp_path.rglob("*") if p.is_file() and out not in p.parents} - before
    assert {p.name for p in made} <= {"index.html"}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("spoiled", ["answers", "key"])
def test_answers_and_their_key(spoiled, count, results, tmp_path, capsys):
    make = ["rate", "make", "--results", str(results), "--output", str(tmp_path), "--pairs", "2"]
    assert main(make) == 0
    key = tmp_path / "key.json"
    answers = answered(tmp_path / "answers.json", read_study(key), "ann")
    path = {"answers": answers, "key": key}[spoiled]
    good = json.loads(path.read_text())

    def given(chance: random.Random) -> list[str]:
        spoil(path, good, chance)
        out = tmp_path / "figure"
        return ["rate", "figure", str(answers), "--key", str(key), "--output", str(out)]

    statuses = tried(count, given, capsys)
    assert statuses[2] > count / 2


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", ["config.yaml", "motion.safetensors", "events", "record"])
def test_folders_of_runs(name, count, tmp_path, capsys):
    folder = (
        predict_folder(tmp_path / "run", ["a", HOSTILE])
        if name == "record"
        else fit_folder(tmp_path / "run", prompts=[HOSTILE])
    )
    write(folder / "motion.safetensors", asdict(HEADER) | {"prompts": [HOSTILE]})
    events(folder, {0: (0, 1.0), 1: (0, 0.5), 2: (1, 0.25)}, {0: 0.5})
    paths = {
        "events": next((folder / "tensorboard").iterdir()),
        "record": folder / "prompt-0-seed3.json",
    }
    path = paths.get(name, folder / name)
    good = path.read_bytes()

    def given(chance: random.Random) -> list[str]:
        path.write_bytes(mutated(good, chance))
        return ["page", str(folder)]

    statuses = tried(count, given, capsys)
    assert statuses[0] > 0


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("command", ["inspect", "predict", "push"])
def test_embeddings(command, count, tmp_path, capsys):
    path = tmp_path / "motion.safetensors"
    good = write(path, asdict(HEADER)).read_bytes()
    header = json.loads(json.dumps(asdict(HEADER)))

    def given(chance: random.Random) -> list[str]:
        if chance.random() < 0.5:
            path.write_bytes(mutated(good, chance))
        else:
            write(path, changed(header, chance))
        if command == "predict":  # as far as it gets without a backbone
            chosen = ["--embedding", str(path), "--prompts", "a", "--output", str(tmp_path)]
            return ["predict", *chosen, "--ckpt_path", "refused"]
        return [command, str(path), *(["ada/motion"] if command == "push" else [])]

    statuses = tried(count, given, capsys)
    assert statuses[2] > count / 4
    assert {p.name for p in tmp_path.iterdir()} == {"motion.safetensors"}


@pytest.mark.parametrize("count", [2, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ["predict", "test"])
def test_embeddings_that_pass_for_whole(command, count, reference_video, tmp_path, capsys):
    """Odd, but allowed, where the backbone is loaded and compared with them."""
    path, out = tmp_path / "motion.safetensors", tmp_path / "out"
    names = [field.name for field in fields(HEADER)]
    values = ["x", 1, 7, 999, "sprites-sincos", HOSTILE, 1.5, True, False, [1], [999, 499]]

    def given(chance: random.Random) -> list[str]:
        write(path, asdict(HEADER) | {chance.choice(names): chance.choice(values)}, TENSORS)
        chosen = ["--embedding", str(path), "--prompts", "a", "--output", str(out)]
        return [command, *chosen, *(["--video", str(reference_video)] * (command == "test"))]

    statuses = tried(count, given, capsys)
    assert statuses == {2: count}  # it has no backbone's fingerprint


MANIFEST = {
    "references": {
        "class_path": "ditflow.benchmark.VideoList",
        "init_args": {
            "root": ".",
            "videos": [
                {"name": "v", "video": "v.mp4", "caption": "a", "subject": "b", "scene": "c"}
                | {"mask": "v.mp4", "start_frame": 0, "stride": 1, "seed": 3}
            ],
        },
    },
    "backbones": {"rope": ["sprites-rope", {"model": {"num_inference_steps": 3}}]},
    "methods": {"ours": ["ditflow-latents"], "plain": ["backbone"]},
    "categories": ["caption", "scene"],
    "seeds": [0, 1],
    "reuse": True,
    "tracker": "lucas-kanade",
    "clip": "sprites-clip",
    "grid": 8,
}


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_manifests(count, tmp_path, monkeypatch):
    """Up to the first job."""
    monkeypatch.chdir(tmp_path)
    Path("v.mp4").touch()
    path = tmp_path / "manifest.yaml"

    def attempt(chance: random.Random) -> None:
        text = yaml.safe_dump(MANIFEST)
        if chance.random() < 0.4:
            path.write_bytes(mutated(text.encode(), chance))
        else:
            path.write_text(yaml.safe_dump(changed(MANIFEST, chance)))
        given = resolve_configs(["--config", str(path), "--output", "out"], manifest_path)
        parser = benchmark_parser()
        parsed = parser.instantiate(parser.parse_args(given))
        manifest = Manifest(**{field.name: parsed[field.name] for field in fields(Manifest)})
        for job in manifest.jobs(tmp_path / "out"):
            for result in job.results():
                assert tmp_path / "out" in result.path(tmp_path / "out").resolve().parents
                result.key({})

    assert count / 4 < refused(count, attempt) < count
    assert {path.name for path in tmp_path.iterdir()} <= {"manifest.yaml", "out", "v.mp4"}


def picture(kind: str) -> bytes:
    """A picture of 24x16."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    file = BytesIO()
    image = Image.fromarray(pixels)
    image = image.quantize(16) if kind == "gif" else image
    image.save(file, {"jpg": "JPEG"}.get(kind, kind.upper()))
    return file.getvalue()


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "webp"])
def test_pictures(kind, count, tmp_path):
    """As frames, masks and for a model card."""
    good, folder = picture(kind), tmp_path / "frames"
    folder.mkdir()
    for index in range(2):
        (folder / f"{index}.{kind}").write_bytes(good)

    def attempt(chance: random.Random) -> None:
        path = folder / f"1.{kind}"
        path.write_bytes(mutated(good, chance))
        read = chance.randrange(3)
        if read == 0:
            read_video(folder)
        elif read == 1:
            read_mask(path, open_footage(folder), (16, 24))
        else:
            read_picture(path)

    assert refused(count, attempt) > count / 20


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, '"\\ud800"'])
def test_json_that_python_takes_badly(content, results, tmp_path, capsys):
    """Nested deeper than Python calls, or text that cannot be written."""
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    sorted(folder.rglob("*.json"))[0].write_text(content)
    run = predict_folder(tmp_path / "run", ["a"])
    (run / "prompt-0-seed3.json").write_text(content)
    (tmp_path / "key.json").write_text(content)
    study = Study("s", {})
    with pytest.raises(DitflowError, match="cannot be read as JSON"):
        read_answers([tmp_path / "key.json"], study)
    figure = ["rate", "figure", "a.json", "--key", str(tmp_path / "key.json")]
    for given, status in (
        (["page", str(folder)], 0),
        (["page", str(run)], 0),
        ([*figure, "--output", str(tmp_path / "out")], 2),
    ):
        assert main(given) == status
        assert "Traceback" not in capsys.readouterr().err
    logs = tmp_path / "app" / "logs"
    logs.mkdir(parents=True)
    for name in ("fit-1.json", "fit-1.log"):
        (logs / name).write_text(content)
    assert remembered(tmp_path / "app") == []


def test_text_that_cannot_be_written_has_no_page(tmp_path, capsys):
    folder = predict_folder(tmp_path / "run", ["a"])
    (folder / "prompt-0-seed3.json").write_text('{"prompt": "a \\ud800", "seed": 3}')
    (folder / os.fsdecode(b"\xff.txt")).touch()
    assert main(["page", str(folder)]) == 0
    with (folder / "config.yaml").open("a") as file:
        file.write('more: "\\ud800"\n')
    assert main(["page", str(folder)]) == 2
    assert "cannot be read as settings" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0, 1e30, 3e38])
def test_events_of_odd_numbers(value, tmp_path):
    folder = fit_folder(tmp_path / "run")
    events(folder, {0: (0, 1.0), 1: (value, 0.5), 2: (1, value), 3: (1, 0.25)}, {0: 0.5})
    assert main(["page", str(folder)]) == 0
    kept = read_events(folder / "tensorboard").losses[0]
    assert kept.values == [1.0, -1.0, 0.25][:: 1 if value == -1 else 2]
    assert set(kept.steps) <= {0, 1, 1.5}


def test_a_prompt_list_of_an_earlier_start_that_is_none(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "fit-1.log").touch()
    record = {"kind": "fit", "args": ["fit", "--prompts=[[["], "started": 1.0, "cwd": "/"}
    (logs / "fit-1.json").write_text(json.dumps(record))
    assert [prompts_of(job) for job in remembered(tmp_path)] == [[]]
    for odd in (float("nan"), 10**400):
        (logs / "fit-1.json").write_text(json.dumps(record | {"started": odd}))
        assert remembered(tmp_path) == []
