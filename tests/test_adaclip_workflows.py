"""AdaCLIP behind a mixer or a band selector: what learns, what stays, what is saved and shown."""

import hashlib
import importlib.util
import socket
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open

import specloom
from specloom import IntegrityError, Problems, UnavailableError
from specloom.cli import cli
from specloom.execution import run_folder
from specloom_adaclip.training.tiny import tiny_weights
from specloom_adaclip.weights.store import FOLDER, Store
from specloom_cubes.sources.synthetic import Synthetic

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs/adaclip").glob("*.yaml"))
SMALL = [
    *(f"data.config.{one}" for one in ("scenes=8", "height=32", "width=32", "clean_scenes=0")),
    "nodes.adaclip.config.image_size=64",
]
SHORT = [*SMALL, "phases.1.config.epochs=2"]
LEARNS = {"drcnn": "mixer", "concrete": "selector"}
PUBLIC = ["weight_name=pretrained_all", "backbone=ViT-L-14-336", "image_size=518"]
ENDS = ["adaclip.scores", "decider.decisions"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # advice on trainings this short


def file(name):
    return ROOT / f"configs/adaclip/{name}.yaml"


def compare():
    path = ROOT / "examples/compare_adaclip.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def digest(tensors):
    """A hash of tensors by name, to the last bit."""
    made = hashlib.sha256()
    for name, one in sorted(tensors.items()):
        made.update(name.encode() + one.detach().contiguous().numpy().tobytes())
    return made.hexdigest()


def digests(run):
    """A hash of each node, and of the detector's model with its towers and adapters."""
    nodes = run.graph.nodes.items()
    states = {name: digest(node.state()) for name, node in nodes if hasattr(node, "state")}
    return states | {"model": digest(run.graph.nodes["adaclip"]._engine.model.state_dict())}


@pytest.fixture(scope="module", params=LEARNS)
def trained(request):
    """A run after its statistics, what was in it then, and the same run after its gradients."""
    run = specloom.load(file(request.param), SHORT, seed=0)
    statistics = run.phases.pop(0)
    statistics[1].train(run)
    before = digests(run)
    run.run()
    return LEARNS[request.param], run, before


def test_what_learns_moves_and_all_else_stays_bit_identical(trained):
    learning, run, before = trained
    after = digests(run)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {learning}


def test_gradients_pass_through_the_frozen_detector(trained):
    learning, run, _ = trained
    node, detector = run.graph.nodes[learning], run.graph.nodes["adaclip"]
    node.unfreeze()
    node.train()
    parameters = dict(node.named_parameters())
    assert parameters
    run.plan("train", ["iou.loss"])(next(run.batches("train")))["iou.loss"].backward()
    reached = {name for name, one in parameters.items() if one.grad.abs().max() > 0}
    node.freeze()
    node.eval()
    # The last bias only shifts what is scaled by its own limits.
    assert set(parameters) - reached <= {"bias_2"}
    assert not any(one.requires_grad for one in detector._engine.model.parameters())
    assert all(one.grad is None for one in detector._engine.model.parameters())


def test_a_saved_run_holds_what_was_learned_and_hashes_of_the_rest(trained, tmp_path, monkeypatch):
    learning, run, _ = trained
    run_folder.write(run, tmp_path)
    saved = tmp_path / "pipeline.safetensors"
    with safe_open(saved, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
    of = {name.partition(".")[0] for name in tensors}
    assert {learning, "adaclip"} <= of
    hashes = {n: bytes(one.tolist()).hex() for n, one in tensors.items() if "adaclip" in n}
    store = Store()
    assert hashes == {
        "adaclip.backbone_sha256": store.entry("tiny").sha256,
        "adaclip.adapter_sha256": store.entry("tiny-adapter").sha256,
    }
    # A sample of the training data is saved too, to tell data that the pipeline does not know.
    sample = sum(one.nbytes for one in run.graph.fitted_on.values())
    assert sample < 1024 * 61 * 4 + 10_000
    assert saved.stat().st_size < 100_000 + sample

    loaded = specloom.Run(specloom.Pipeline.load(tmp_path / "pipeline.yaml").graph(), run.source)
    batch = next(run.batches("test"))
    with run.inference():
        ours = run.plan("predict", ENDS)(batch)
    with loaded.inference():
        theirs = loaded.plan("predict", ENDS)(batch)
    assert all(torch.equal(ours[end], theirs[end]) for end in ENDS)

    monkeypatch.setenv(FOLDER, str(tmp_path / "empty"))
    with pytest.raises(IntegrityError, match=r"the backbone 'tiny' is not in the store.*SHA-256"):
        specloom.Pipeline.load(tmp_path / "pipeline.yaml")


@pytest.fixture(scope="module")
def tuned():
    """A run that trains AdaCLIP's adapters, and what was in it before."""
    run = specloom.load(file("tuned"), [*SMALL, "phases.0.config.epochs=2"], seed=0)
    run.place()
    before = run.graph.nodes["adaclip"]._engine.model
    towers, adapters = digest(before.clip.state_dict()), digest(before.adapters.state_dict())
    run.run()
    return run, towers, adapters


def test_prompts_and_projections_are_trained_and_towers_stay_bit_identical(tuned):
    run, towers, adapters = tuned
    model = run.graph.nodes["adaclip"]._engine.model
    assert digest(model.clip.state_dict()) == towers
    assert digest(model.adapters.state_dict()) != adapters
    assert not any(one.requires_grad for one in model.parameters())


def test_trained_adapters_are_saved_with_the_pipeline(tuned, tmp_path):
    run, _towers, _adapters = tuned
    run.save(tmp_path)
    loaded = specloom.Run(specloom.Pipeline.load(tmp_path / "pipeline.yaml").graph(), run.source)
    batch = next(run.batches("test"))
    with run.inference():
        ours = run.plan("predict", ENDS)(batch)
    with loaded.inference():
        theirs = loaded.plan("predict", ENDS)(batch)
    assert all(torch.equal(ours[end], theirs[end]) for end in ENDS)


def test_two_losses_and_more_train_selector_and_mixer_through_the_detector():
    run = specloom.load(file("multi_loss"), SHORT, seed=0)
    statistics = run.phases.pop(0)
    statistics[1].train(run)
    before = digests(run)
    run.run()
    after = digests(run)
    assert {name for name in after if after[name] != before[name]} == {"selector", "mixer"}
    losses = {
        name: run.metrics["train"][f"{name}/loss"] for name in ("iou", "entropy", "diversity")
    }
    assert run.metrics["train"]["total/loss"] == pytest.approx(sum(losses.values()))
    assert all(value > 0 for value in losses.values())


@pytest.mark.parametrize("name", ["supervised_cir", "supervised_windowed"])
def test_supervised_selectors_choose_one_band_of_each_window(name):
    run = specloom.load(file(name), SMALL, seed=0)
    run.run()
    node = run.graph.nodes["bands"]
    centres = sorted(run.source.wavelengths[node.selected_indices.tolist()])
    for centre, (least, most) in zip(centres, sorted(node.windows), strict=True):
        assert least <= centre <= most
    assert "metrics/iou" in run.metrics["test"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_missing_weights_are_told_before_a_pixel_is_read(path, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setattr(socket, "socket", None)
    sets = [f"nodes.adaclip.config.{one}" for one in PUBLIC]
    reported = CliRunner().invoke(
        cli, ["check", "--weights", str(path), *(part for one in sets for part in ("--set", one))]
    )
    assert reported.exit_code == 2
    assert "the backbone 'ViT-L-14-336' is not in the store of weights\n" in reported.output
    assert "run: specloom weights fetch ViT-L-14-336\n" in reported.output
    assert "run: specloom weights fetch pretrained_all --trust-first-use\n" in reported.output
    assert CliRunner().invoke(cli, ["check", str(path), "--set", sets[0]]).exit_code == 0

    def scene(*_):
        raise AssertionError("a pixel was read")

    monkeypatch.setattr(Synthetic, "scene", scene)
    with pytest.raises(Problems, match="specloom weights fetch ViT-L-14-336") as raised:
        specloom.load(path, sets).run()
    assert [type(one) for one in raised.value.errors] == [UnavailableError] * 2


def test_the_example_prints_the_documents_table(capsys):
    tiny_weights(Store())
    sets = [part for one in SMALL for part in ("--set", one)]
    compare().main(["--seeds", "3", "--only", "pca", "mrmr", *sets])
    reported = capsys.readouterr()
    header, *rows = [line.split("  ") for line in reported.out.splitlines()]
    assert " ".join(header).split() == ["pca", "mrmr"]
    assert [row[0] for row in rows] == [
        "val IoU",
        "test IoU",
        "precision",
        "recall",
        "F1",
        "training (s)",
        "images per s",
    ]
    assert reported.err.split() == ["pca", "3", "mrmr", "3"]


def test_several_seeds_become_mean_and_deviation():
    columns = {
        "pca": [{"test IoU": 0.1, "training (s)": 2.0}, {"test IoU": 0.3, "training (s)": 3}]
    }
    assert list(compare().table(columns)) == [
        "              pca",
        "test IoU      0.200 ± 0.141",
        "training (s)  2.5 ± 0.7",
    ]


@pytest.mark.soak
def test_a_mixer_learned_through_the_detector_beats_principal_components():
    areas = {}
    for name in compare().DOCUMENTS:
        run = specloom.load(file(name), seed=0)
        run.run()
        areas[name] = run.metrics["test"]["metrics/roc_auc"]
    assert areas["drcnn"] > areas["concrete"] > areas["pca"]
    assert areas["drcnn"] > 0.9
