"""The page in a real browser: dragged, moved by keys, closed, reopened, exported."""

import json
import os
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from experiments.ranking import answers
from experiments.ranking.page import build
from tests.experiments.ranking.small import MODELS, names_of, pictures, study_of

HTML = build(pictures())
STUDY = study_of(HTML)
SHOWN = [[copy["id"] for copy in trial["copies"]] for trial in STUDY["trials"]]


class Page:
    """The page in a browser of its own."""

    def __init__(self, folder, *, phone=False):
        browser = shutil.which("chromium")
        driver = shutil.which("chromedriver")
        if browser is None or driver is None:
            missing = "chromium" if browser is None else "chromedriver"
            pytest.skip(f"{missing} is not installed: `make browser` installs it")
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        # As root, as in a container, Chromium starts without its sandbox only.
        options.add_argument("--no-sandbox")
        options.add_argument("--headless=new")
        options.add_argument("--disable-dev-shm-usage")
        options.add_argument("--window-size=1440,900")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.downloads = folder / "downloads"
        options.add_experimental_option(
            "prefs", {"download.default_directory": str(self.downloads)}
        )
        if phone:
            metrics = {"width": 390, "height": 844, "pixelRatio": 2.625, "touch": True}
            options.add_experimental_option(
                "mobileEmulation", {"deviceMetrics": metrics}
            )
        # Both paths are given, so that selenium looks for nothing to download.
        service = Service(driver, env={**os.environ, "SE_OFFLINE": "true"})
        self.driver = webdriver.Chrome(options=options, service=service)
        path = folder / "page.html"
        path.write_text(HTML)
        self.driver.get(path.as_uri())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, id):
        self.find(f"#{id}").click()

    def order(self):
        script = "return [...document.querySelectorAll('.copy')].map(c => c.dataset.id)"
        return self.driver.execute_script(script)

    def copy(self, id):
        return self.find(f'.copy[data-id="{id}"] .mat')

    def still(self):
        """Waits until nothing glides any more."""
        script = "return document.getAnimations().length === 0"
        WebDriverWait(self.driver, 10).until(lambda d: d.execute_script(script))

    def drag(self, id, onto, *, kind=interaction.POINTER_MOUSE):
        self.still()
        start, end = self.copy(id), self.copy(onto)
        actions = ActionBuilder(self.driver, PointerInput(kind, "pointer"), duration=50)
        pointer = actions.pointer_action
        pointer.move_to(start).pointer_down()
        pointer.move_to(start, 15, 10).move_to(end).pointer_up()
        actions.perform()

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def exported(self, button="export"):
        before = set(self.downloads.glob("*.json"))
        self.click(button)

        def new(_):
            # Chromium holds the name with an empty file while it writes another.
            found = set(self.downloads.glob("*.json")) - before
            return {path for path in found if path.stat().st_size}

        return WebDriverWait(self.driver, 10).until(new).pop()


@pytest.fixture
def open_page(tmp_path):
    """Opens pages, and closes them at the end."""
    opened = []

    def opening(**options):
        opened.append(Page(tmp_path, **options))
        return opened[-1]

    yield opening
    for page in opened:
        # A script that fails, or a thing that the page's policy forbids, is a line.
        log = page.driver.get_log("browser")
        page.driver.quit()
        assert not log


def test_a_whole_study(open_page):
    page = open_page()
    assert page.find("#intro").is_displayed()
    assert not page.find("#trial").is_displayed()
    page.find("#name").send_keys("Anna")
    page.click("begin")
    body = page.find("body").text
    assert "Picture 1 of 4" in body
    for name in (*MODELS, "squares"):
        assert name not in body

    # By mouse: the last one to the front, so that the others move up.
    a, b, c = SHOWN[0]
    assert page.order() == [a, b, c]
    page.drag(c, onto=a)
    assert page.order() == [c, a, b]
    page.drag(c, onto=a)
    assert page.order() == [a, c, b]
    expected = [[a, c, b]]
    page.click("confirm")

    # By keyboard alone.
    a, b, c = SHOWN[1]
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element == page.copy(a)
    page.press(Keys.ARROW_RIGHT)
    assert page.order() == [b, a, c]
    assert page.driver.switch_to.active_element == page.copy(a)
    announcement = page.find("#announcement")
    assert announcement.get_attribute("aria-live") == "polite"
    assert announcement.get_property("textContent") == "Copy A: place 2 of 3"
    assert "place 2 of 3" in page.copy(a).get_attribute("aria-label")
    page.press(Keys.END, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert page.order() == [b, a, c]
    page.press(Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.order() == [b, c, a]

    # Not confirmed, and kept all the same, with everything before.
    page.driver.refresh()
    assert "Picture 2 of 4" in page.find("#heading").text
    assert page.find("#count").text == "1 of 4"
    assert page.order() == [b, c, a]
    partial = json.loads(page.exported("export-so-far").read_text())
    assert [trial["order"] for trial in partial["trials"]] == expected
    page.click("confirm")
    expected.append([b, c, a])

    # By the arrows below a copy; the one at the end moves nothing.
    a, b, c = SHOWN[2]
    page.find(f'.copy[data-id="{a}"] [data-by="1"]').click()
    page.still()
    page.find(f'.copy[data-id="{b}"] [data-by="-1"]').click()
    assert page.order() == [b, a, c]
    page.click("back")
    assert page.order() == expected[1]
    page.click("confirm")
    assert page.order() == [b, a, c]
    page.click("confirm")
    expected.append([b, a, c])

    # As shown: a drag that is given up, or comes back, moves nothing.
    a, b, c = SHOWN[3]
    mouse = ActionChains(page.driver, duration=50).click_and_hold(page.copy(a))
    mouse.move_to_element(page.copy(c)).perform()
    assert page.find(".copy.dragged").get_attribute("data-id") == a
    page.press(Keys.ESCAPE)
    ActionChains(page.driver).release().perform()
    assert page.order() == SHOWN[3]
    page.still()
    page.drag(b, onto=b)
    assert page.order() == SHOWN[3]
    expected.append(SHOWN[3])
    page.click("confirm")
    assert page.find("#end").is_displayed()
    assert page.find("#count").text == "4 of 4"

    path = page.exported()
    exported = json.loads(path.read_text())
    assert path.name == f"answers-{STUDY['id']}-{exported['rater']}-4of4.json"
    assert exported["name"] == "Anna"
    assert [trial["order"] for trial in exported["trials"]] == expected
    assert [trial["shown"] for trial in exported["trials"]] == SHOWN
    images = [trial["image"] for trial in STUDY["trials"]]
    assert [trial["image"] for trial in exported["trials"]] == images
    # END, UP, HOME and two DOWN after the first; the move right of the last is none.
    assert [trial["moves"] for trial in exported["trials"]] == [2, 6, 1, 0]
    assert all(trial["milliseconds"] > 0 for trial in exported["trials"])

    found = answers.read([path])
    names = names_of(STUDY)
    for ranking, order in zip(found.rankings, expected):
        by_place = [found.models[i] for i in ranking.argsort()]
        assert by_place == [names[id] for id in order]
    assert found.untouched == 1 and set(found.raters) == {"Anna"}


def test_a_finger_on_a_phone(open_page):
    page = open_page(phone=True)
    page.click("begin")
    width = "return [document.documentElement.scrollWidth, innerWidth]"
    assert page.driver.execute_script(width) == [390, 390]
    # The original is beside the copies, in the same size, and all are in sight.
    boxes = [page.find("#original .mat").rect]
    boxes += [page.copy(id).rect for id in SHOWN[0]]
    assert {box["width"] for box in boxes} == {boxes[0]["width"]}
    assert boxes[0]["width"] > 120
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert boxes[1]["y"] < boxes[2]["y"] < boxes[3]["y"]
    assert boxes[3]["y"] + boxes[3]["height"] <= page.find("#confirm").rect["y"]

    a, b, c = SHOWN[0]
    page.drag(a, onto=c, kind=interaction.POINTER_TOUCH)
    assert page.order() == [b, c, a]
    page.click("confirm")
    trial = json.loads(page.exported("export-so-far").read_text())["trials"][0]
    assert trial["order"] == [b, c, a] and trial["moves"] == 1


def test_a_changed_answer_counts_when_it_is_confirmed_again(open_page):
    page = open_page()
    page.click("begin")
    for _ in SHOWN:
        page.click("confirm")
    page.click("review")
    page.click("back")
    assert page.find("#count").text == "4 of 4"
    page.copy(SHOWN[2][0]).send_keys(Keys.END)
    page.click("back")
    assert page.find("#count").text == "3 of 4"
    page.click("confirm")
    page.click("back")
    for _ in range(3):
        page.click("confirm")
    assert page.find("#end").is_displayed()
    trials = json.loads(page.exported().read_text())["trials"]
    assert trials[2]["order"] == [*SHOWN[2][1:], SHOWN[2][0]]
    assert trials[1]["order"] == SHOWN[1]


def test_another_person_starts_anew(open_page):
    page = open_page()
    page.click("begin")
    page.copy(SHOWN[0][0]).send_keys(Keys.END)
    for _ in SHOWN:
        page.click("confirm")
    first = json.loads(page.exported().read_text())
    page.click("another")
    page.driver.switch_to.alert.dismiss()
    assert page.find("#end").is_displayed()
    page.click("another")
    page.driver.switch_to.alert.accept()
    assert page.find("#intro").is_displayed()
    page.driver.refresh()
    page.click("begin")
    assert page.order() == SHOWN[0]
    page.click("confirm")
    second = json.loads(page.exported("export-so-far").read_text())
    assert first["rater"] != second["rater"]
    assert len(first["trials"]) == 4 and len(second["trials"]) == 1
