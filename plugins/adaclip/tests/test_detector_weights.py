"""Which weights a detector takes, what it saves of them, and what it says when they are absent."""

import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from specloom import IntegrityError, Pipeline, Plugins, SpecloomError, UnavailableError
from specloom.testing import difference, run
from specloom.torch import TorchRuntime
from specloom_adaclip.detector import AdaCLIPDetector
from specloom_adaclip.training import tiny
from specloom_adaclip.training.tiny import tiny_weights
from specloom_adaclip.weights.store import FOLDER, Store

sys.path.append(str(Path(__file__).parent))
toys = import_module("rgb_toys")
TINY = {"weight_name": "tiny", "backbone": "tiny", "image_size": 32, "kmeans": "device"}
RGB = torch.rand(1, 12, 16, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of its own with copies of the tiny weights."""
    towers, adapters = tiny_weights(Store())
    monkeypatch.setenv(FOLDER, str(tmp_path / "store"))
    store = Store()
    store.put("tiny", towers, "a test")
    store.put("tiny-adapter", adapters, "a test")
    return store


def plugins():
    return Plugins({"adaclip": "specloom_adaclip", "toys": "rgb_toys"})


def pipeline(**params):
    made = Pipeline("one", plugins())
    detector = AdaCLIPDetector(**{**TINY, **params}, name="adaclip")
    made.connect((toys.Pictures(name="pictures").picture, detector.rgb_image))
    return made


def test_the_state_is_two_hashes(store):
    node = AdaCLIPDetector(**TINY)
    before = node.state()
    node.prepare("cpu")
    assert not difference(node.state(), before)  # known before they are loaded
    hashes = {name: bytes(one.tolist()).hex() for name, one in node.state().items()}
    assert hashes == {
        "backbone_sha256": store.entry("tiny").sha256,
        "adapter_sha256": store.entry("tiny-adapter").sha256,
    }
    size = len(TorchRuntime("cpu").dump(node.state(), {}))
    assert size < 500
    nothing = AdaCLIPDetector().state()
    assert not torch.cat(list(nothing.values())).any()


def test_a_saved_pipeline_holds_no_clip_and_says_what_is_missing(store, tmp_path):
    saved = tmp_path / "pipeline.yaml"
    made = pipeline()
    made.nodes["adaclip"].prepare("cpu")
    want = run(made.nodes["adaclip"], {"rgb_image": RGB})
    made.save_to_file(saved)
    with safe_open(saved.with_suffix(".safetensors"), "np") as file:
        assert sorted(file.keys()) == ["adaclip.adapter_sha256", "adaclip.backbone_sha256"]
    assert saved.with_suffix(".safetensors").stat().st_size < 1000
    loaded = Pipeline.load(saved, plugins())
    assert not difference(run(loaded.nodes["adaclip"], {"rgb_image": RGB}), want)
    gone = store.entry("tiny-adapter").sha256
    store.file(gone).unlink()
    with pytest.raises(IntegrityError, match=rf"'tiny-adapter' is not in the .*SHA-256 {gone}"):
        Pipeline.load(saved, plugins())


def test_saved_weights_are_found_under_another_name(store):
    node = AdaCLIPDetector(**TINY)
    node.prepare("cpu")
    state = node.state()
    (store.folder / "names/tiny-adapter.json").rename(store.folder / "names/other.json")
    twin = AdaCLIPDetector(**TINY)
    twin.restore(state)
    assert not difference(run(twin, {"rgb_image": RGB}), run(node, {"rgb_image": RGB}))


def test_other_weights_than_the_saved_ones_are_refused(store, tmp_path):
    from safetensors.torch import load_file, save_file

    mine = tmp_path / "adapter.safetensors"
    shutil.copy(store.find("tiny-adapter"), mine)
    node = AdaCLIPDetector(**TINY, checkpoint_path=str(mine))
    node.prepare("cpu")
    state = node.state()
    store.find("tiny-adapter").unlink()  # else the store has the very file
    save_file({name: one + 1 for name, one in load_file(mine).items()}, mine)
    twin = AdaCLIPDetector(**TINY, checkpoint_path=str(mine))
    twin.restore(state)
    with pytest.raises(IntegrityError, match=r"the adapter 'tiny-adapter' has the SHA-256"):
        twin.prepare("cpu")
    mine.unlink()
    with pytest.raises(
        IntegrityError, match=r"the adapter's file .*adapter.safetensors is missing"
    ):
        AdaCLIPDetector(**TINY, checkpoint_path=str(mine)).restore(state)


def test_a_stored_file_that_changed_is_refused(store):
    with store.find("tiny-adapter").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    with pytest.raises(IntegrityError, match="'tiny-adapter' has the SHA-256"):
        AdaCLIPDetector(**TINY).prepare("cpu")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"backbone": "ViT-L-14-336"},
            "the backbone 'ViT-L-14-336' is not in the store of weights\n"
            "  fix: run: specloom weights fetch ViT-L-14-336",
        ),
        (
            {"weight_name": "pretrained_all"},
            "the adapter 'pretrained_all' is not in the store of weights\n"
            "  fix: run: specloom weights fetch pretrained_all --trust-first-use",
        ),
        (
            {"weight_name": "mine"},
            "the adapter 'mine' is not in the store of weights\n"
            "  fix: run: specloom weights add mine FILE",
        ),
        (
            {"backbone": "ViT-L14-336"},
            "the backbone 'ViT-L14-336' is not in the store of weights\n"
            "  fix: did you mean 'ViT-L-14-336'? "
            "Otherwise run: specloom weights add ViT-L14-336 FILE",
        ),
        (
            {"checkpoint_path": "no/such.pth"},
            "the adapter's file no/such.pth is missing\n"
            "  fix: give the path of an existing file, or remove it to use the store",
        ),
    ],
)
def test_missing_weights_are_reported_with_the_command_that_gets_them(store, params, message):
    node = AdaCLIPDetector(**{**TINY, **params})
    (error,) = node.missing()
    assert str(error) == message
    assert isinstance(error, UnavailableError)
    with pytest.raises(UnavailableError) as raised:
        node.prepare("cpu")
    assert str(raised.value) == message


def test_all_that_is_missing_is_reported_together(store):
    with pytest.raises(UnavailableError) as raised:
        AdaCLIPDetector().prepare("cpu")
    assert str(raised.value) == (
        "the backbone 'ViT-L-14-336' is not in the store of weights; "
        "the adapter 'pretrained_all' is not in the store of weights\n"
        "  fix: run: specloom weights fetch ViT-L-14-336; "
        "then run: specloom weights fetch pretrained_all --trust-first-use"
    )


def test_adapters_of_another_backbone_are_refused(store, tmp_path):
    from specloom_adaclip.model.adapters import Adapters

    torch.save(Adapters(1024, 768, 768).public_state_dict(), tmp_path / "pretrained_all.pth")
    node = AdaCLIPDetector(**TINY, checkpoint_path=str(tmp_path / "pretrained_all.pth"))
    assert not list(node.missing())
    with pytest.raises(IntegrityError, match=r"pretrained_all.pth: the adapters do not fit this m"):
        node.prepare("cpu")
    with pytest.raises(IntegrityError, match="the adapters do not fit this model"):
        AdaCLIPDetector(**TINY, prompting_depth=3).prepare("cpu")


def test_a_state_of_another_node_is_refused():
    with pytest.raises(IntegrityError, match=r"is wrong in \['adapter_sha256', 'weights'\]"):
        AdaCLIPDetector().restore({"backbone_sha256": torch.ones(32), "weights": torch.ones(1)})


@pytest.mark.parametrize(
    "digits",
    [
        torch.full((32,), 0.5),
        torch.ones(3, dtype=torch.uint8),
        torch.ones(4, 8, dtype=torch.uint8),
        torch.full((32,), -1),
    ],
)
def test_a_hash_of_another_form_is_refused(digits):
    node = AdaCLIPDetector(**TINY)
    state = {**node.state(), "backbone_sha256": digits}
    with pytest.raises(IntegrityError) as caught:
        node.restore(state)
    shape = tuple(digits.shape)
    assert str(caught.value) == (
        f"{node.label}: backbone_sha256 of the state has the shape {shape} and the type "
        f"{digits.dtype}, which is no hash\n  fix: restore the file of the state, or train again"
    )


def test_tiny_weights_are_seeded_and_made_once(tmp_path, monkeypatch):
    files = [tiny_weights(Store(tmp_path / name), steps=2) for name in "ab"]
    assert [one.read_bytes() for one in files[0]] == [one.read_bytes() for one in files[1]]
    monkeypatch.setattr(tiny, "train_tiny", None)
    assert tiny_weights(Store(tmp_path / "a"), steps=2) == files[0]
    with safe_open(files[0][0], "np") as file:
        assert json.loads(file.metadata()["architecture"]) == tiny.CONFIG
    assert isinstance(files[0][0], Path)
    assert issubclass(IntegrityError, SpecloomError)


def test_tiny_weights_find_synthetic_anomalies():
    from sklearn.metrics import roc_auc_score

    rgb, masks = tiny.synthetic_pictures(24, 64, torch.Generator().manual_seed(99))
    node = AdaCLIPDetector(**{**TINY, "image_size": 64}, gaussian_sigma=2.0)
    scores = run(node, {"rgb_image": rgb.permute(0, 2, 3, 1)})["scores"].flatten(1).numpy()
    spoilt = [i for i in range(24) if masks[i].any()]
    found = [roc_auc_score(masks[i].flatten().numpy(), scores[i]) for i in spoilt]
    assert sum(found) / len(found) > 0.75


def test_tiny_weights_are_made_by_one_of_those_who_want_them(tmp_path, monkeypatch):
    made, trained = [], tiny.train_tiny

    def slow(steps):
        made.append(steps)
        time.sleep(0.3)
        return trained(steps)

    monkeypatch.setattr(tiny, "train_tiny", slow)
    with ThreadPoolExecutor(3) as pool:
        found = set(pool.map(lambda _: tiny_weights(Store(tmp_path), steps=1), range(3)))
    assert (len(found), made) == (1, [1])


def test_a_store_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        UnavailableError, match=r"(?s)file: .* set another folder in SPECLOOM_WEIGHTS"
    ):
        tiny_weights(Store(tmp_path / "file"))


def test_tiny_weights_say_what_they_are():
    node = AdaCLIPDetector(**TINY)
    (note,) = node.setup_notes()
    assert "tiny and tiny-adapter are made on this machine for tests, and not pretrained" in str(
        note
    )
    assert note.fix.startswith("leave out weight_name and backbone")
    assert not list(AdaCLIPDetector().setup_notes())
    own = AdaCLIPDetector(checkpoint_path="a.pt", backbone_path="b.pt")
    assert not list(own.setup_notes())
