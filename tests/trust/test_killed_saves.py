"""``kill -9`` while a pipeline is saved leaves the old one or the new one, whole."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# A process that is killed cannot tell what it saw, so that it is the child of one that can.
# That one imports torch once and forks, which costs milliseconds; the kernel keeps no threads.
SCRIPT = """
    import itertools, os, random, signal, sys, time
    from pathlib import Path
    import numpy as np
    import torch
    from specloom import Pipeline
    from specloom_cubes.data_node import AnomalyDataNode
    from specloom_cubes.sources.memory import InMemory
    from specloom_normalize.min_max import MinMaxNormalizer
    from specloom_rx.detector import RXGlobal
    from specloom_training.statistical import StatisticalTrainer

    path, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random.seed(seed)

    def fitted(name, bands):
        data, normalizer = AnomalyDataNode([0], name="data"), MinMaxNormalizer(name=name)
        rx, cubes = RXGlobal(name="rx"), np.random.default_rng(bands).random((1, 30, 30, bands))
        pipeline = Pipeline(name)
        pipeline.connect((data.outputs.cube, normalizer.data), (normalizer.normalized, rx.data))
        source = InMemory(train=[{"cube": cubes, "wavelengths": np.linspace(400, 900, bands)}])
        StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
        return pipeline

    known = {name: fitted(name, bands) for name, bands in (("first", 20), ("second", 90))}

    def found():
        # Which of the two it is; it must be that one in every number, and only that one.
        loaded = Pipeline.load(path)
        state, mine = loaded.graph().state(), known[loaded.name].graph().state()
        assert loaded.serialize() == known[loaded.name].serialize()
        assert state.keys() == mine.keys()
        assert all(torch.equal(state[key], mine[key]) for key in mine)
        return loaded.name

    known["first"].save_to_file(path)
    for kill in range(kills):
        if (child := os.fork()) == 0:
            for name in itertools.cycle(known):
                known[name].save_to_file(path)
        time.sleep(random.uniform(0.002, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        before = found()
        if kill % 2:  # else the next child meets what this one left
            after = next(name for name in known if name != before)
            known[after].save_to_file(path)
            assert found() == after
        print(before)
    known["second"].save_to_file(path)
    assert found() == "second"
"""


def killed(path: Path, kills: int, seed: int) -> list[str]:
    """What was found after each kill."""
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path), str(kills), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    # What a killed process was writing stays behind under a hidden name of its own.
    names = {file.name for file in path.parent.iterdir() if not file.name.startswith(".")}
    assert names == {"pipeline.yaml", "pipeline.safetensors"}
    return made.stdout.split()


def test_a_kill_while_saving_harms_nothing(tmp_path):
    assert len(killed(tmp_path / "pipeline.yaml", 3, seed=1)) == 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_while_saving_harm_nothing(tmp_path, seed):
    found = killed(tmp_path / "pipeline.yaml", 100, seed)
    assert len(found) == 100
    assert set(found) == {"first", "second"}
