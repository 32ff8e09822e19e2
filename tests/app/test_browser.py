"""The page in a real browser: upload, look at the motion, fit, play, download, reuse, cancel."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from ditflow import MotionEmbedding
from ditflow.video.reading import read_video
from tests.journeys.test_offline import GUARD

webdriver = pytest.importorskip("selenium.webdriver")
pytest.importorskip("gradio")
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    DRIVER is None, reason="needs Chromium: apt-get install chromium chromium-driver"
)

QUICK = {
    "model": {"num_inference_steps": 6, "guided_share": 0.4, "optimization_steps": 2},
    "data": {"num_frames": 9},
}
PROMPTS = ("a pink cross on a teal background", "<b>a ring</b> on a ${1+1} background")
PATIENCE = 240
"""Seconds that anything may take: other work may share the machine."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def address(root):
    """Of an app in a process of its own, as a user starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (root / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    command = [sys.executable, "-m", "ditflow.cli", "app", "--port", str(port)]
    command += ["--config", "quick.yaml", "--max-upload-mb", "1", "--max-frames", "100"]
    (root / "guard").mkdir()
    (root / "guard" / "sitecustomize.py").write_text(GUARD)
    guarded = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "guard"), str(Path.cwd())])}
    errors = (root / "errors").open("w")
    app = subprocess.Popen(
        command, cwd=root, env=guarded, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    try:
        said = app.stdout.readline()
        assert said.startswith(f"ditflow app: http://127.0.0.1:{port}/"), said
        yield f"http://127.0.0.1:{port}/"
    finally:
        app.terminate()
        assert app.wait(PATIENCE) == 0
        errors.close()
    logs = [root / "errors", *(root / "runs" / "app" / "logs").glob("*")]
    said = "".join(path.read_text() for path in logs)
    assert "REACHED FOR" not in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def browser(root):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--window-size=1280,1000", f"--user-data-dir={root / 'profile'}"),
    ):
        options.add_argument(argument)
    several = {"profile.default_content_setting_values.automatic_downloads": 1}
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(root / "downloads"), **several}
    )
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser, address):
    """The page with a reference uploaded."""
    browser.get(address)
    until(browser, "#reference input[type=file]")
    return browser


def until(browser, selector: str, condition=lambda element: True):
    """The first element that a selector finds, once it fulfils a condition."""

    def found(driver):
        elements = driver.find_elements(By.CSS_SELECTOR, selector)
        return next((element for element in elements if condition(element)), None)

    # What shows progress is made anew all the time.
    stale = [StaleElementReferenceException]
    return WebDriverWait(browser, PATIENCE, 0.1, stale).until(found, selector)


def job(browser, name: str, state: str):
    return until(browser, f'#status [data-job="{name}"][data-state="{state}"]')


def upload(browser, place: str, path: Path) -> None:
    browser.find_element(By.CSS_SELECTOR, f"{place} input[type=file]").send_keys(str(path))


def fill(browser, place: str, text: str) -> None:
    field = until(browser, f"{place} :is(textarea, input)")
    field.clear()
    field.send_keys(text)


def click(browser, selector: str) -> None:
    until(browser, selector, lambda element: element.is_enabled())
    browser.execute_script(f"document.querySelector({selector!r}).click()")


def plays(browser, selector: str) -> None:
    """Whether a video has pictures and goes on by itself."""
    script = "const v = document.querySelector(arguments[0]); return v && [v.readyState, "
    script += "v.duration, v.videoWidth, v.currentTime]"
    state = lambda: browser.execute_script(script, selector)  # noqa: E731
    WebDriverWait(browser, PATIENCE, 0.1).until(lambda _: (state() or [0])[0] >= 2)
    _ready, duration, width, first = state()
    assert duration > 0.5
    assert width > 0
    WebDriverWait(browser, PATIENCE, 0.05).until(lambda _: state()[3] != first)


def text_of(browser, selector: str, expected: str) -> str:
    """The text of an element, once it holds what is expected."""
    return until(browser, selector, lambda element: expected in element.text).text


@pytest.fixture(scope="module")
def fitted(page, reference_video, root) -> Path:
    """The folder of a fit made on the page, positions of an uploaded reference."""
    upload(page, "#reference", reference_video)
    until(page, "#reference video")
    text_of(page, "#reference-answer [role=status]", "Taken as runs/app/references/reference-")
    click(page, "#show-motion")
    plays(page, "#motion video")
    assert "block 6 (guided)" in page.execute_script(
        "return document.querySelector('#motion pre').textContent"
    )
    said = page.find_element(By.CSS_SELECTOR, "#motion .faint").text
    assert said.startswith("reference-")
    assert "9 of 25 frames taken" in said
    fill(page, "#prompts", "a blue square on a white background")
    assert "circle, square" in page.find_element(By.CSS_SELECTOR, "#prompts").text
    click(page, "#target input[value=positions]")
    click(page, "#fit")
    job(page, "fit-1", "finished")
    return root / "runs" / "app" / "fit-1"


def test_a_fit_is_an_ordinary_fit_and_plays(page, fitted, reference_video):
    (typed,) = (fitted / "commands.txt").read_text().splitlines()
    assert text_of(page, "#status pre", "ditflow fit") == typed
    assert typed.endswith("--target=positions --output runs/app/fit-1")
    assert {path.name for path in fitted.iterdir()} == {
        *("motion.safetensors", "video.mp4", "reference.mp4", "comparison.mp4", "config.yaml"),
        *("tensorboard", "checkpoints", "commands.txt", "index.html", "progress.json"),
    }
    names = [video.get_attribute("aria-label") for video in videos(page)]
    assert names == ["reference", "a blue square on a white background"]
    plays(page, "#result figure:nth-of-type(1) video")
    plays(page, "#result figure:nth-of-type(2) video")
    assert len(page.find_elements(By.CSS_SELECTOR, "#result .curve circle")) == 4


def videos(page):
    return page.find_elements(By.CSS_SELECTOR, "#result .videos video")


def test_its_files_are_downloaded(page, fitted, root):
    click(page, "#result a[download='motion.safetensors']")
    got = root / "downloads" / "motion.safetensors"
    WebDriverWait(page, PATIENCE, 0.1).until(lambda _: got.exists())
    assert MotionEmbedding.load(got).header.target == "positions"
    click(page, "#result a[download='video.mp4']")
    got = root / "downloads" / "video.mp4"
    WebDriverWait(page, PATIENCE, 0.1).until(lambda _: got.exists())
    assert read_video(got).shape == (9, 64, 64, 3)


@pytest.mark.slow
def test_its_motion_is_put_into_two_prompts(page, fitted):
    click(page, "[role=tab]:nth-of-type(2)")
    chosen = until(page, "#embeddings input", lambda field: "fit-1" in field.get_attribute("value"))
    assert "positions, a blue square" in chosen.get_attribute("value")
    fill(page, "#new-prompts", "\n".join(PROMPTS))
    click(page, "#predict")
    job(page, "predict-1", "finished")
    until(page, "#result [data-job=predict-1] figure:nth-of-type(3) video")
    assert [video.get_attribute("aria-label") for video in videos(page)] == ["reference", *PROMPTS]
    plays(page, "#result figure:nth-of-type(3) video")
    assert not page.find_elements(By.CSS_SELECTOR, "#result figcaption b")  # prompts are text
    # The fit can be looked at again.
    until(page, "#runs input").click()  # its options are elsewhere on the page
    until(page, "[role=option]", lambda option: option.text.startswith("✓\npredict-1"))
    until(page, "[role=option]", lambda option: "fit-1: a blue" in option.text).click()
    until(page, "#result [data-job=fit-1] figure:nth-of-type(2) video")
    job(page, "fit-1", "finished")


def test_an_uploaded_embedding_is_checked(page, fitted, root):
    click(page, "[role=tab]:nth-of-type(2)")
    (root / "hostile.safetensors").write_bytes(b"\x80\x04no tensors")
    upload(page, "#embedding-upload", root / "hostile.safetensors")
    said = text_of(page, "#predict-answer [role=alert]", "embedding=")
    assert said.startswith("embedding=hostile.safetensors is not a whole safetensors file")
    own = root / "mine.safetensors"
    shutil.copy(fitted / "motion.safetensors", own)
    until(page, "#embedding-upload input[type=file]")
    upload(page, "#embedding-upload", own)
    until(page, "#embeddings input", lambda field: "mine-" in field.get_attribute("value"))


def test_a_page_that_is_loaded_anew_has_what_the_fit_had(page, fitted):
    page.refresh()
    until(page, "#reference video")
    prompts = until(page, "#prompts textarea", lambda field: field.get_attribute("value"))
    assert prompts.get_attribute("value") == "a blue square on a white background"
    until(page, "#target input[value=positions]", lambda choice: choice.is_selected())
    until(page, "#motion video")  # of this reference
    click(page, "#examples button:nth-of-type(1)")
    until(page, "#motion", lambda place: not place.is_displayed())
    click(page, "#examples button:nth-of-type(7)")  # the upload, after those that are drawn
    until(page, "#motion video")


def test_a_bad_reference_is_refused_in_one_line(page, root):
    click(page, "[role=tab]:nth-of-type(1)")
    (root / "broken.mp4").write_bytes(b"no video" * 100)
    clear_reference(page)
    upload(page, "#reference", root / "broken.mp4")
    said = text_of(page, "#reference-answer [role=alert]", "broken.mp4")
    assert said.startswith("video=broken.mp4 has no readable video stream")
    click(page, "#fit")
    text_of(page, "#fit-answer [role=alert]", "video is not given")
    (root / "large.mp4").write_bytes(b"x" * 2**21)
    until(page, "#reference input[type=file]")
    upload(page, "#reference", root / "large.mp4")
    text_of(page, "[data-testid=toast-body]", "exceed the maximum allowed size")


def clear_reference(page) -> None:
    for button in page.find_elements(By.CSS_SELECTOR, "#reference button[aria-label=Clear]"):
        button.click()
    until(page, "#reference input[type=file]")


@pytest.mark.slow
def test_a_running_fit_shows_its_loss_and_is_cancelled(page, root):
    click(page, "[role=tab]:nth-of-type(1)")
    click(page, "#examples button")
    prompt = until(page, "#prompts textarea", lambda field: field.get_attribute("value"))
    assert prompt.get_attribute("value").startswith("a ")
    click(page, "#options button")
    fill(page, "#adam-steps", "500")
    click(page, "#fit")
    until(page, "#status [data-state=running]")
    # Where another is open, it is seen, and a second is not begun.
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    page.get(page_address(page, first))
    until(page, "#status [data-state=running]")
    until(page, "#examples button")
    click(page, "#examples button")
    until(page, "#prompts textarea", lambda field: field.get_attribute("value"))
    click(page, "#fit")
    text_of(page, "#fit-answer [role=alert]", "a fit runs already")
    page.close()
    page.switch_to.window(first)
    until(page, "#result .curve polyline")
    text_of(page, "#status .phase", "Guided step 1 of 2")
    click(page, "#cancel")
    stopped = until(page, "#status [data-state=stopped]")
    assert "--resume runs/app/fit-2" in stopped.text
    assert until(page, "#resume").is_displayed()


def page_address(page, handle: str) -> str:
    new = page.current_window_handle
    page.switch_to.window(handle)
    address = page.current_url
    page.switch_to.window(new)
    return address


def test_nothing_is_loaded_from_elsewhere(page, address):
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert any("assets" in url for url in asked)
    assert [url for url in asked if url.startswith("http") and not url.startswith(address)] == []
    with urllib.request.urlopen(address) as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_only_its_own_output_is_served(address, root):
    def status(path: Path) -> int:
        try:
            with urllib.request.urlopen(f"{address}gradio_api/file={path}") as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    inside = next((root / "runs" / "app" / "references").glob("*.mp4"))
    assert status(inside) == 200
    for outside in (root / "quick.yaml", Path("/etc/passwd"), inside / "../../../../quick.yaml"):
        assert status(outside) == 403
