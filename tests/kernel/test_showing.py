"""What nodes, graphs, pipelines and runs print, and what notebooks show of them."""

import numpy as np
import pytest

import specloom
from specloom import ConfigError, Pipeline, Problems
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_normalize import MinMaxNormalizer
from specloom_rx import RXGlobal, ScoreToLogit

CUBE = np.random.default_rng(0).normal(size=(20, 30, 5)).astype(np.float32)


def built():
    pipeline = Pipeline("<mine>")
    rx = pipeline.add("rx", RXGlobal(eps=0.5))
    pipeline.chain("batch.cube", rx, pipeline.add("logits", ScoreToLogit()))
    return pipeline


def test_a_node_prints_what_was_changed_and_its_fit():
    assert repr(RXGlobal()) == "RXGlobal()  # not fitted"
    rx = RXGlobal(eps=0.5, name="rx")
    assert repr(rx) == "RXGlobal(eps=0.5, name='rx')  # not fitted"
    rx.fit(CUBE)
    assert repr(rx) == "RXGlobal(num_channels=5, eps=0.5, name='rx')  # fitted on 600 pixels"
    assert repr(AnomalyDataNode([0])) == "AnomalyDataNode(normal_class_ids=[0])"
    long = AnomalyDataNode(list(range(100)))
    assert repr(long).startswith("AnomalyDataNode(normal_class_ids=[0, 1, 2, ")
    assert len(repr(long)) < 100
    assert repr(MinMaxNormalizer().fit(CUBE)).endswith("# fitted on 600 pixels")
    assert repr(rx.scores) == "<output rx.scores (B H W 1)>"


def run_of(name):
    pipeline = Pipeline(name)
    data = pipeline.add("data", AnomalyDataNode([0]))
    rx = pipeline.add("rx", RXGlobal())
    pipeline.connect((data.cube, rx.data), (data.valid, rx.valid))
    source = InMemory(test=[{"cube": CUBE[None]}])
    return specloom.Run(pipeline.graph(source), source, metadata={"name": name})


def test_a_pipeline_a_graph_and_a_run_print_their_sizes():
    pipeline = built()
    assert repr(pipeline) == "Pipeline('<mine>': 2 nodes, 2 connections)"
    assert repr(pipeline.graph()) == "Graph(2 nodes, 2 connections)"
    run = run_of("rx")
    assert repr(run) == "Run('rx': 2 nodes, 0 phases, not run)"
    run.log_metrics("test", {"rx/auc": 0.5})
    assert repr(run) == "Run('rx': 2 nodes, metrics of test)"


def test_a_run_of_a_folder_is_fitted(tmp_path):
    pipeline = built()
    pipeline.outputs = {"scores": "rx.scores"}
    pipeline.fit(CUBE).save_to_file(tmp_path / "pipeline.yaml")
    assert repr(specloom.load(tmp_path)) == "Run('<mine>': 2 nodes, fitted)"


def test_html_is_escaped():
    pipeline = built().fit(CUBE)
    html = pipeline._repr_html_()
    assert "&lt;mine&gt;" in html
    assert "<mine>" not in html
    assert "rx.scores → logits.scores" in html
    node = pipeline.nodes["rx"]._repr_html_()
    assert "<td" in node
    assert "fitted on 600 pixels" in node
    assert "Squared Mahalanobis distances." in node


def test_a_graph_is_drawn_where_a_plugin_draws_it(monkeypatch):
    graph = built().fit(CUBE).graph()
    drawn = graph._repr_html_()
    assert drawn.startswith("<svg")
    assert "RXGlobal" in drawn
    monkeypatch.setattr("specloom.graph.showing.Plugins.first_answer", lambda *_, **__: None)
    assert graph._repr_html_().startswith("<table>")
    monkeypatch.setattr("specloom.graph.showing.Plugins.first_answer", None)
    assert graph._repr_html_().startswith("<table>")  # a picture that fails hides nothing


def test_a_run_shows_graph_and_metrics():
    run = run_of("<rx>")
    run.log_metrics("test", {"rx/<auc>": 0.123456789})
    html = run._repr_html_()
    assert "<svg" in html
    assert "rx/&lt;auc&gt;" in html
    assert "0.123457" in html


def test_an_error_is_one_message_in_ipython():
    error = ConfigError("the rate is 2", where="run.yaml:3", fix="set a rate below 1")
    text = "run.yaml:3: the rate is 2\n  fix: set a rate below 1"
    assert error._render_traceback_() == [f"ConfigError: {text}"]
    both = Problems([error, error])
    assert both._render_traceback_() == [f"Problems: {text}\n{text}"]


def test_a_notebook_shows_bars_pictures_and_messages(tmp_path):
    """It starts a kernel of Jupyter, which takes some seconds."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    import nbformat

    np.save(tmp_path / "scene.npy", CUBE)
    cells = [
        "import specloom_cubes; specloom_cubes.open('scene.npy')",
        "from specloom_rx import RXGlobal; RXGlobal()(specloom_cubes.open('scene.npy').clean())",
    ]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    done = _executed(nbclient, notebook, tmp_path)
    (shown,) = done.cells[0].outputs
    assert "data:image/png;base64" in shown["data"]["text/html"]
    (error,) = done.cells[1].outputs
    assert error["traceback"] == [
        "NodeError: RXGlobal is not fitted\n"
        "  fix: fit it in a phase before, or load a fitted pipeline"
    ]


def _executed(nbclient, notebook, folder):
    import warnings

    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(
        notebook, allow_errors=True, kernel_name="python3", resources=resources
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter, about ports and event loops
        client.execute()
    return client.nb
