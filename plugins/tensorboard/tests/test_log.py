import math
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from specloom import UnavailableError
from specloom_tensorboard.log import PREFIX, Log


def read(folder):
    """Everything that TensorBoard's own reader finds: scalars and images by tag."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    tags = found.Tags()
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in tags["scalars"]}
    return scalars, {tag: found.Images(tag) for tag in tags["images"]}


def steps(folder, tag):
    return [step for step, _ in read(folder)[0][tag]]


def test_numbers_and_pictures_are_read_back_by_tensorboard(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    log = Log(tmp_path / "runs/one")
    assert not (tmp_path / "runs").exists()
    for step in range(3):
        log.write(step, {"val/metrics/iou": 0.1 * step, "val/metrics/images": 7})
        log.write(step, {"val/rgb/image_0": picture, "val/rgb/notes": None, "x": picture[0]})
    scalars, images = read(tmp_path / "runs/one")
    assert set(scalars) == {"val/metrics/iou", "val/metrics/images"}
    assert scalars["val/metrics/images"] == [(0, 7), (1, 7), (2, 7)]
    values = [value for _, value in scalars["val/metrics/iou"]]
    np.testing.assert_array_equal(values, np.float32([0, 0.1, 0.2]))
    assert list(images) == ["val/rgb/image_0"]
    for step, image in enumerate(images["val/rgb/image_0"]):
        assert (image.step, image.width, image.height) == (step, 60, 40)
        decoded = np.asarray(Image.open(BytesIO(image.encoded_image_string)))
        np.testing.assert_array_equal(decoded, picture)


def test_nan_and_infinity_are_written(tmp_path):
    Log(tmp_path).write(0, {"a": math.nan, "b": math.inf, "c": 1e300, "d": np.float32(2)})
    scalars, _ = read(tmp_path)
    assert math.isnan(scalars["a"][0][1])
    assert [scalars[tag][0][1] for tag in "bcd"] == [math.inf, math.inf, 2.0]


def test_texts_and_distributions_are_read_back_by_tensorboard(tmp_path):
    weights = np.float32([0.2, 0.2, 2.6, np.nan])
    log = Log(tmp_path)
    for step in range(2):
        chosen = {"train/selector/bands": "8, 31, 54", "train/selector/weights": weights[:3]}
        log.write(step, {**chosen, "nan": weights, "none": weights[:0]})
    found = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0, "histograms": 0})
    found.Reload()
    assert found.Tags()["tensors"] == ["train/selector/bands"]
    texts = found.Tensors("train/selector/bands")
    assert [(one.step, one.tensor_proto.string_val[0]) for one in texts] == [
        (0, b"8, 31, 54"),
        (1, b"8, 31, 54"),
    ]
    metadata = found.SummaryMetadata("train/selector/bands")
    assert metadata.plugin_data.plugin_name == "text"
    assert found.Tags()["histograms"] == ["train/selector/weights"]
    first = found.Histograms("train/selector/weights")[0].histogram_value
    assert (first.num, sum(first.bucket), first.bucket[0]) == (3, 3, 2)
    assert first.min == pytest.approx(0.2)
    assert first.max == pytest.approx(2.6)
    assert first.sum == pytest.approx(3)


def test_nothing_to_write_makes_no_file(tmp_path):
    Log(tmp_path / "new").write(0, {"val/x/record": {"a": 1}})
    assert not (tmp_path / "new").exists()


def test_an_evaluation_after_the_training_goes_after_its_steps(tmp_path):
    log = Log(tmp_path)
    for epoch in range(4):
        log.write(epoch, {"train/bce/loss": 1.0, "val/m/iou": 0.5})
    log.write(0, {"val/m/iou": 0.9, "val/m/f1": 0.8})
    log.write(0, {"test/m/iou": 0.7})
    assert steps(tmp_path, "val/m/iou") == [0, 1, 2, 3, 4]
    assert steps(tmp_path, "val/m/f1") == [4]
    assert steps(tmp_path, "test/m/iou") == [0]


def test_a_new_run_takes_the_place_of_an_earlier_one(tmp_path):
    for value in (0.1, 0.9):
        log = Log(tmp_path)
        for epoch in range(3 if value < 0.5 else 2):
            log.write(epoch, {"val/m/iou": value})
    assert read(tmp_path)[0]["val/m/iou"] == [(0, pytest.approx(0.9)), (1, pytest.approx(0.9))]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("first", ["train/bce/loss", "val/m/iou"])
def test_a_resumed_run_replaces_the_epochs_that_run_again(tmp_path, first):
    log = Log(tmp_path)
    for epoch in range(8):
        log.write(epoch, {"train/bce/loss": 1.0, "val/m/iou": 0.1})
    for again in (6, 4):  # resumed twice
        log = Log(tmp_path, resumed=True)
        for epoch in range(again, 10):
            log.write(epoch, {first: again})
            log.write(epoch, {({"train/bce/loss", "val/m/iou"} - {first}).pop(): again})
    for tag, earlier in (("train/bce/loss", 1.0), ("val/m/iou", 0.1)):
        want = [(epoch, earlier if epoch < 4 else 4) for epoch in range(10)]
        assert read(tmp_path)[0][tag] == [(s, pytest.approx(v)) for s, v in want]
    log.write(0, {"val/m/iou": 0.9})
    assert steps(tmp_path, "val/m/iou")[-1] == 10


def test_a_resumed_run_that_only_evaluates_drops_nothing(tmp_path):
    log = Log(tmp_path)
    for epoch in range(5):
        log.write(epoch, {"train/bce/loss": 1.0, "val/m/iou": 0.1})
    log = Log(tmp_path, resumed=True)
    log.write(0, {"val/m/iou": 0.9})
    log.write(0, {"test/m/iou": 0.8})
    assert steps(tmp_path, "train/bce/loss") == [0, 1, 2, 3, 4]
    assert steps(tmp_path, "val/m/iou") == [0, 1, 2, 3, 4, 5]
    assert steps(tmp_path, "test/m/iou") == [0]


def test_a_resumed_run_that_starts_anew_or_finds_nothing(tmp_path):
    Log(tmp_path, resumed=True).write(0, {"train/bce/loss": 1.0})
    Log(tmp_path, resumed=True).write(0, {"train/bce/loss": 2.0})
    assert read(tmp_path)[0] == {"train/bce/loss": [(0, 2.0)]}


def test_a_crash_within_a_record_loses_only_that_record(tmp_path):
    log = Log(tmp_path)
    for epoch in range(3):
        log.write(epoch, {"train/bce/loss": epoch})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    log = Log(tmp_path, resumed=True)
    for epoch in range(2, 4):
        log.write(epoch, {"train/bce/loss": epoch})
    assert read(tmp_path)[0]["train/bce/loss"] == [(epoch, epoch) for epoch in range(4)]


def test_files_are_read_in_the_order_in_which_they_were_made(tmp_path):
    Log(tmp_path).write(0, {"a": 1})
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f"{PREFIX}9999999998.host.1")  # by a clock that was wrong
    (tmp_path / f"{PREFIX}odd.host").touch()
    Log(tmp_path, resumed=True).write(1, {"a": 2})
    assert steps(tmp_path, "a") == [0, 1]
    assert len(list(tmp_path.glob(f"{PREFIX}9999999999.*"))) == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError) as caught:
        Log(tmp_path / "file" / "run").write(0, {"a": 1})
    assert "TensorBoard's file cannot be written to" in caught.value.what
    assert caught.value.fix == "choose another output_dir"
