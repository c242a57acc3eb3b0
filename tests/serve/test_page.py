"""The page as a person uses it, in a real browser."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.served import serving
from leadline.depth import DepthMap
from leadline.io.images import image_size, write_image
from leadline.io.ply import read_ply
from leadline.view import colourise

CHROMIUM = Path("/usr/bin/chromium")
# Software rendering: a test machine has no graphics card.
OPTIONS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
PATIENCE = 240_000


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def metric_teacher(bright_teacher, tmp_path_factory) -> Path:
    """The network of ``bright_teacher``, whose depths are metres."""
    folder = tmp_path_factory.mktemp("metric")
    (folder / "metric.onnx").write_bytes(bright_teacher.read_bytes())
    card = (bright_teacher.parent / "bright.card.yaml").read_text()
    card = card.replace("scale-invariant-depth", "metric-depth\nunit: m").replace("name: bright", "name: metric")
    (folder / "metric.card.yaml").write_text(card)
    return folder / "metric.onnx"


@pytest.fixture(scope="module")
def served(metric_teacher, tmp_path_factory):
    with serving(metric_teacher, tmp_path_factory.mktemp("spool")) as served:
        yield served


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    """128x96 pixels: left half dark and far (1 / 0.25 = 4 m), right half bright and near (1 / 0.85 = 1.18 m)."""
    image = np.full((96, 128, 3), 51, np.uint8)
    image[:, 64:] = 204
    path = tmp_path_factory.mktemp("picture") / "two halves.png"
    write_image(path, image)
    return path


@pytest.fixture(params=SIZES)
def page(request, browser, served):
    """A new tab, which must not have said anything on its console by the end."""
    width, height = SIZES[request.param]
    phone = request.param == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone, accept_downloads=True,
        color_scheme="dark" if phone else "light",
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(served.url)
    page.wait_for_selector("#card dt")
    yield page
    context.close()
    assert said == []


def upload(page, path: Path) -> None:
    page.set_input_files("#file", path)
    page.wait_for_selector("[data-format=png16]:enabled")


def seen(page, selector: str) -> np.ndarray:
    """What a person sees there, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def at(page, selector: str, x: float, y: float) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def downloaded(page, format: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.click(f"[data-format={format}]")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_an_image_from_upload_to_download(page, picture, tmp_path):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    upload(page, picture)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it does not fit the width"

    # The slider: at its left end all is depth, at its right end all is image.
    page.fill("#share", "1000")
    image = seen(page, "#picture")
    height, width = image.shape[:2]
    assert np.abs(image[height // 2, width // 4] - 51).max() <= 2
    page.fill("#share", "0")
    depth = seen(page, "#picture")
    far, near = colourise(np.array([[4.0, 1 / 0.85]]), np.ones((1, 2), bool), 1 / 0.85, 4, quantity="depth")[0]
    assert np.abs(depth[height // 2, width // 4] - far).max() <= 6
    assert np.abs(depth[height // 2, 3 * width // 4] - near).max() <= 6
    page.fill("#share", "250")
    assert np.abs(seen(page, "#picture")[height // 2, width // 8] - 51).max() <= 2
    page.check("[value=overlay]", force=True)
    page.fill("#share", "500")
    mixed = (51 + far.astype(int)) / 2
    assert np.abs(seen(page, "#picture")[height // 2, width // 4] - mixed).max() <= 6

    # The distance, by the pointer and by the keyboard.
    page.mouse.move(*at(page, "#picture", 0.25, 0.5))
    assert page.inner_text("#reading") == "4.00 m"
    page.mouse.move(*at(page, "#picture", 0.75, 0.5))
    assert page.inner_text("#reading") == "1.18 m"
    assert page.inner_text("#tag") == "1.18 m"
    page.focus("#picture")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowLeft")
    assert page.inner_text("#reading") == "4.00 m"

    # The point cloud, turned by a drag and by keys, and back again.
    page.check("[value=points]", force=True)
    page.wait_for_timeout(500)
    front = seen(page, "#cloud")
    assert (np.abs(front - 204).max(-1) < 3).mean() > 0.05, "no bright points are seen"
    page.mouse.move(*at(page, "#cloud", 0.4, 0.4))
    page.mouse.down()
    page.mouse.move(*at(page, "#cloud", 0.6, 0.5), steps=3)
    page.mouse.up()
    page.wait_for_timeout(300)
    turned = seen(page, "#cloud")
    assert (np.abs(turned - front).max(-1) > 20).mean() > 0.05
    page.focus("#cloud")
    page.keyboard.press("Home")
    page.wait_for_timeout(300)
    assert (np.abs(seen(page, "#cloud") - front).max(-1) > 20).mean() < 0.01

    # What is taken home is what the service gives.
    png = downloaded(page, "png16", tmp_path)
    assert png.name == "two halves.depth.png"
    depth = DepthMap.load(png)
    assert (str(depth.kind), depth.unit) == ("metric-depth", "m")
    assert depth.values[48, 32] == pytest.approx(4, rel=1e-3)
    assert DepthMap.load(downloaded(page, "npz", tmp_path)).shape == (96, 128)
    assert image_size(downloaded(page, "colour", tmp_path)) == (96, 128)
    points, _ = read_ply(downloaded(page, "ply", tmp_path))
    assert len(points) == 96 * 128


def test_a_video_from_upload_to_cancel_and_to_its_result(page, clip):
    page.set_input_files("#file", clip)
    page.wait_for_selector("#cancel:visible")
    page.click("#cancel")
    page.wait_for_selector("#welcome:visible")
    page.set_input_files("#file", clip)
    page.wait_for_selector("#clipfiles button")
    with page.expect_download() as download:
        page.click("#clipfiles button")
    assert download.value.suggested_filename == "clip.depth.mp4"


def test_the_camera_is_seen_live_and_frozen(page):
    page.click("#live")
    page.wait_for_selector("[data-format=png16]:enabled")
    page.click("#freeze")
    page.wait_for_selector("#freeze", state="hidden")
    page.mouse.move(*at(page, "#picture", 0.5, 0.5))
    assert page.inner_text("#reading").endswith(" m")


def test_what_is_no_image_is_said_and_the_page_goes_on(browser, served, picture, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(served.url)
    page.wait_for_selector("#card dt")
    page.set_input_files("#file", tmp_path / "text.png")
    page.wait_for_selector("#problem:visible")
    assert page.inner_text("#problem") == "image: not a picture that can be read"
    upload(page, picture)
    assert page.locator("#problem").is_hidden()
    page.close()


def test_a_token_is_asked_for_once(browser, metric_teacher, picture, tmp_path):
    with serving(metric_teacher, tmp_path, "--token", "secret") as served:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(served.url)
        page.fill("#token", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#card dt")
        upload(page, picture)
        page.close()


def test_every_control_has_a_name(page):
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, canvas[tabindex], progress")].filter((each) =>
          !(each.labels?.length || each.ariaLabel || each.textContent.trim())).map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    assert page.get_attribute("html", "lang") == "en"
