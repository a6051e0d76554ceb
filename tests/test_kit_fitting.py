"""The conformance kit is held to account by fits that are wrong in one way each."""

import numpy as np
import pytest
import torch
from specloom import NodeError, Port
from specloom.testing import checks_of
from specloom.torch import StatisticalNode, usable_pixels

DATA = Port("B H W C", doc="Cubes.")
VALID = Port("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")


def failing(cls):
    bad = set()
    for name, check in checks_of(cls):
        try:
            check()
        except Exception:
            bad.add(name)
    return bad


class Standard(StatisticalNode):
    """Deviations from the mean, in standard deviations of each band."""

    inputs = {"data": DATA, "valid": VALID}
    outputs = {"standard": Port("B H W C", doc="Standardised cubes.")}
    locality = "pixel"
    trainable = ("mean",)

    def build(self, sizes):
        self.register_buffer("mean", torch.zeros(sizes["C"], dtype=torch.float64))
        self.register_buffer("variance", torch.ones(sizes["C"], dtype=torch.float64))

    def forward(self, data, valid=None):
        return {"standard": ((data - self.mean) / self.variance.sqrt()).float()}

    def fit_start(self, pass_):
        self.fitted = False
        self.count = torch.zeros((), dtype=torch.int64)
        self.centre, self.scatter = torch.zeros_like(self.mean), torch.zeros_like(self.mean)

    def fit_update(self, data, valid=None):
        pixels = data[usable_pixels(data, valid)].double()
        if len(pixels):
            centre = pixels.mean(0)
            self._add(torch.tensor(len(pixels)), centre, ((pixels - centre) ** 2).sum(0))

    def fit_state(self):
        return {"count": self.count, "centre": self.centre, "scatter": self.scatter}

    def fit_merge(self, state):
        if state["count"]:
            self._add(state["count"], state["centre"], state["scatter"])

    def fit_end(self):
        self.finish_fit(int(self.count))
        self.mean.copy_(self.centre)
        self.variance.copy_(self.scatter / self.count)

    def _add(self, count, centre, scatter):
        total, apart = self.count + count, centre - self.centre
        self.scatter = self.scatter + scatter + apart**2 * self.count * count / total
        self.centre = self.centre + apart * count / total
        self.count = total


class Centred(Standard):
    """In two passes: the mean, then the scatter about it."""

    fit_passes = 2

    def fit_start(self, pass_):
        super().fit_start(pass_)
        self.pass_ = pass_

    def fit_end(self):
        self.mean.copy_(self.centre)
        if self.pass_ == 1:
            super().fit_end()


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


@pytest.mark.parametrize("cls", [Standard, Centred, Largest])
def test_good_fits_pass_every_check(cls):
    checks = dict(checks_of(cls))
    assert len(checks) >= 20
    for check in checks.values():
        check()


class RunsUnfitted(Standard):
    def require_fitted(self):
        pass


class ForgetsToSayFitted(Largest):
    def restore(self, state):
        super().restore(state)
        self.fitted = True


class ClaimsToBeFitted(Standard):
    fitted = True


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


class KeepsLastBatch(Standard):
    def fit_update(self, data, valid=None):
        super().fit_start(0)
        super().fit_update(data, valid)


class MeansOfMeans(Standard):
    def _add(self, count, centre, scatter):
        batches = getattr(self, "batches", 0) if self.count else 0
        super()._add(count, centre, scatter)
        self.batches = batches + 1
        self.means = (self.means if batches else 0) + centre
        self.centre = self.means / self.batches


class SinglePrecision(Standard):
    def fit_start(self, pass_):
        super().fit_start(pass_)
        self.sums = torch.zeros(2, len(self.mean))

    def fit_update(self, data, valid=None):
        pixels = data[usable_pixels(data, valid)]
        self.count = self.count + len(pixels)
        self.sums = self.sums + torch.stack([pixels.sum(0), (pixels**2).sum(0)])

    def fit_state(self):
        return {"count": self.count, "sums": self.sums}

    def fit_merge(self, state):
        self.count, self.sums = self.count + state["count"], self.sums + state["sums"]

    def fit_end(self):
        self.centre = (self.sums[0] / self.count).double()
        self.scatter = self.sums[1].double() - self.count * self.centre**2
        super().fit_end()


class MergesOverwriting(Standard):
    def fit_merge(self, state):
        self.count, self.centre, self.scatter = (state[k] for k in ("count", "centre", "scatter"))


class CannotMergeNothing(Standard):
    def fit_merge(self, state):
        self._add(state["count"] / state["count"] * state["count"], state["centre"], state["scatter"])


class LearnsFromNaN(Standard):
    def fit_update(self, data, valid=None):
        super().fit_update(data.nan_to_num(), valid)


class LearnsFromInvalid(Standard):
    def fit_update(self, data, valid=None):
        super().fit_update(data)


class NoValid(Standard):
    inputs = {"data": DATA}

    def forward(self, data):
        return super().forward(data)

    def fit_update(self, data):
        super().fit_update(data)


class WritesIntoFit(Standard):
    def fit_update(self, data, valid=None):
        super().fit_update(data, valid)
        data += 1


class Drifts(Standard):
    calls = 0

    def fit_end(self):
        super().fit_end()
        Drifts.calls += 1
        self.mean += Drifts.calls * 1e-12


WRONG = {
    RunsUnfitted: {"unfitted_refuses"},
    ForgetsToSayFitted: {"unfitted_refuses"},
    ClaimsToBeFitted: {"unfitted_refuses", "fit_marks_as_fitted"},
    RefusesVaguely: {"unfitted_refuses"},
    CannotSave: {"state_round_trips", "protocols_are_whole"},
    RemembersOldFit: {"fit_forgets"},
    KeepsLastBatch: {"fit_order_independent", "fit_withstands_offset", "fit_merges"},
    MeansOfMeans: {"fit_order_independent", "fit_withstands_offset", "fit_merges"},
    SinglePrecision: {"fit_withstands_offset"},
    MergesOverwriting: {"fit_merges"},
    CannotMergeNothing: {"fit_merges"},
    LearnsFromNaN: {"nan_pixel_left_out_of_fit", "nothing_to_fit_is_refused"},
    LearnsFromInvalid: {"invalid_pixel_left_out_of_fit"},
    NoValid: {"valid_is_offered"},
    WritesIntoFit: {"inputs_are_left_alone", "fit_forgets", "fit_merges", "fit_withstands_offset"},
    Drifts: {"fit_same_order_is_bit_identical", "fit_forgets", "generator_seeded"},
}


@pytest.mark.parametrize(("cls", "caught"), WRONG.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_wrong_fits_fail_exactly_their_checks(cls, caught):
    assert failing(cls) == caught
