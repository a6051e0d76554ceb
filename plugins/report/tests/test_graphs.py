"""Graphs as data, text and pictures: every connection is there, and nothing overlaps."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import specloom
from specloom_report.commands.graph import graph as command
from specloom_report.graphs.description import describe_graph, describe_run_file
from specloom_report.graphs.layout import layout
from specloom_report.graphs.svg import graph_svg
from specloom_report.graphs.text_formats import as_dot, as_mermaid, as_text

CONFIGS = Path(__file__).parents[3] / "configs"
RX = CONFIGS / "rx_statistical.yaml"
FILES = [RX, CONFIGS / "rx_scene.yaml", *sorted((CONFIGS / "bands").glob("*.yaml"))]


@pytest.fixture(scope="module")
def rx():
    return describe_graph(specloom.load(RX, device="cpu").graph, "cubes.Synthetic")


def test_sizes_stand_on_the_connections(rx):
    sizes = {link["source"]: link["size"] for link in rx["links"]}
    assert sizes["normalizer.normalized"] == "B 64 64 61"
    assert sizes["rx.scores"] == "B 64 64 1"
    assert sizes["batch.wavelengths"] == "61"


def test_parameters_have_their_defaults(rx):
    (node,) = [one for one in rx["nodes"] if one["name"] == "data"]
    assert node["params"][0] == {"name": "normal_class_ids", "value": "[0, 1]", "default": False}
    assert node["params"][1] == {"name": "anomaly_class_ids", "value": "null", "default": True}
    (node,) = [one for one in rx["nodes"] if one["name"] == "metrics"]
    assert node["stages"] == ["train", "val", "test"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_two_boxes_or_labels_overlap_and_arrows_point_down(file):
    drawing = layout(describe_graph(specloom.load(file, device="cpu").graph))
    boxes = [box for box in drawing.boxes if box.kind != "bend"]
    for a, b in itertools.combinations(boxes, 2):
        apart = abs(a.x - b.x) >= (a.width + b.width) / 2 - 0.01
        assert apart or a.top + a.height <= b.top + 0.01 or b.top + b.height <= a.top + 0.01
    assert all(line.start.layer == line.end.layer - 1 for line in drawing.lines)
    assert all(
        box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= drawing.width for box in boxes
    )


def test_the_picture_is_xml_that_needs_nothing_else(rx):
    root = ElementTree.fromstring(graph_svg(rx, standalone=True))
    words = {
        word for one in root.iter("{http://www.w3.org/2000/svg}text") for word in one.itertext()
    }
    assert {"rx", "rx.RXGlobal", "scores", "B 64 64 1", "batch", "cubes.Synthetic"} <= words
    assert "href" not in graph_svg(rx, standalone=True)


def test_names_cannot_break_out_of_the_picture(rx):
    bad = {**rx, "data": "<script>alert(1)</script>"}
    ElementTree.fromstring(graph_svg(bad))
    assert "<script" not in graph_svg(bad)


def test_a_graph_without_nodes_is_drawn_all_the_same():
    assert graph_svg({"nodes": [], "links": [], "outputs": {}, "data": ""})


def test_texts_hold_every_connection(rx):
    printed = as_text(rx)
    assert "  scores  B 64 64 1  -> logits.scores, output scores\n" in printed
    for link in rx["links"]:
        assert link["target"] in printed
    assert len(re.findall(" --> ", as_mermaid(rx))) == len(rx["links"])
    assert 'n_rx -- "scores: B 64 64 1" --> n_logits' in as_mermaid(rx)
    assert '"data" -> "normalizer" [label="cube to data: B 64 64 61"];' in as_dot(rx)
    assert '"rx" [label="rx\\nrx.RXGlobal"];' in as_dot(rx)


def test_the_description_of_a_run_file_has_no_sizes():
    run = specloom.load(RX, device="cpu").graph.document.value
    found = describe_run_file(run)
    assert found["data"] == "cubes.Synthetic"
    assert {link["size"] for link in found["links"]} == {""}
    assert graph_svg(found)


@pytest.mark.parametrize("form", ["text", "svg", "mermaid", "dot"])
def test_the_command_writes_each_format(form, tmp_path):
    out = tmp_path / "graph"
    result = CliRunner().invoke(command, [str(RX), "--format", form, "--out", str(out)])
    assert result.exit_code == 0, result.output
    printed = CliRunner().invoke(command, [str(RX), "--format", form])
    assert out.read_text("utf-8") == printed.stdout
    assert "RXGlobal" in printed.stdout


def test_the_plan_of_a_file_that_is_not_fitted_says_so():
    result = CliRunner().invoke(command, [str(RX), "--plan", "predict"])
    assert result.exit_code == 0, result.output
    assert "stage predict: 5 calls\n  1  data  cubes.AnomalyDataNode\n" in result.output
    assert "folding is not known before the fit: use the pipeline.yaml of a run" in result.output
    assert "not run: metrics" in result.output


def test_a_plan_is_text():
    result = CliRunner().invoke(command, [str(RX), "--plan", "test", "--format", "svg"])
    assert result.exit_code == 2
    assert "--plan is text only: remove --format" in result.output


def test_a_file_that_is_not_there_is_reported(tmp_path):
    result = CliRunner().invoke(command, [str(tmp_path / "no.yaml")])
    assert isinstance(result.exception, specloom.ConfigError)
