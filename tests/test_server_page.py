"""The page in a browser: upload, see, switch a modality off, spoil, explain, take home; without any script at fault."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.served import TOKEN, Served, serving

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="emotiwave[serve] is not installed")
pytest.importorskip("emotiwave_weights_research", reason="emotiwave-weights-research is not installed")
CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
SAMPLE = Path(__file__).parents[1] / "emotiwave" / "sample"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SIZES = {"wide": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("page") / "state", "--workers", "1", token=TOKEN) as found:
        yield found


@pytest.fixture
def browse(served: Served) -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        def browse(size: str) -> Any:
            width, height = SIZES[size]
            context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
            context.set_default_timeout(30_000)
            page = context.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
            page.goto(served.address)
            return page, faults

        yield browse
        browser.close()


def ask(page: Any) -> None:
    page.click("#analyse")
    playwright.expect(page.locator("#status")).to_have_text("Done.", timeout=30_000)


@pytest.mark.parametrize("size", SIZES)
def test_a_clip_is_uploaded_and_its_answer_changes_without_a_modality(browse: Any, size: str, tmp_path: Path) -> None:
    page, faults = browse(size)
    page.set_input_files("#files", [SAMPLE / "sample.mp4", SAMPLE / "sample.srt"])
    page.click("#analyse")
    page.wait_for_selector("#error:not([hidden])")
    assert "a token is needed" in page.inner_text("#error")
    assert any("401" in fault for fault in faults)
    faults.clear()
    page.fill("#token", TOKEN)
    ask(page)
    assert page.inner_text("#decision").startswith("happiness · ")
    sure = page.inner_text("#decision")
    assert page.locator(".modality input:checked").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.uncheck("#switch-vision")
    assert page.inner_text("#decision") != sure
    assert "switched off" in page.inner_text("#modalities")
    for name in ("text", "audio"):
        page.uncheck(f"#switch-{name}")
    assert page.inner_text("#decision") == "Nothing to judge"
    for name in ("text", "audio", "vision"):
        page.check(f"#switch-{name}")
    assert page.inner_text("#decision") == sure
    assert not requests  # at once: the answers without each were there
    with page.expect_download() as taken:
        page.click("#json")
    taken.value.save_as(tmp_path / "answer.json")
    assert json.loads((tmp_path / "answer.json").read_text())["decision"] == "happiness"
    with page.expect_download() as taken:
        page.click("#png")
    taken.value.save_as(tmp_path / "answer.png")
    with Image.open(tmp_path / "answer.png") as picture:
        assert picture.size == (1000, 620)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    assert not faults


def test_it_is_spoiled_explained_and_scrubbed_by_the_keyboard(browse: Any) -> None:
    page, faults = browse("wide")
    page.click("#access summary")
    page.fill("#token", TOKEN)
    page.click("#example")
    page.wait_for_selector("#result:not([hidden])")
    playwright.expect(page.locator("#status")).to_have_text("Done.", timeout=30_000)
    before = page.inner_text("#decision")
    page.click("#explain")
    page.wait_for_selector("#words mark")
    assert page.locator("#words mark", has_text="wonderful").count() == 1
    page.focus("#timeline")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert float(page.get_attribute("#timeline", "aria-valuenow")) == pytest.approx(2.0, abs=0.3)
    assert page.get_attribute("#timeline", "aria-valuetext").startswith("2.0 s: ")
    page.eval_on_selector("#spoil", "details => details.open = true")
    page.fill("#darkness", "1")
    playwright.expect(page.locator("#modalities")).to_contain_text("dark 100 %", timeout=30_000)
    assert page.inner_text("#decision") != before
    assert "darkness:vision=1" in page.inner_text("#warnings")
    page.reload()
    assert page.input_value("#token") == TOKEN  # for this tab
    page.fill("#text", "I am so sad that he died.")
    page.focus("#text")
    page.keyboard.press("Tab")
    ask(page)
    assert page.inner_text("#decision").startswith("sadness")
    assert page.is_hidden("#when")
    assert not faults


def test_what_the_camera_sees_is_recorded_and_analysed(browse: Any) -> None:
    page, faults = browse("phone")
    page.click("#access summary")
    page.fill("#token", TOKEN)
    page.set_input_files("#files", [SAMPLE / "sample.srt"])  # of another clip
    page.click("#camera")
    playwright.expect(page.locator("#camera")).to_have_text("Stop recording")
    page.wait_for_timeout(2000)
    page.click("#camera")
    playwright.expect(page.locator("#chosen span")).to_have_text(["video: recording.webm"])
    ask(page)
    assert "no face" in page.inner_text("#modalities")  # a made picture
    assert page.is_visible("#player")
    assert not faults


def test_every_control_has_a_name_and_nothing_is_loaded_from_elsewhere(browse: Any, served: Served) -> None:
    page, faults = browse("phone")
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.reload()
    nameless = page.evaluate(
        "[...document.querySelectorAll('input, textarea, button, [role=slider], progress, video, audio')]"
        ".filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.innerText?.trim() || ["
        "'player', 'sound'].includes(one.id))).map((one) => one.outerHTML)"
    )
    assert nameless == []
    assert hosts == {served.address.removeprefix("http://")}
    assert page.is_disabled("#camera") is False  # this machine counts as secure
    assert "not what anybody feels" in page.inner_text("body")
    assert not faults
