"""The conformance kit on plain NumPy classes: no base class of the kernel is needed."""

import numpy as np
import pytest

from specloom import NodeError, Port
from specloom.testing import checks_of, failures_of

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
