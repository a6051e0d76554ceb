"""Saved pipelines are refused when anything about them was changed."""

import pytest
import torch

from saved_toys import Mean, fitted, plugins, reported, save
from specloom import ConfigError, Graph
from specloom.execution import saved_pipeline
from specloom.execution.files import sha256


@pytest.fixture
def saved(tmp_path):
    save(tmp_path / "p.yaml", fitted())
    return tmp_path / "p.yaml"


@pytest.mark.parametrize("at", [0, 7, 40, -1])
def test_a_flipped_byte_in_the_weights(saved, at):
    weights = saved.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[at] ^= 1
    weights.write_bytes(data)
    assert reported(saved) == (
        f"{weights}: {weights} is not the file that was saved with the pipeline "
        "(its SHA-256 differs)\n  fix: restore both files from where the pipeline was saved"
    )


def test_swapped_weights(saved, tmp_path):
    save(tmp_path / "q.yaml", fitted(seed=1))
    weights, others = tmp_path / "p.safetensors", tmp_path / "q.safetensors"
    weights.write_bytes(others.read_bytes())
    assert "its SHA-256 differs" in reported(saved)
    # Naming the other file's hash does not help: it names the graph it was saved with.
    save(tmp_path / "r.yaml", fitted(seed=1, bands=((1, 2),)))
    texts = [(tmp_path / f"{name}.yaml").read_text().rpartition("state:") for name in "pr"]
    saved.write_text(texts[0][0] + "state:" + texts[1][2])
    assert reported(saved) == (
        f"{saved}: {saved} was changed after it was saved\n"
        "  fix: restore the file, or run its run file again"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("name: p", "name: q"), ("C: 4", "C: 5"), ("mean.data", "table.data"), ('toy: ""', "toy: 1")],
)
def test_an_edited_description(saved, old, new):
    text = saved.read_text()
    assert text.count(old) >= 1
    saved.write_text(text.replace(old, new, 1))
    assert reported(saved) == (
        f"{saved}: {saved} was changed after it was saved\n"
        "  fix: restore the file, or run its run file again"
    )


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", ".."])
def test_a_saved_pipeline_whose_outputs_are_paths(tmp_path, monkeypatch, name):
    made = fitted()
    made.outputs[name] = "table.data"
    with monkeypatch.context() as without:  # as one would write it who means harm
        without.setattr(Graph, "wrong_names", lambda graph: iter(()))
        save(tmp_path / "p.yaml", made)
    lines = (tmp_path / "p.yaml").read_text().splitlines()
    at = next(i for i, line in enumerate(lines, 1) if line.endswith("table.data") and name in line)
    assert reported(tmp_path / "p.yaml", ConfigError) == (
        f"{tmp_path}/p.yaml:{at}: {name!r} cannot be an output's name\n"
        "  fix: use letters, digits and _, beginning with a letter: files are named after it"
    )


def test_comments_and_layout_may_change(saved):
    saved.write_text("# mine\n" + saved.read_text().replace("name: p", 'name:   "p"  # so'))
    assert saved_pipeline.load(saved, plugins())[0].unfitted() == []


def test_missing_files(saved):
    weights = saved.with_suffix(".safetensors")
    data = weights.read_bytes()
    weights.unlink()
    assert reported(saved) == (
        f"{weights}: {weights} is missing\n  fix: copy it from where the pipeline was saved"
    )
    weights.write_bytes(data)
    saved.unlink()
    assert (
        reported(saved, ConfigError)
        == f"{saved} cannot be read: No such file or directory\n  fix: check the path"
    )


def test_what_is_no_saved_pipeline(tmp_path):
    run = tmp_path / "run.yaml"
    run.write_text("specloom: 1\nnodes:\n  a: {type: toy.Mean}\n")
    assert reported(run, ConfigError) == (
        f"{run}:1: {run} is no saved pipeline\n  fix: give the pipeline.yaml that a run wrote"
    )


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "/etc/passwd", "''", ".", "..", "null", "[1]"]
)
def test_weights_are_only_looked_for_beside_the_description(saved, file):
    saved.write_text(saved.read_text().replace("file: p.safetensors", f"file: {file}"))
    assert "is missing\n  fix: copy it from where the pipeline was saved" in reported(saved)


def test_weights_that_are_no_safetensors(saved):
    weights = saved.with_suffix(".safetensors")
    good = sha256(weights.read_bytes())
    for junk in (b"", b"x" * 100, b"\x05" + bytes(7) + b"[1,2]", b"\xff" * 30):
        weights.write_bytes(junk)
        text = saved.read_text().replace(good, sha256(junk))
        (saved.parent / "junk.yaml").write_text(text)
        assert "is no safetensors file" in reported(saved.parent / "junk.yaml")


def test_state_of_another_shape(saved, monkeypatch):
    def build(self, sizes):
        self.register_buffer("mean", torch.zeros(9, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))

    monkeypatch.setattr(Mean, "build", build)
    assert reported(saved) == (
        f"{saved.with_suffix('.safetensors')}: node 'mean': Mean.mean was saved with shape (4,), "
        "this node has (9,)\n  fix: load it with the plugin versions it was saved with"
    )
    monkeypatch.setattr(Mean, "restore", lambda self, state: state["absent"])
    assert "node 'mean': KeyError('absent')" in reported(saved)
