"""The conformance kit on plain NumPy classes: no base class of the kernel is needed."""

import numpy as np
import pytest

from specloom import NodeError, Port
from specloom.testing import batch_for, built, checks_of, failures_of, fit_batches

VALID = Port("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")


class Largest:
    """A plain NumPy node that fits and keeps."""

    inputs = {"scores": Port("B H W 1", doc="Scores."), "valid": VALID}
    outputs = {"share": Port("B H W 1", doc="Scores over the largest one.")}
    locality, array_library = "pixel", "numpy"
    fit_passes, fitted = 1, False

    def build(self, sizes):
        self.largest = np.zeros(())

    def forward(self, scores, valid=None):
        if not self.fitted:
            raise NodeError("Largest is not fitted")
        return {"share": (scores / self.largest).astype("float32")}

    def fit_start(self, pass_):
        self.fitted, self.found = False, np.array(-np.inf)

    def fit_update(self, scores, valid=None):
        used = scores[np.isfinite(scores) & (True if valid is None else valid)]
        self.found = np.maximum(self.found, used.max(initial=-np.inf))

    def fit_state(self):
        return {"found": self.found}

    def fit_merge(self, state):
        self.found = np.maximum(self.found, state["found"])

    def fit_end(self):
        if np.isinf(self.found):
            raise NodeError("Largest was given nothing")
        self.largest, self.fitted = np.asarray(self.found, "float64"), True

    def state(self):
        return {"largest": self.largest, "fitted": np.array(self.fitted)}

    def restore(self, state):
        if state.keys() != {"largest", "fitted"}:
            raise NodeError("this state is another node's")
        self.largest, self.fitted = state["largest"], bool(state["fitted"])


def test_a_good_fit_passes_every_check():
    assert len(dict(checks_of(Largest))) >= 20
    assert failures_of(Largest) == {}


class ForgetsToSayFitted(Largest):
    def restore(self, state):
        super().restore(state)
        self.fitted = True


class RefusesVaguely(Largest):
    def forward(self, scores, valid=None):
        if not self.fitted:
            raise NodeError("not now")
        return super().forward(scores)


class CannotSave(Largest):
    state = None


class RemembersOldFit(Largest):
    def fit_start(self, pass_):
        before = self.found if self.fitted else -np.inf
        self.fitted, self.found = False, np.array(before)


WRONG = {
    ForgetsToSayFitted: {"unfitted_refuses"},
    RefusesVaguely: {"unfitted_refuses"},
    CannotSave: {"state_round_trips", "protocols_are_whole"},
    RemembersOldFit: {"fit_forgets"},
}


@pytest.mark.parametrize(
    ("cls", "caught"), WRONG.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_wrong_fits_fail_exactly_their_checks(cls, caught):
    assert set(failures_of(cls)) == caught


class Labels:
    """A node for which random integers will not do."""

    inputs = {
        "mask": Port("B H W", dtype="integer", doc="Classes, 10 or 20."),
        "wavelengths": Port("C", dtype="real", unit="nm", host=True, doc="Band centres."),
        "weights": Port("n_bands", optional=True, doc="Weights."),
    }
    outputs = {"anomalous": Port("B H W", dtype="bool", doc="Where the class is 20.")}
    locality, array_library = "pixel", "numpy"

    def __init__(self, n_bands: int | None = None) -> None:
        self.n_bands = n_bands

    @staticmethod
    def example_batch(sizes):
        images = np.arange(sizes["B"] * sizes["H"] * sizes["W"]) % 13 > 9
        shape = (sizes["B"], sizes["H"], sizes["W"])
        return {"mask": np.where(images, np.int16(20), np.int16(10)).reshape(shape)}

    def forward(self, mask, wavelengths, weights=None):
        assert set(np.unique(mask)) == {10, 20}
        return {"anomalous": mask == 20}


def test_batches_have_distinct_sizes_and_follow_seed_sizes_and_example():
    assert failures_of(Labels) == {}
    node = built(Labels)
    batch, later = batch_for(node), batch_for(node, seed=1)
    assert batch["mask"].shape == (2, 5, 7)
    assert batch["mask"].dtype == np.int16
    assert (batch["mask"] != later["mask"]).any()
    assert len(batch["wavelengths"]) == 31
    assert (np.diff(batch["wavelengths"]) > 0).all()
    assert "weights" not in batch
    assert batch_for(node, {"B": 3, "n_bands": 4}, optional=True)["mask"].shape == (3, 5, 7)
    assert node.n_bands == len(batch_for(node, optional=True)["weights"]) == 11
    assert [len(one["mask"]) for one in fit_batches(node)] == [2, 1, 3]
    made_batch = batch_for(built(Largest))
    assert (made_batch["scores"] == batch_for(built(Largest))["scores"]).all()
    assert made_batch["scores"].dtype == np.float32
