"""What a page holds for its script: images, arrays, charts; and its words for them."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from specloom_report.page import render
from specloom_report.page.charts import Chart, Rule, Series
from specloom_report.page.figures import Charts, evaluation_charts, training_charts
from specloom_report.page.names import name_image, split_names
from specloom_report.page.tables import images_table, metrics_table

TYPES = {"u1": np.uint8, "f4": np.float32, "i4": np.int32}
ROW = {"pixels": 100, "anomalous": 10, "hits": 6, "decided": 8, "left_out": 0}


def values_of(page):
    text = re.search(r'<script type="application/json" id="values">(.*?)</script>', page, re.S)
    return json.loads(text.group(1))


def read(values, place):
    block = zlib.decompress(base64.b64decode(values["block"]))
    count = int(np.prod(place["shape"]))
    found = np.frombuffer(block, TYPES[place["type"]], count, place["at"])
    return found.reshape(place["shape"])


def evaluation(**more):
    row = {**ROW, "iou": 0.5, "decided_objects": 3, "false_objects": 1}
    row |= {"anomalous_objects": 4, "found_objects": 2}
    clean = {**ROW, "anomalous": 0, "hits": 0, "decided": 4, "iou": 0.0, "decided_objects": 2}
    clean |= {"false_objects": 2, "anomalous_objects": 0, "found_objects": 0}
    counts = {"pixels": 200, "anomalous": 10, "hits": 6, "decided": 12, "left_out": 0}
    objects = {"decided_objects": 5, "false_objects": 3, "anomalous_objects": 4}
    objects |= {"found_objects": 2, "clean_images": 1, "false_alarm_images": 1}
    found = {
        "judge": "metrics",
        "decider": "decider",
        "stage": "test",
        "counts": counts,
        "images": 2,
        "rows": [row, clean],
        "objects": objects,
        "roc_auc": 0.9,
        "average_precision": 0.8,
        "threshold": {"single": True, "above": 0.1, "at_most": 0.6, "value": 0.5},
    }
    return found | more


def pictures(**more):
    images = []
    for number in (1, 0):
        one = {"judge": "metrics", "number": number, "size": [3, 4], "objects": []}
        images.append({**one, "object_count": 0})
    found = {
        "stage": "test",
        "images": images,
        "scales": {"metrics": {"low": 0.0, "high": 10.0, "log": False}},
        "wavelengths": [500.0, 400.0, 600.0],  # not rising
    }
    return found | more


def arrays():
    grid = np.arange(6, dtype=np.uint8).reshape(2, 3)
    return {
        "metrics/0/kinds": np.array([[0, 1, 2, 3]] * 3, np.uint8),
        "metrics/0/scores": np.full((3, 4), 128, np.uint8),
        "metrics/0/grid": grid,
        "metrics/0/grid_places": np.array([[0, 1], [2, 3]], np.int32),
        "metrics/0/grid_ends": np.array([[0, 1, 2], [10, 11, 12]], np.float32),
        "metrics/1/kinds": np.zeros((3, 4), np.uint8),
    }


SPLITS = [{"splits": ["test"], "names": ["belt_00", "belt_01"], "images": 2}]


def test_images_have_names_and_words_that_fit_them():
    report = {"judged": [evaluation()], "pictures": pictures(), "splits": SPLITS}
    page = render(report, arrays())
    first, second = values_of(page)["viewer"]["images"]
    assert (first["name"], first["caption"]) == (
        "belt_01",
        "no anomaly; 4 false-alarm pixels in 2 objects",
    )
    assert (second["name"], second["caption"]) == (
        "belt_00",
        "IoU 0.5000, 2 of 4 objects found, 1 false",
    )
    assert "IoU 0.0000" not in page
    for text in (
        "<h1>AUC 0.9000 on test</h1>",
        "2 of 4 objects found; 3 false objects; false alarms in 1 of 1 clean image.",
    ):
        assert text in page


def test_arrays_come_back_with_bands_by_rising_wavelength():
    report = {"judged": [evaluation()], "pictures": pictures(), "splits": SPLITS}
    values = values_of(render(report, arrays()))
    image = values["viewer"]["images"][1]
    assert values["viewer"]["spectra"]["x"] == [400, 500, 600]
    np.testing.assert_array_equal(read(values, image["grid"]), [[1, 0, 2], [4, 3, 5]])
    np.testing.assert_array_equal(read(values, image["gridEnds"]), [[1, 0, 2], [11, 10, 12]])
    np.testing.assert_array_equal(read(values, image["gridPlaces"]), [[0, 1], [2, 3]])
    np.testing.assert_array_equal(read(values, image["kinds"]), arrays()["metrics/0/kinds"])
    assert image["scale"] == {"low": 0.0, "high": 10.0, "log": False}
    assert "grid" not in values["viewer"]["images"][0]


def test_the_colour_bar_has_values_and_the_threshold():
    page = render({"judged": [evaluation()], "pictures": pictures()}, arrays())
    bar = re.search(
        r'<div class="colourbar".*?</div>\s*</div>|<div class="colourbar".*', page, re.S
    )
    assert 'aria-label="colours from 0 (dark blue) to 10 (yellow), threshold 0.5"' in bar.group()
    assert '<i style="left:5.00%"></i>' in page
    labels = re.findall(r'<span style="left:([\d.]+)%"[^>]*>([^<]+)</span>', page)
    assert labels == [
        ("0.00", "0"),
        ("20.00", "2"),
        ("40.00", "4"),
        ("60.00", "6"),
        ("80.00", "8"),
        ("100.00", "10"),
    ]


def test_data_of_an_earlier_version_still_make_a_page():
    old = {"stage": "test", "images": [{"judge": "metrics", "number": 0, "has": ["kinds"]}]}
    judged = evaluation()
    del judged["objects"]
    judged["rows"] = [{**ROW, "iou": 0.5}, {**ROW, "anomalous": 0, "hits": 0, "decided": 4}]
    few = {key: value for key, value in arrays().items() if "grid" not in key}
    page = render({"judged": [judged], "pictures": old}, few)
    (image,) = values_of(page)["viewer"]["images"]
    assert image["scale"] is None
    assert image["size"] == [3, 4]
    assert image["caption"] == "IoU 0.5000, 4 missed pixels, 2 false-alarm pixels"
    assert values_of(page)["viewer"]["spectra"] is None
    assert "6 of 10 anomalous pixels decided; 6 false-alarm pixels." in page
    assert "colourbar" not in page.split("</style>")[1].split("<script")[0]


def test_names_are_used_only_where_they_fit():
    names = split_names({"splits": SPLITS})
    assert name_image(names, "test", 1, 2) == "belt_01"
    assert name_image(names, "test", 1, 3) == "image 1"  # not the same images
    assert name_image(names, "train", 0, 2) == "image 0"  # shuffled
    assert name_image(names, "test", 0, 1, masked=False) == "belt_00"  # the first ones
    assert name_image({"val": ["16", "17"]}, "val", 1, 2) == "image 17"


def test_a_clean_image_has_no_iou_in_the_table():
    table = images_table([evaluation()], split_names({"splits": SPLITS}))
    by_title = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["image"].text for row in by_title] == ["belt_00", "belt_01"]
    assert [row["IoU"].text for row in by_title] == ["0.5000", "-"]
    assert [row["false positives"].text for row in by_title] == ["2", "4"]
    unmasked = images_table([evaluation(masked=False)], {})
    assert "IoU" not in unmasked.columns
    assert "predicted anomalous" in unmasked.columns


def test_metrics_are_grouped_and_objects_come_from_the_report_where_no_node_counts_them():
    metrics = {"test": {"m/roc_auc": 0.5, "m/image_iou": 0.25, "bce/loss": 1.0}}
    columns, groups = metrics_table(metrics, [evaluation()])
    assert columns == ["metric", "name", "test"]
    titles = [(group.title, [row[0].text for row in group.rows]) for group in groups]
    assert titles == [
        ("Pixels", ["ROC AUC"]),
        ("Objects", ["true objects", "found objects", "decided objects", "false objects"]),
        ("Images", ["IoU, mean over images"]),
        ("Losses and calibration", ["loss of bce"]),
    ]
    metrics["test"]["objects/object_recall"] = 0.5
    _, groups = metrics_table(metrics, [evaluation()])
    assert [[row[0].text for row in one.rows] for one in groups][1] == ["object recall"]


def test_curves_share_an_axis_and_vertical_parts_stay():
    curve = Series("a", [0, 0, 0, 1], [0.0, 0.2, 0.5, 1.0])
    other = Series("b", [0, 0.5, 1], [0.0, 0.5, 1.0])
    chart = Chart("t", "x", "y", [curve, other], continuous=True).as_json()
    x, first, second = chart["data"]
    assert x == [0, pytest.approx(0, abs=1e-6), 0.5, 1]
    assert first == [0, 0.5, pytest.approx(0.75), 1]
    assert second == [0, pytest.approx(0, abs=1e-6), 0.5, 1]
    gaps = Chart("t", "x", "y", [Series("a", [0, 2], [1, None]), Series("b", [1], [5])])
    assert gaps.as_json()["data"] == [[0, 1, 2], [1, None, None], [None, 5, None]]
    assert Chart("t", "x", "", [curve], rules=[Rule(1.0, "cut")]).summary() == "t: x: a, cut"


def test_histograms_of_all_splits_have_one_scale():
    bins = {"normal": [1.0, 0.0], "anomalous": [0.0, 1.0]}
    val = evaluation(stage="val", histogram={"low": 0.0, "high": 1.0, **bins})
    test = evaluation(histogram={"low": -1.0, "high": 3.0, **bins})
    charts = Charts()
    evaluation_charts([val, test], charts)
    first, second = charts.by_place.values()
    assert first.title == "Scores of val"
    assert first.x_range == second.x_range == (-1.0, 3.0)
    assert first.y_range == second.y_range == (0.0, pytest.approx(1.08 * 2))
    assert first.rules == second.rules == [Rule(0.5, "threshold 0.5")]


def test_three_charts_of_training_are_in_full_view():
    series = {
        "val/metrics/iou": [[0, 1], [0.1, 0.2]],
        "train/entropy/loss": [[0, 1], [0.5, 0.1]],
        "train/bce/loss": [[0, 1], [3.0, 2.0]],
        "train/selector/temperature": [[0, 1], [5.0, 4.0]],
        "val/metrics/roc_auc": [[0, 1], [0.5, 0.6]],
        "val/metrics/images": [[0, 1], [8.0, 8.0]],
    }
    charts = Charts()
    (phase,) = training_charts([{"name": "t", "series": series}], charts)
    titles = [charts.by_place[place].title for place in phase["charts"]]
    assert titles == ["bce/loss", "metrics/roc_auc", "selector/temperature"]
    more = [charts.by_place[place].title for place in phase["more"]]
    assert more == ["entropy/loss", "metrics/iou"]
    assert phase["constant"] == {"val/metrics/images": 8.0}


def test_values_end_no_script():
    report = {"pictures": pictures(), "judged": [evaluation()]}
    report["splits"] = [{"splits": ["test"], "names": ["</script><script>", "b"], "images": 2}]
    page = render(report, arrays())
    assert page.count("</script>") == 3
    assert values_of(page)["viewer"]["images"][1]["name"] == "</script><script>"


def test_nodes_with_the_same_result_share_their_numbers():
    other = evaluation(judge="objects", counts={**evaluation()["counts"], "hits": 5})
    judged = [evaluation(), evaluation(judge="images"), other]
    page = render({"judged": judged, "pictures": pictures()}, arrays())
    nodes = re.findall(r'<h2 class="node">(\w+)</h2>', page)
    assert nodes == ["metrics", "objects"]
    single = render({"judged": [evaluation()], "pictures": pictures()}, arrays())
    assert 'class="node"' not in single.split("</style>")[1]
    assert "<dt>threshold</dt><dd>0.5000</dd>" in single
    several = {"single": False, "above": 0.1, "at_most": 0.6}
    page = render({"judged": [evaluation(threshold=several)], "pictures": pictures()}, arrays())
    assert "decider has no single one" in page
