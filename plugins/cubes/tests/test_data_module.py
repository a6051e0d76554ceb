"""Every source as a data module: set-up by stage, and a loader for each split."""

import numpy as np
import pytest
import torch

from specloom import ConfigError, DataError
from specloom_cubes import Blocks, Folder, InMemory, OneCube, Scene, Synthetic
from specloom_cubes.sources.cu3s import SingleCu3sDataModule
from specloom_cubes.sources.data_module import DataModule


@pytest.mark.parametrize(
    "source", [Blocks, Folder, InMemory, OneCube, Scene, SingleCu3sDataModule, Synthetic]
)
def test_every_source_is_a_data_module(source):
    assert issubclass(source, DataModule)


def synthetic():
    return Synthetic(scenes=8, height=16, width=16, bands=5, batch_size=3)


def test_loaders_have_the_batches_of_the_splits_as_tensors():
    source = synthetic()
    source.setup(stage="fit")
    loaders = {
        "train": source.train_loader(),
        "val": source.val_loader(),
        "test": source.test_loader(),
        "predict": source.predict_loader(),
    }
    for split, loader in loaders.items():
        assert len(loader) == source.count(split)
        twice = [list(loader), list(loader)]
        for batches in twice:
            for batch, expected in zip(batches, source.batches(split), strict=True):
                assert batch.keys() == expected.keys()
                for name, value in batch.items():
                    assert isinstance(value, torch.Tensor)
                    np.testing.assert_array_equal(value.numpy(), expected[name])


def test_a_read_only_big_endian_array_becomes_a_tensor():
    cube = np.arange(12, dtype=">f4").reshape(1, 2, 2, 3)
    cube.flags.writeable = False
    (batch,) = InMemory(train=[{"cube": cube}]).train_loader()
    assert batch["cube"].tolist() == cube.tolist()


def test_a_stage_that_does_not_exist_is_an_error():
    with pytest.raises(ConfigError) as caught:
        synthetic().setup("train")
    assert str(caught.value) == (
        "there is no stage 'train' of a data module\n"
        "  fix: use one of: fit, predict, test, validate"
    )


def test_a_stage_without_its_split_is_an_error():
    source = InMemory(train=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}])
    source.setup()
    source.setup("fit")
    with pytest.raises(ConfigError) as caught:
        source.setup("test")
    assert str(caught.value) == (
        "the stage 'test' needs the split 'test', which is empty\n"
        "  fix: change how the data are split"
    )


def test_absent_files_are_an_error_of_the_set_up(tmp_path):
    with pytest.raises(DataError, match="there is no"):
        Folder(str(tmp_path / "nothing")).setup("fit")
