"""The page of a benchmark: tables, every result with its video, and what failed."""

import json
from pathlib import Path

import pytest

from ditflow.benchmark.jobs import read_results
from ditflow.benchmark.tables import write_tables
from ditflow.cli import main
from ditflow.pages.benchmark import write_benchmark_page
from tests.pages.browser import CHROMIUM, browse
from tests.pages.parsing import Page
from tests.pages.test_run import video


def record(folder: Path, method: str, name: str, category: str = "caption", **changes) -> dict:
    """File a result as a benchmark does, with its video unless it failed."""
    order = len(list(folder.glob("results/**/*.json")))
    file = Path("results", "rope", f"m{method.encode().hex()}", name, f"{category}-seed0.mp4")
    made = {
        **{"key": "k", "order": order, "file": str(file), "backbone": "rope", "method": method},
        **{
            "video": name,
            "fitted": category,
            "category": category,
            "prompt": f"the {category} of {name[-1]}",
        },
        **{"reused": False, "seed": 0, "tracker": "lucas-kanade", "clip": "c", "grid": 5},
    } | changes
    if "error" not in made:
        made |= {"seconds": 1.0, "scores": {"mf": 0.5, "iq": 0.75}}
        video(folder / made["file"], 5)
    if not (folder / "references" / f"{name}.mp4").exists():
        video(folder / "references" / f"{name}.mp4", 5)
    path = folder / file.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    return made


def choices(page: Page) -> dict:
    return json.loads(page.code[page.code.index('{"backbones"') :].partition("\n")[0])


@pytest.fixture
def folder(tmp_path) -> Path:
    for method in ("plain", "<b>ours</b> #1"):
        for name in ("clip-1", "clip-2"):
            record(tmp_path, method, name)
    record(tmp_path, "broken", "clip-1", error="ValueError: </script><script>alert(1)</script>")
    return tmp_path


def test_it_has_tables_results_and_failures(folder):
    write_tables(read_results(folder), folder, "small")
    page = Page(write_benchmark_page(folder))
    assert "small" in page.text
    assert "5 results, 1 of them failed" in page.text
    assert "0.500 [0.500, 0.500]" in page.text
    assert "<b>ours</b> #1" in page.text
    assert "ValueError: </script><script>alert(1)</script>" in page.text
    assert not page.all("b")
    assert not page.all("video")  # they are loaded when they are chosen
    made = choices(page)
    assert [result["name"] for result in made["results"]] == [
        *("plain", "plain", "<b>ours</b> #1", "<b>ours</b> #1", "broken")
    ]
    assert [result["file"] is None for result in made["results"]] == [False] * 4 + [True]
    assert made["videos"] == {name: f"references/{name}.mp4" for name in ("clip-1", "clip-2")}
    assert made["results"][0]["scores"] == "MF 0.500, IQ 0.750"


def test_it_has_settings_losses_and_flows_where_they_were_kept(folder, tmp_path):
    page = Page(write_benchmark_page(folder))
    assert "manifest.yaml" not in page.text
    assert {result["curve"] for result in choices(page)["results"]} == {None}
    assert {result["flow"] for result in choices(page)["results"]} == {None}

    (tmp_path / "manifest.yaml").write_text("methods: {<b>ours</b>: []}")
    record(tmp_path, "fitted", "clip-1", losses=[2.0, 1.5, 1.0])
    for odd in (
        [2.0, "x"],
        [2.0, float("nan")],
        [1e308, -1e308],
        [1.0],
        3,
        [1.0] * 20_000,
        [True, False],
    ):
        record(tmp_path, f"odd {odd!s:.20}", "clip-1", losses=odd)
    made = next((tmp_path / "results/rope").glob(f"m{b'fitted'.hex()}/clip-1/*.mp4"))
    made.with_suffix(".png").write_bytes(b"x")
    page = Page(write_benchmark_page(tmp_path))
    assert "methods: {<b>ours</b>: []}" in page.text
    shown = {result["name"]: result for result in choices(page)["results"]}
    assert shown["fitted"]["curve"] == {
        "line": "0.0,1.0 50.0,12.0 100.0,23.0",
        "text": "loss 2 to 1",
    }
    assert shown["fitted"]["flow"].endswith("clip-1/caption-seed0.png")
    assert all(shown[name]["curve"] is None for name in shown if name.startswith("odd"))


def test_reused_results_say_of_which_prompt(tmp_path):
    record(tmp_path, "plain", "clip-1", "scene", reused=True, fitted="caption")
    (result,) = choices(Page(write_benchmark_page(tmp_path)))["results"]
    assert result["name"] == "plain, from caption"


def test_records_that_point_elsewhere_or_are_not_whole_are_left_out(folder):
    outside = video(folder.parent / "outside.mp4")
    for method, file in (("up", "../outside.mp4"), ("absolute", str(outside))):
        made = record(folder, method, "clip-1")
        path = folder / made["file"]
        path.with_suffix(".json").write_text(json.dumps(made | {"file": file}))
    (folder / "results" / "half.json").write_text('{"key": 1}')
    results = choices(Page(write_benchmark_page(folder)))["results"]
    assert {result["name"] for result in results} == {"plain", "<b>ours</b> #1", "broken"}
    assert len(results) == 5


def test_a_benchmark_that_has_nothing_yet_has_a_page(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    assert main(["page", str(tmp_path)]) == 0
    assert "No result is there yet" in Page(tmp_path / "index.html").text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_the_first_references_results(folder):
    dom = browse(write_benchmark_page(folder))
    assert dom.count("<video") == 3  # the reference and two methods
    assert "references/clip-1.mp4" in dom
    assert "ValueError: &lt;/script&gt;" in dom
