"""The conformance kit is held to account by fits that are wrong in one way each."""

import pytest
import torch

from specloom import Port
from specloom.testing import checks_of, failures_of
from specloom.testing.device import same_on_the_gpu
from specloom.torch import StatisticalNode, usable_pixels

DATA = Port("B H W C", doc="Cubes.")
VALID = Port("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")


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
        self.centre = self.centre + apart * (count / total)
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


@pytest.mark.parametrize("cls", [Standard, Centred])
def test_good_fits_pass_every_check(cls):
    checks = dict(checks_of(cls))
    assert len(checks) >= 20
    for check in checks.values():
        check()


class RunsUnfitted(Standard):
    def require_fitted(self):
        pass


class ClaimsToBeFitted(Standard):
    fitted = True


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
        self._add(
            state["count"] / state["count"] * state["count"], state["centre"], state["scatter"]
        )


class MergesRounding(Standard):
    def fit_merge(self, state):
        super().fit_merge({**state, "centre": state["centre"] * (1 + 1e-15)})


class KeepsOutsideOfItsState(Centred):
    centre_of_all = None

    def fit_update(self, data, valid=None):
        super().fit_update(data, valid)
        if self.pass_ == 0:
            self.centre_of_all = self.centre

    def fit_merge(self, state):
        super().fit_merge(state)
        if self.pass_ == 0 and self.centre_of_all is not None:
            self.centre_of_all = self.centre

    def fit_end(self):
        super().fit_end()
        if self.pass_ == 1 and self.centre_of_all is None:
            self.mean.zero_()


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


class DriftsMuch(Drifts):
    def fit_end(self):
        super().fit_end()
        self.mean += Drifts.calls


WRONG = {
    RunsUnfitted: {"unfitted_refuses"},
    ClaimsToBeFitted: {"unfitted_refuses", "fit_marks_as_fitted"},
    KeepsLastBatch: {"fit_order_independent", "fit_withstands_offset", "fit_merges"},
    MeansOfMeans: {"fit_order_independent", "fit_withstands_offset", "fit_merges"},
    SinglePrecision: {"fit_withstands_offset"},
    MergesOverwriting: {"fit_merges"},
    CannotMergeNothing: {"fit_merges", "fit_merge_of_one_part_is_exact"},
    MergesRounding: {"fit_merge_of_one_part_is_exact", "replayed_passes_equal_living"},
    KeepsOutsideOfItsState: {"fit_merges", "replayed_passes_equal_living"},
    LearnsFromNaN: {"nan_pixel_left_out_of_fit", "nothing_to_fit_is_refused"},
    LearnsFromInvalid: {"invalid_pixel_left_out_of_fit"},
    NoValid: {"valid_is_offered"},
    WritesIntoFit: {"inputs_are_left_alone"},
    Drifts: {
        "fit_same_order_is_bit_identical",
        "fit_forgets",
        "generator_seeded",
        "replayed_passes_equal_living",
    },
}


@pytest.mark.parametrize(
    ("cls", "caught"), WRONG.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_wrong_fits_fail_exactly_their_checks(cls, caught):
    assert set(failures_of(cls)) == caught


def test_a_fit_on_another_device_is_compared():
    # The CPU stands in for the GPU here; where there is one, the kit itself compares with it.
    same_on_the_gpu(Standard, "cpu")
    with pytest.raises(AssertionError, match="on the GPU"):
        same_on_the_gpu(DriftsMuch, "cpu")
