"""A loaded pipeline with other data: sources without optional ports, other bands, other stages."""

import pytest
import torch

import specloom
from specloom import Pipeline, PortError
from specloom.execution import run_folder
from specloom_cubes.sources.synthetic import Synthetic

SMALL = ["data.config.scenes=12", "data.config.height=32", "data.config.width=32"]
CONFIG = specloom.__file__.partition("kernel")[0] + "configs/rx_statistical.yaml"


@pytest.fixture
def saved(tmp_path):
    run = specloom.load(CONFIG, SMALL)
    run.run()
    run_folder.write(run, tmp_path)
    return tmp_path / "pipeline.yaml"


def test_it_takes_a_source_without_the_optional_ports(saved):
    source = Synthetic(scenes=8, height=16, width=16)
    assert "valid" not in source.outputs
    graph = Pipeline.load(saved).graph(source)
    assert "batch.valid" not in {link.source for link in graph.connections}


def test_a_cube_of_other_bands_is_refused_by_the_plan(saved):
    plan = specloom.Run(Pipeline.load(saved).graph(), Synthetic()).plan("predict", ["rx.scores"])
    with pytest.raises(PortError) as caught:
        plan({"cube": torch.zeros(1, 4, 4, 60)})
    assert caught.value.what.startswith("data.cube axis C is 60 but should be 61")


def test_stages_survive(tmp_path):
    run = specloom.load(CONFIG, [*SMALL, "nodes.metrics.stages=[val, test]"])
    run.run()
    run_folder.write(run, tmp_path)
    loaded = Pipeline.load(tmp_path / "pipeline.yaml")
    assert loaded.graph(Synthetic(scenes=8)).stages["metrics"] == ("val", "test")
