import json
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_adaclip.engine import stored_architecture
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import NOT_WEIGHTS, architecture, backbone_model
from specloom_adaclip.training.tiny import CONFIG
from specloom_adaclip.weights.reading import read_weights


class Tower(nn.Module):
    """A module as OpenAI's archives are made of: parts within parts, half precision, numbers."""

    def __init__(self):
        super().__init__()
        self.visual = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.register_buffer("input_resolution", torch.tensor(336))
        self.register_buffer("part", torch.arange(12.0).view(3, 4).T[1:])
        self.sizes = [1, 2]

    def forward(self, x):
        return self.visual(x) * self.logit_scale


def archive(path):
    torch.manual_seed(0)
    tower = Tower().half()
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(tower), path)
    return tower.state_dict()


def same(found, want):
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_a_torchscript_archive_is_read_without_torch_jit(tmp_path, monkeypatch):
    want = archive(tmp_path / "clip.pt")
    monkeypatch.setattr(torch.jit, "load", None)
    same(read_weights(tmp_path / "clip.pt").tensors, want)


@pytest.mark.parametrize("name", ["state.pth", "wrapped.pth", "old.pth", "state.safetensors"])
def test_a_state_dict_is_read(tmp_path, name):
    want = {"a.weight": torch.randn(3, 2), "b": torch.arange(4).half()}
    if name == "wrapped.pth":
        torch.save({"state_dict": want}, tmp_path / name)
    elif name == "state.safetensors":
        save_file(want, tmp_path / name, {"made": "here"})
    else:
        torch.save(want, tmp_path / name, _use_new_zipfile_serialization=name != "old.pth")
    found = read_weights(tmp_path / name)
    same(found.tensors, want)
    assert found.metadata == ({"made": "here"} if name.endswith("safetensors") else {})


class Trap:
    """Pickled, it would write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_pickled_code_never_runs(tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"weight": torch.ones(1), "trap": Trap(sprung)}, tmp_path / "state.pth")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    archive(tmp_path / "clip.pt")
    with (
        zipfile.ZipFile(tmp_path / "clip.pt") as good,
        zipfile.ZipFile(tmp_path / "trap.pt", "w") as bad,
    ):
        for name in good.namelist():
            pickled = pickle.dumps(Trap(sprung), protocol=2)
            bad.writestr(name, pickled if name.endswith("/data.pkl") else good.read(name))
    for name, message in (
        ("state.pth", "a pickle of more than tensors"),
        ("bare.pkl", "a pickle of more than tensors"),
        ("trap.pt", r"no TorchScript archive of plain tensors \(it refers to io.open\)"),
    ):
        with pytest.raises(IntegrityError, match=message):
            read_weights(tmp_path / name)
    assert not sprung.exists()


@pytest.mark.parametrize("kind", ["archive", "state.pth", "old.pth", "safetensors"])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.99])
def test_a_file_that_is_cut_off_is_reported(tmp_path, kind, part):
    path = tmp_path / "weights"
    if kind == "archive":
        archive(path)
    elif kind == "safetensors":
        save_file({"a": torch.ones(500)}, path)
    else:
        zipped = kind == "state.pth"
        torch.save({"a": torch.ones(500)}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(IntegrityError, match=r"damaged or cut off|more than tensors") as raised:
        read_weights(path)
    assert raised.value.where == str(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "it is an HTML page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1", "it is no safetensors file, no saved"),
        (b"", "it is no safetensors file, no saved"),
    ],
)
def test_a_file_of_something_else_is_reported(tmp_path, data, message):
    path = tmp_path / "weights"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=message):
        read_weights(path)


def test_other_pickles_and_absent_files_are_reported(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(IntegrityError, match="something else than tensors by name"):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(UnavailableError, match="absent cannot be read: No such file"):
        read_weights(tmp_path / "absent")


def towers():
    import open_clip

    return open_clip.CLIP(**CONFIG).state_dict()


def test_openai_names_load_in_float32_whatever_else_the_archive_holds():
    tensors = {name: value.half() for name, value in towers().items()}
    tensors |= dict.fromkeys(NOT_WEIGHTS, torch.tensor(7))
    model = backbone_model(CONFIG, tensors, 96)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in model.parameters())
    assert model.visual.positional_embedding.shape == (1 + 12 * 12, 96)


def test_a_wrong_architecture_is_reported():
    tensors = towers()
    del tensors["ln_final.bias"]
    tensors["visual.proj"] = tensors["visual.proj"][:, :8]
    with pytest.raises(
        IntegrityError,
        match=r"visual.proj has shape \(96, 8\), not "
        r"\(96, 48\); ln_final.bias is missing",
    ):
        backbone_model(CONFIG, tensors, 64, "clip.pt")
    with pytest.raises(
        IntegrityError, match=r"class_embedding has shape \(96,\), not .*and \d+ more"
    ):
        backbone_model(architecture("ViT-B-32"), towers(), 224)
    adapters = Adapters(96, 32, 48)
    with pytest.raises(IntegrityError, match=r"do not fit this model: .*prompts.0 has shape"):
        adapters.load(Adapters(48, 32, 32).state_dict(), "ada.pth")
    with pytest.raises(IntegrityError, match=r"static_prompts.3 is unknown.*\n  fix: check back"):
        Adapters(96, 32, 48, depth=3).load(adapters.public_state_dict())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-L-14-335", "there is no backbone 'ViT-L-14-335'\n  fix: did you mean 'ViT-L-14-336'"),
        ("ViT-L-14-336-quickgelu", "has QuickGELU, but adapters .*\n  fix: use ViT-L-14-336"),
        ("RN50", "is no CLIP with two plain towers"),
        ("ViT-B-16-SigLIP", "is no CLIP with two plain towers"),
    ],
)
def test_a_backbone_that_cannot_be_used_is_reported(name, message):
    with pytest.raises(ConfigError, match=message):
        architecture(name)


def test_an_image_size_between_multiples_of_the_patch_is_reported():
    with pytest.raises(ConfigError, match=r"image_size is 60, no .* of 8\n  fix: use 56 or 64"):
        backbone_model(CONFIG, towers(), 60)


def test_an_architecture_in_the_file_is_read_or_refused():
    assert stored_architecture({"architecture": json.dumps(CONFIG)}) == CONFIG
    assert stored_architecture({}) is None
    for wrong in ("no json", "[]", "{}"):
        with pytest.raises(
            IntegrityError, match="the metadata of the file have no valid architecture"
        ):
            stored_architecture({"architecture": wrong})
