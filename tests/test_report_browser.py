"""The report in a browser: nothing is requested, nothing complains, tables sort, narrow screens do not scroll."""

import json
import math
import os
import re
import shutil
from pathlib import Path

import pytest
from report_support import EVIL, make_run, records
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
CONTRAST = """
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = (e) => {
  const colour = getComputedStyle(e).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" && e.parentElement ? background(e.parentElement) : colour;
};
const texts = "h1, p, a, li, caption span, th, td, small, button, dt, dd, code, summary, figcaption";
return [...document.querySelectorAll(texts)].map((e) => {
  const [low, high] = [luminance(getComputedStyle(e).color), luminance(background(e))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), records())


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if not (BROWSER and DRIVER):
        assert "CI" not in os.environ, "chromium and chromedriver are missing: apt-get install chromium chromium-driver"
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in [*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, page):
    """A browser that shows the report on a wide, light screen."""
    look(chromium)
    chromium.get(page.as_uri())
    return chromium


def look(chromium, width=1280, scheme="light"):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def head(browser, name):
    (found,) = [h for h in browser.find_elements(By.CSS_SELECTOR, "#leaderboard thead th") if name == label(h)]
    return found


def label(element):
    return element.get_attribute("textContent").strip()


def column(browser, position):
    cells = browser.find_elements(By.CSS_SELECTOR, f"#leaderboard tbody tr > :nth-child({position})")
    return [label(cell) for cell in cells]


def numbers(browser, position):
    """Return a column's numbers, and NaN of cells without one."""
    found = (re.match(r"[\d.]+", text) for text in column(browser, position))
    return [float(text[0]) if text else math.nan for text in found]


def test_nothing_is_requested_and_nothing_complains(browser, page):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    urls = {of["request"]["url"] for of in requests if of["documentURL"] == page.as_uri()}  # not the browser's own
    assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}
    assert browser.get_log("browser") == []


def test_a_plugin_named_as_a_script_does_nothing(browser):
    assert browser.title == "by-hand: report of a run of irmbench"
    assert EVIL in browser.find_element(By.ID, "leaderboard").text


def test_a_table_sorts_by_a_click_and_back_by_another(browser):
    button = head(browser, "Y-noise varies").find_element(By.TAG_NAME, "button")
    before = sorted(number for number in numbers(browser, 6) if not math.isnan(number))
    for order, direction in ((before, "ascending"), (before[::-1], "descending")):
        button.click()
        *found, last = numbers(browser, 6)
        assert found == order
        assert math.isnan(last)  # what has no number is last either way
        assert head(browser, "Y-noise varies").get_attribute("aria-sort") == direction


def test_a_table_sorts_from_the_keyboard(browser):
    button = head(browser, "solver").find_element(By.TAG_NAME, "button")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    assert column(browser, 2) == sorted(column(browser, 2))
    button.send_keys(Keys.SPACE)
    assert column(browser, 2) == sorted(column(browser, 2), reverse=True)
    assert browser.switch_to.active_element == button


def test_only_one_column_is_said_to_be_sorted(browser):
    for name in ("method", "solver"):
        head(browser, name).find_element(By.TAG_NAME, "button").click()
    assert [label(h) for h in browser.find_elements(By.CSS_SELECTOR, "[aria-sort]")] == ["solver"]


def test_the_first_tab_stop_skips_to_the_results(browser):
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert label(link) == "Skip to the results"
    assert link.rect["x"] >= 0
    link.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen(browser, width):
    look(browser, width)
    page, screen = browser.execute_script(
        "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
    )
    assert page <= screen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, scheme):
    look(browser, scheme=scheme)
    assert min(browser.execute_script(CONTRAST)) >= 4.5


def test_light_and_dark_differ_and_figures_stay_on_white(browser):
    grounds = "return ['body', '.card'].map((s) => getComputedStyle(document.querySelector(s)).backgroundColor)"
    (light, card), (dark, dark_card) = (
        (look(browser, scheme=scheme), browser.execute_script(grounds))[1] for scheme in ("light", "dark")
    )
    assert light != dark
    assert card == dark_card == "rgb(255, 255, 255)"


def test_without_scripts_everything_can_be_read(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        assert browser.find_elements(By.TAG_NAME, "button") == []
        assert "vrex" in browser.find_element(By.ID, "leaderboard").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_data_can_be_saved(browser, page, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.find_element(By.LINK_TEXT, "leaderboard.csv").click()
    saved = tmp_path / "leaderboard.csv"
    WebDriverWait(browser, 20).until(lambda _: saved.exists())
    assert saved.read_bytes() == Path(page).with_name("leaderboard.csv").read_bytes()
