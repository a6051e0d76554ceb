"""A graph as text and bytes, without files, fitted or not."""

import pytest
import torch

from saved_toys import fitted, graph, plugins, save
from specloom import ConfigError, IntegrityError
from specloom.execution import saved_pipeline
from specloom.execution.saved_pipeline import pack, unpack


def fit(made):
    node = made.nodes["mean"]
    node.fit_start(0)
    node.fit_update(torch.arange(8.0).reshape(1, 2, 1, 4))
    node.fit_end()
    return {name: value for name, value in made.state().items() if name.startswith("mean.")}


def equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    return all(torch.equal(torch.as_tensor(ours[name]), theirs[name]) for name in ours)


def test_a_fitted_graph_comes_back_bit_for_bit():
    made = fitted()
    text, weights = pack(made, plugins(), {"name": "p", "tags": ["a"]})
    again, metadata = unpack(text, weights, plugins())
    assert metadata == {"name": "p", "tags": ["a"]}
    assert again.unfitted() == []
    assert again.connections.incoming == made.connections.incoming
    assert pack(again, plugins(), metadata) == (text, weights)


def test_a_graph_that_is_not_fitted_yet_is_fitted_alike_on_both_sides():
    made = graph()
    text, weights = pack(made, plugins())
    again, metadata = unpack(text, weights, plugins())
    assert metadata == {}
    assert again.unfitted() == ["mean"]
    assert equal(fit(again), fit(made))


def test_files_hold_what_is_packed(tmp_path):
    made = fitted()
    save(tmp_path / "p.yaml", made)
    text, weights = pack(made, plugins(), {"name": "p"}, "p.safetensors")
    assert (tmp_path / "p.yaml").read_text() == text
    assert (tmp_path / "p.safetensors").read_bytes() == weights
    loaded, _ = saved_pipeline.load(tmp_path / "p.yaml", plugins())
    assert pack(loaded, plugins(), {"name": "p"}, "p.safetensors") == (text, weights)


def test_weights_of_another_graph_are_refused():
    text, _ = pack(fitted(), plugins())
    _, others = pack(fitted(seed=1), plugins())
    with pytest.raises(IntegrityError) as caught:
        unpack(text, others, plugins())
    assert str(caught.value) == (
        "pipeline.safetensors: pipeline.safetensors is not the file that was saved with the "
        "pipeline (its SHA-256 differs)\n"
        "  fix: restore both files from where the pipeline was saved"
    )


def test_a_text_that_was_edited_is_refused():
    text, weights = pack(fitted(), plugins(), {"name": "p"})
    with pytest.raises(IntegrityError) as caught:
        unpack(text.replace("name: p", "name: q"), weights, plugins(), "job 7")
    assert str(caught.value) == (
        "job 7: job 7 was changed after it was saved\n"
        "  fix: restore the file, or run its run file again"
    )


def test_a_text_that_is_no_packed_graph_is_refused():
    with pytest.raises(ConfigError) as caught:
        unpack("specloom: 1\nnodes: {a: {type: toy.Mean}}\n", b"", plugins())
    assert str(caught.value) == (
        "pipeline.yaml:1: pipeline.yaml is no saved pipeline\n"
        "  fix: give the pipeline.yaml that a run wrote"
    )
