"""What the page shows of the splits of the data."""

from specloom_report import report_files
from specloom_report.page import render
from specloom_report.page.data import data_details, data_table

SPLIT = {
    "line": "",
    "images": 12,
    "names": ["a", "b"],
    "masks": {"source": "*.png", "images": 3, "counted": 2, "classes": {"-1": 5, "0": 118000}},
    "wavelengths": {"least": 400.0, "greatest": 1000.5, "from": "the header"},
    "scale": {"values": "physical values", "from": "the attribute"},
    "bands": {"used": 10, "bad": 2},
    "excluded": [{"why": "no data", "pixels": None}, {"why": "unlabelled", "pixels": 1234}],
    "assumptions": ["rows come first"],
}
PLAIN = {
    **SPLIT,
    "masks": {"source": "", "images": 0, "counted": 0, "classes": {}},
    "wavelengths": None,
    "scale": {"values": "stored counts", "from": ""},
    "bands": {"used": 10, "bad": 0},
    "excluded": [],
    "assumptions": [],
}


def cells(*splits):
    return [[cell.text for cell in row] for row in data_table(splits).rows]


def test_a_row_for_each_split():
    described = report_files.describe_splits({"splits": {"train": SPLIT, "val": PLAIN}})
    assert cells(*described) == [
        [
            "train",
            "12",
            "3 from *.png",
            "unlabelled: 5, 0: 118,000 (of 2 masks)",
            "400 to 1000.5 nm from the header",
            "physical values, scale from the attribute",
            "no data; unlabelled: 1,234 pixels; 2 bad bands",
        ],
        ["val", "12", "none", "", "not stated", "stored counts", ""],
    ]


def test_splits_that_hold_the_same_share_a_row():
    described = report_files.describe_splits({"splits": {"val": PLAIN, "test": PLAIN}})
    assert cells(*described)[0][0] == "val, test"
    assert report_files.describe_splits({}) == []


def test_names_and_assumptions_are_on_the_page():
    described = report_files.describe_splits({"splits": {"train": SPLIT}})
    assert data_details(described) == [
        ("images of train", "a, b"),
        ("assumed in train", "rows come first"),
    ]
    page = render({"splits": described, "data": {"type": "cubes.Folder", "params": []}}, {})
    assert "assumed in train" in page
    assert "unlabelled: 5, 0: 118,000 (of 2 masks)" in page
    assert "assumed in" not in render({}, {})
