"""Items are read from their tickets alone, by any source of the class, from any folder."""

import json
import shutil

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import Blocks, Folder, InMemory, Scene, Synthetic
from specloom_cubes.sources import folder as folder_module


@pytest.fixture
def here(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many").mkdir()
    for number in range(4):
        np.save(f"many/{number}.npy", rng.random((4, 5, 3)))
    np.save("many/1_gt.npy", np.eye(4, 5, dtype=np.uint8))
    np.save("scene.npy", rng.integers(0, 9, (6, 7, 3)).astype(np.uint16))
    np.save("mask.npy", np.arange(42).reshape(6, 7))
    (tmp_path / "nm.csv").write_text("wavelength_nm\n410\n510\n610.25\n")
    return tmp_path


SOURCES = {
    "blocks": lambda: Blocks("scene.npy", "mask.npy", block=4, batch_size=2, wavelengths="nm.csv"),
    "folder": lambda: Folder("many", split=(1.0, 0.0, 0.0), batch_size=3, wavelengths="nm.csv"),
    "scene": lambda: Scene("scene.npy", "mask.npy", valid="mask.npy"),
    "synthetic": lambda: Synthetic(scenes=8, height=8, width=9, bands=4, batch_size=3),
}
OTHERS = {
    "blocks": lambda: Blocks("absent.npy", block=1),
    "folder": lambda: Folder("absent"),
    "scene": lambda: Scene("absent.npy"),
    "synthetic": lambda: Synthetic(seed=1, bands=5),
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_source_of_the_class_reads_a_ticket_in_any_folder(here, monkeypatch, name):
    source = SOURCES[name]()
    tickets = json.loads(json.dumps(list(source.tickets("train"))))
    batches = list(source.batches("train"))
    monkeypatch.chdir("/")
    other = OTHERS[name]()
    items = [other.read_ticket(ticket) for ticket in tickets]
    for entry in ("cube", "mask"):
        images = [image for batch in batches for image in batch[entry]]
        assert len(images) == len(items)
        for item, image in zip(items, images, strict=True):
            assert item[entry].dtype == image.dtype
            np.testing.assert_array_equal(item[entry], image[None])
    for ticket, item in zip(tickets, items, strict=True):
        assert ticket["bytes"] == item["cube"].nbytes


def test_a_ticket_of_a_folder_needs_neither_the_listing_nor_the_other_cubes(here, monkeypatch):
    source = SOURCES["folder"]()
    tickets = list(source.tickets("train"))
    expected = source.read("train", [1])
    assert tickets[1] == {
        "cube": f"{here}/many/1.npy",
        "cube_variable": None,
        "mask": f"{here}/many/1_gt.npy",
        "mask_variable": None,
        "labelled": True,
        "colors": None,
        "valid": False,
        "valid_file": None,
        "valid_variable": None,
        "find_mask": True,
        "wavelengths": [410.0, 510.0, 610.25],
        "shape": [4, 5, 3],
        "reading": {
            "axes": None,
            "shape": None,
            "scale": "physical",
            "calibration": None,
            "bands": None,
            "binning": None,
            "wavelengths": None,
        },
        "bytes": 480,
    }
    for file in ("0.npy", "2.npy", "3.npy"):
        (here / "many" / file).unlink()
    for name in ("find_cubes", "find_masks", "divide"):
        monkeypatch.setattr(folder_module, name, lambda *arguments: pytest.fail("it was listed"))
    found = Folder("absent").read_ticket(tickets[1])
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_cube_that_is_not_what_its_ticket_says(here):
    ticket = next(SOURCES["folder"]().tickets("train"))
    np.save("many/0.npy", np.zeros((4, 6, 3)))
    with pytest.raises(DataError) as error:
        Folder("many").read_ticket(ticket)
    assert str(error.value) == (
        f"{here}/many/0.npy has 6 columns, and had 5 when the folder was listed\n"
        "  fix: do not change the folder while it is read; start again"
    )


def test_addresses_in_tickets_stay_as_they_are(here):
    (ticket,) = Scene("scene.npy", mask="s3://bucket/mask.png").tickets("test")
    assert (ticket["cube"], ticket["mask"]) == (f"{here}/scene.npy", "s3://bucket/mask.png")


def test_a_scene_stays_open_for_the_tickets_of_its_blocks(here, monkeypatch):
    source = SOURCES["blocks"]()
    tickets = list(source.tickets("train"))
    assert len(tickets) > 1
    other = OTHERS["blocks"]()
    other.read_ticket(tickets[0])
    shutil.move("mask.npy", "moved.npy")
    for ticket in tickets[1:]:
        other.read_ticket(ticket)


def test_batches_in_memory_have_no_tickets():
    assert not hasattr(InMemory(), "tickets")
