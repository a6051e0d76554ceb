"""The report in a real browser, where there is one: console, keyboard, spectra, size, themes."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from specloom_report.collecting.image_spectra import grid_places
from specloom_report.page import render

sys.path.append(str(Path(__file__).parent))
toys = import_module("report_browser")

COLUMN = "[...document.querySelectorAll('#each tbody tr')].map(row => row.cells[2].innerText)"
IOU = "document.querySelectorAll('#each th button')[2]"
MB = 1 << 20

pytestmark = pytest.mark.skipif(toys.CHROMIUM is None, reason="there is no chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = toys.Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


def noisy(images=4, side=64, bands=30, side_of_grid=20):
    """A report whose pictures and spectra are noise, so that nothing compresses."""
    generator = np.random.default_rng(0)
    rows, shown, arrays = [], [], {}
    places = grid_places(side, side, side_of_grid**2)
    for i in range(images):
        row = {"iou": (0.5, 0.25, 0.75)[i % 3], "pixels": side**2, "anomalous": 9, "hits": 3}
        rows.append({**row, "decided": 4, "left_out": 0})
        one = {"kind": "missed", "row": 5, "column": 7, "pixels": 4, "score": 2.5}
        other = {"kind": "false", "row": 40, "column": 30, "pixels": 1, "score": 1.5}
        shown.append(
            {
                "judge": "metrics",
                "number": i,
                "name": f"cube_{i}",
                "size": [side, side],
                "objects": [one, other],
                "object_count": 2,
            }
        )
        arrays |= {
            f"metrics/{i}/colours": generator.integers(0, 256, (side, side, 3)).astype(np.uint8),
            f"metrics/{i}/scores": generator.integers(1, 256, (side, side)).astype(np.uint8),
            f"metrics/{i}/kinds": generator.integers(0, 5, (side, side)).astype(np.uint8),
            f"metrics/{i}/grid": generator.integers(0, 255, (len(places), bands)).astype(np.uint8),
            f"metrics/{i}/grid_places": places,
            f"metrics/{i}/grid_ends": np.stack([np.zeros(bands), np.ones(bands)]).astype("f4"),
            f"metrics/{i}/grid_scores": generator.random(len(places)).astype(np.float32),
            f"metrics/{i}/objects": generator.random((2, bands)).astype(np.float32),
        }
    rows[-1] |= {"anomalous": 0, "hits": 0, "iou": 0.0}
    counts = {"hits": 9, "decided": 16, "anomalous": 27, "pixels": images * side**2, "left_out": 0}
    curve = [[0, 0, 0.5, 1], [0, 0.5, 0.9, 1]]
    bins = {"low": -1.0, "high": 1.0, "normal": [0.5, 0.5], "anomalous": [0.1, 0.9]}
    judged = {
        "judge": "metrics",
        "decider": "decider",
        "stage": "test",
        "counts": counts,
        "images": images,
        "rows": rows,
        "roc": curve,
        "roc_log": [[1e-4, 0.5, 1], [0.2, 0.9, 1]],
        "pr": curve,
        "roc_auc": 0.75,
        "average_precision": 0.5,
        "threshold": {"single": True, "above": 0.1, "at_most": 0.3, "value": 0.2},
        "histogram": bins,
    }
    mean = generator.random(bands).tolist()
    pooled = {"background": {"pixels": 9, "mean": mean, "low": mean, "high": mean}}
    pooled["foreground"] = {"pixels": 9, "mean": mean}
    pictures = {
        "stage": "test",
        "images": shown,
        "scales": {"metrics": {"low": 1.0, "high": 100.0, "log": True}},
        "wavelengths": np.linspace(400, 900, bands).tolist(),
        "spectra": pooled,
        "bands": [{"band": 3, "nm": 450.0}],
    }
    history = [{"number": 0, "name": "t", "series": {"train/loss": [[0, 1, 2], [3.0, 2.0, 1.0]]}}]
    report = {"title": "x", "judged": [judged], "pictures": pictures, "history": history}
    return report, arrays


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(*noisy()), "utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 480, 1400])
def test_the_page_fits_and_the_console_is_silent(browser, page, width, dark):
    browser.said.clear()
    browser.show(page, width, dark)
    assert browser.value("document.documentElement.scrollWidth") <= width
    back = browser.value("getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
    assert browser.value("document.querySelectorAll('.plot canvas').length") == 7
    assert browser.said == []  # neither messages nor requests to a network


def test_a_click_on_a_title_sorts_and_a_second_one_turns_the_order(browser, page):
    browser.show(page)
    assert browser.value(COLUMN) == ["0.5000", "0.2500", "0.7500", "-"]
    browser.value(f"{IOU}.click()")
    assert browser.value(COLUMN) == ["0.2500", "0.5000", "0.7500", "-"]
    browser.value(f"{IOU}.click()")
    assert browser.value(COLUMN) == ["0.7500", "0.5000", "0.2500", "-"]
    marked = "[...document.querySelectorAll('th[aria-sort]')].map(t => t.ariaSort)"
    assert browser.value(marked) == ["descending"]


def test_a_title_sorts_from_the_keyboard(browser, page):
    browser.show(page)
    browser.value(f"{IOU}.focus()")
    browser.press("Enter")
    assert browser.value(COLUMN)[0] == "0.2500"


READOUT = "document.getElementById('readout').textContent"
LEGEND = "[...document.querySelectorAll('[data-chart=image] .legend button')].map(b => b.innerText)"


def test_a_click_on_a_pixel_shows_its_spectrum(browser, page):
    browser.show(page)
    before = browser.value(LEGEND)
    browser.click("#colours", 0.5, 0.26)
    text = browser.value(READOUT)
    assert text.startswith("row 16, column 32, score about ")
    assert text.endswith("the nearest stored pixel, row 17, column 33")
    added = set(browser.value(LEGEND)) - set(before)
    assert len(added) == 1
    (name,) = added
    assert name.startswith("row 17, column 33, score 0.")


def test_of_many_objects_the_legend_has_one_entry_for_each_kind(browser, tmp_path):
    """It shows and hides all of them; the chosen object has an entry of its own."""
    report, arrays = noisy()
    first = report["pictures"]["images"][0]
    first["objects"] = first["objects"] * 3
    first["object_count"] = 6
    spectra = arrays["metrics/0/objects"]
    arrays["metrics/0/objects"] = np.concatenate([spectra] * 3)
    path = tmp_path / "report.html"
    path.write_text(render(report, arrays), "utf-8")
    browser.show(path)
    names = [name for name in browser.value(LEGEND) if name.startswith("object")]
    assert names == ["objects, missed", "objects, false alarm"]
    hidden = "[...CHARTS].map(c => c.plot.series.filter(s => !s.show).length).filter(n => n)"
    assert browser.value(hidden) == []
    entry = "[...document.querySelectorAll('[data-chart=image] .legend button')][2].click()"
    browser.value(entry)
    assert browser.value(hidden) == [3]
    browser.value("document.querySelectorAll('#objects button')[3].click()")
    names = [name for name in browser.value(LEGEND) if name.startswith("object")]
    assert names == ["objects, missed", "objects, false alarm", "object 4, false alarm"]


def test_pixels_are_chosen_and_images_zoomed_from_the_keyboard(browser, page):
    browser.show(page)
    browser.value("document.getElementById('scores').focus()")
    browser.press("ArrowRight")
    first = browser.value(READOUT)
    browser.press("ArrowDown")
    second = browser.value(READOUT)
    assert first.startswith("row ")
    assert first != second
    picture = "document.getElementById('colours').toDataURL()"
    whole = browser.value(picture)
    browser.press("+")
    assert browser.value(picture) != whole
    browser.press("0")
    assert browser.value(picture) == whole


def test_two_fingers_pinch_an_image_and_one_moves_it(browser, page):
    browser.show(page, width=480)
    picture = "document.getElementById('colours').toDataURL()"
    gesture = "document.getElementById('colours').style.touchAction"
    scrolled = "scrollY"
    whole = browser.value(picture)
    assert browser.value(gesture) == "pan-y"  # one finger moves the page while all is seen
    spreading = [[(0.5 - d, 0.5), (0.5 + d, 0.5)] for d in (0.1, 0.12, 0.16, 0.24, 0.4)]
    browser.touch("#colours", *spreading)
    near = browser.value(picture)
    assert near != whole
    assert browser.value(gesture) == "none"
    assert browser.value(READOUT) == ""  # no pixel was chosen by it
    place = browser.value(scrolled)
    browser.touch("#colours", [(0.6, 0.5)], [(0.5, 0.45)], [(0.3, 0.4)])
    moved = browser.value(picture)
    assert moved not in (whole, near)
    assert browser.value(scrolled) == place
    browser.touch("#colours", [(0.5, 0.5)])
    assert browser.value(READOUT).startswith("row ")
    browser.touch("#colours", *reversed(spreading))
    assert browser.value(gesture) == "pan-y"


def test_every_control_is_reached_by_the_tab_key(browser, page):
    browser.show(page)
    controls = "document.querySelectorAll('a, button, canvas[tabindex], .plot, summary').length"
    wanted = browser.value(controls)
    reached = set()
    focused = (
        "(() => { const all = [...document.querySelectorAll('*')];"
        " return all.indexOf(document.activeElement); })()"
    )
    for _ in range(3 * wanted):
        browser.press("Tab")
        reached.add(browser.value(focused))
    missed = browser.value(
        f"(() => {{ const reached = new Set({json.dumps(sorted(reached))});"
        " const all = [...document.querySelectorAll('*')];"
        " return all.filter((one, k) => one.matches('a, button, canvas[tabindex], .plot, summary')"
        " && one.checkVisibility() && !reached.has(k)).map(one => one.outerHTML.slice(0, 90)); })()"
    )
    assert missed == []


def test_another_image_and_its_objects_are_chosen_with_buttons(browser, page):
    browser.show(page)
    browser.value("document.querySelectorAll('.strip button')[2].click()")
    assert browser.value("document.getElementById('selected').textContent").startswith("cube_2: ")
    pressed = "[...document.querySelectorAll('.strip button')].map(b => b.ariaPressed)"
    assert browser.value(pressed) == ["false", "false", "true", "false"]
    rows = "[...document.querySelectorAll('#objects tbody tr')].map(r => r.innerText.split('\\t'))"
    assert [row[1] for row in browser.value(rows)] == ["missed", "false alarm"]
    browser.value("document.querySelectorAll('#objects button')[1].click()")
    assert browser.value(READOUT).startswith("object 2: row 40, column 30")


def test_a_clean_image_says_what_its_false_alarms_are(browser, page):
    browser.show(page)
    texts = browser.value("[...document.querySelectorAll('.strip .caption')].map(c => c.innerText)")
    assert texts[-1] == "no anomaly; 4 false-alarm pixels"
    assert texts[0].startswith("IoU 0.5000")


CONTRASTS = """(() => {
  const light = c => c.map(v => v / 255).map(
    v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = c => { const [r, g, b] = light(c); return 0.2126*r + 0.7152*g + 0.0722*b; };
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const back = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('svg, script, .line')) continue;
    const a = luminance(parse(getComputedStyle(e).color).slice(0, 3)), b = luminance(back(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 20), ratio]);
  }
  return found;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_the_contrast_of_wcag_aa(browser, page, dark):
    browser.show(page, dark=dark)
    assert browser.value(CONTRASTS) == []


def test_every_image_is_printed_in_black_on_white(browser, page, tmp_path):
    browser.show(page, dark=True)
    browser.pdf(tmp_path / "report.pdf")
    assert browser.value("document.querySelectorAll('#prints .print').length") == 0  # gone again
    browser.value("dispatchEvent(new Event('beforeprint'))")
    assert browser.value("document.querySelectorAll('#prints .print canvas').length") == 8
    assert browser.value("getComputedStyle(document.documentElement).getPropertyValue('--c0')") == (
        "#000"
    )
    with_images = (tmp_path / "report.pdf").stat().st_size
    assert with_images > 100_000


def test_twenty_noisy_images_with_spectra_are_one_file_under_5_mb(browser, tmp_path):
    report, arrays = noisy(images=20, side=300, bands=200, side_of_grid=31)
    path = tmp_path / "report.html"
    path.write_text(render(report, arrays), "utf-8")
    assert 2 * MB < path.stat().st_size < 5 * MB
    browser.said.clear()
    browser.show(path)
    browser.click("#scores", 0.5, 0.5)
    assert "spectrum" in browser.value(READOUT)
    assert browser.said == []
