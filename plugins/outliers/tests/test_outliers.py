"""Estimators as a node: checked options, the same fit however data arrive, saving, hostile data."""

import re
import sys
import warnings
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch

from specloom import ConfigError, IntegrityError, LazyAffine, NodeError, UnavailableError
from specloom.testing import fit, fit_shares, run
from specloom.torch import TorchRuntime
from specloom_outliers import Estimator, catalogue
from specloom_outliers.catalogue import BUILT_IN, REFUSED
from specloom_outliers.detector import BLOCK

# Few trees, and few spectra, so that all are fitted in a second.
SMALL = {"IsolationForest": {"n_estimators": 10}, "pyod.IForest": {"n_estimators": 10}}


def cubes(count=4, rows=20, columns=15, bands=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, rows, columns, bands, generator=generator) for _ in range(count)]


def detector(estimator="IsolationForest", **params):
    options = SMALL.get(estimator)
    return Estimator(
        **{
            "estimator": estimator,
            "options": options,
            "num_channels": 8,
            "size": 300,
            **params,
        }
    )


@pytest.mark.parametrize(
    ("estimator", "components"),
    [*((name, None) for name in BUILT_IN), ("EllipticEnvelope", 5), ("pyod.KNN", 5)],
)
def test_every_estimator_scores_alike_in_any_batch_tile_and_after_it_was_saved(
    estimator, components
):
    data = torch.cat(cubes(3, rows=30, columns=25))
    data[0, 4, 5] += 50
    node = fit(detector(estimator, components=components), [{"data": data}])
    whole = run(node, {"data": data})["scores"]
    assert data.numel() // 8 > BLOCK
    assert float((whole < whole[0, 4, 5]).double().mean()) > 0.95
    for image in range(3):
        alone = run(node, {"data": data[image : image + 1]})["scores"]
        assert torch.equal(alone, whole[image : image + 1])
    tile = run(node, {"data": data[:, 7:20, 3:19]})["scores"]
    assert torch.equal(tile, whole[:, 7:20, 3:19])
    runtime = TorchRuntime("cpu")
    content = runtime.dump(node.state(), {})
    assert b"pickle" not in content
    state, _ = runtime.load(content)
    twin = detector(estimator, components=components)
    twin.restore(state)
    assert torch.equal(run(twin, {"data": data})["scores"], whole)
    again = fit(detector(estimator, components=components), [{"data": data}])
    assert runtime.dump(again.state(), {}) == content


def test_the_fit_is_the_same_for_any_order_batch_size_and_number_of_processes():
    data = cubes()
    batches = [{"data": cube} for cube in data]
    whole = fit(detector(), batches)
    reverse = fit(detector(), batches[::-1])
    together = fit(detector(), [{"data": torch.cat(data)}])
    first = detector()
    second = detector()
    third = detector()
    fit_shares([first, second, third], [batches[2:], batches[:1], batches[1:2]])
    for node in (reverse, together, first, second, third):
        assert torch.equal(node.content, whole.content)
    other = fit(detector(random_state=1), batches)
    assert not torch.equal(other.content, whole.content)


def test_the_estimator_is_fitted_on_a_bounded_sample_of_the_background():
    batches = []
    for cube in cubes():
        mask = torch.zeros(1, 20, 15, 1, dtype=torch.bool)
        mask[:, 3:6, 4:9] = True
        cube[mask[..., 0]] = 1e4
        valid = torch.ones_like(mask)
        valid[:, 0] = False
        cube[:, 0] = -1e4
        batches.append({"data": cube, "valid": valid, "mask": mask})
    node = fit(detector("KernelDensity"), batches)
    assert node.pixels == 4 * (300 - 15 - 15)
    fitted_on = np.asarray(node._fitted_estimator.tree_.data)
    assert fitted_on.shape == (300, 8)
    assert np.abs(fitted_on).max() < 1e3
    assert (
        node.fit_summary() == "KernelDensity on 300 spectra in 8 bands, 1080 pixels (120 excluded)"
    )
    behind = fit(detector(components=4), batches)
    assert (
        behind.fit_summary()
        == "IsolationForest on 300 spectra in 4 components, 1080 pixels (120 excluded)"
    )


def test_a_lazy_map_is_applied_and_pixels_that_are_nan_score_nan():
    data = cubes(1)[0]
    data[0, 2, 3, 4] = torch.nan
    data[0, 5, 6] = torch.inf
    node = fit(detector(size=500), [{"data": data}])
    assert (node.pixels, node.left_out) == (298, 2)
    scores = run(node, {"data": data})["scores"]
    assert int(scores.isnan().sum()) == 2
    one = torch.ones(8)
    lazy = LazyAffine((data - 3) / 2, one * 2, one * 3, torch.float32)
    mapped = run(node, {"data": lazy})["scores"]
    torch.testing.assert_close(mapped, scores, rtol=1e-2, atol=1e-3, equal_nan=True)
    nothing = torch.full((1, 2, 2, 8), torch.nan)
    with pytest.raises(NodeError, match="was given no usable pixel to learn from"):
        fit(detector(), [{"data": nothing}])


def hostile(kind):
    data = cubes(1)[0]
    if kind == "constant":
        return torch.full_like(data, 7.0)
    if kind == "one pixel":
        return data[:, :1, :1]
    if kind == "singular":
        data[..., 4:] = data[..., :4] * 2
    if kind == "offset":
        return data + 1e4
    if kind == "few pixels":
        return data[:, :1, :4]
    return data


HOSTILE = ["singular", "constant", "one pixel", "few pixels", "offset"]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("estimator", ["IsolationForest", "KernelDensity", "OneClassSVM"])
def test_hostile_data_give_finite_scores(estimator, kind):
    data = hostile(kind)
    node = fit(detector(estimator), [{"data": data}])
    assert bool(run(node, {"data": data})["scores"].isfinite().all())


@pytest.mark.parametrize(
    ("estimator", "kind", "why"),
    [
        ("GaussianMixture", "one pixel", "minimum of 2 is required"),
        ("LocalOutlierFactor", "one pixel", "n_samples_fit"),
        ("pyod.KNN", "few pixels", "n_samples_fit"),
        ("pyod.PCA", "constant", "its scores of these are not finite"),
    ],
)
def test_what_an_estimator_cannot_be_fitted_to_is_an_error(estimator, kind, why):
    data = hostile(kind)
    pixels = data.numel() // 8
    node = detector(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(NodeError) as found:
            fit(node, [{"data": data}])
    text = str(found.value)
    assert text.startswith(
        f"Estimator: {estimator} cannot be fitted to {pixels} spectra of 8 values: "
    )
    assert why in text
    assert text.endswith("fix: use more pixels, set components, or change options")
    assert not node.fitted


def test_fewer_components_than_set_are_warned_of():
    text = (
        "Estimator: 300 background pixels support 4 of 6 components; the others are not used. "
        "Use more pixels, or lower components"
    )
    with pytest.warns(UserWarning, match="support 4 of 6") as found:
        node = fit(detector(components=6), [{"data": hostile("singular")}])
    assert [str(warning.message) for warning in found] == [text]
    assert "in 4 components" in node.fit_summary()


def test_warnings_of_an_estimator_name_the_node():
    node = detector("LocalOutlierFactor", options={"n_neighbors": 400})
    with pytest.warns(UserWarning, match=r"Estimator: n_neighbors \(400\) is greater than"):
        fit(node, [{"data": cubes(1)[0]}])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"estimator": "IsolationForrest"},
            "Estimator: there is no estimator 'IsolationForrest'\n  fix: did you mean "
            "'IsolationForest'?",
        ),
        (
            {"options": {"n_estimator": 10}},
            "Estimator: IsolationForest has no parameter 'n_estimator'\n  fix: did you mean "
            "'n_estimators'?",
        ),
        (
            {"options": {"n_estimators": -1}},
            "Estimator: IsolationForest does not take its options: The 'n_estimators' parameter",
        ),
        (
            {"estimator": "LocalOutlierFactor", "options": {"novelty": False}},
            "Estimator: novelty of LocalOutlierFactor is always True\n  fix: remove novelty from "
            "options",
        ),
        (
            {"estimator": "pyod.KNN", "options": {"contamination": 2.0}},
            "Estimator: pyod.KNN does not take its options: contamination must be in",
        ),
        ({"size": 0}, "Estimator: size is 0\n  fix: set size to 1 or more"),
        ({"components": 0}, "Estimator: components is 0\n  fix: set components to 1 or more"),
        (
            {"estimator": "pyod.ECOD"},
            "Estimator: pyod.ECOD cannot be used: its score of a pixel depends on the other "
            "pixels that are scored with it\n  fix: choose another estimator",
        ),
        (
            {"estimator": "pyod.AutoEncoder"},
            "Estimator: pyod.AutoEncoder cannot be used: it cannot be saved without pickle",
        ),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ConfigError) as found:
        Estimator(num_channels=8, **params)
    assert str(found.value).startswith(message)


def test_refused_estimators_are_not_offered():
    assert not REFUSED.keys() & BUILT_IN.keys()


def test_without_pyod_its_estimators_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyod.models.knn", None)
    with pytest.raises(UnavailableError) as found:
        detector("pyod.KNN")
    assert str(found.value) == (
        "Estimator: pyod.KNN needs the package pyod.models.knn, which is not installed\n"
        "  fix: install specloom-outliers[pyod]"
    )


class Length:
    """An estimator of a third party: how long a spectrum is."""

    def __init__(self, power=1.0):
        self.power = power

    def get_params(self, deep=True):
        return {"power": self.power}

    def fit(self, rows):
        self.scale_ = float(np.linalg.norm(rows, axis=1).mean())
        return self

    def decision_function(self, rows):
        return -((np.linalg.norm(rows, axis=1) / self.scale_) ** self.power)


class WithFunction(Length):
    """One that only pickle can save."""

    def fit(self, rows):
        super().fit(rows)
        self.function_ = (value for value in rows)
        return self


class WithoutParameters:
    """One whose parameters cannot be read."""

    def fit(self, rows):
        return self

    def decision_function(self, rows):
        return rows[:, 0]


@pytest.fixture
def offered(monkeypatch):
    """Entry points of an installed package."""
    module = sys.modules[Length.__module__]
    group = "specloom.outliers"
    found = EntryPoints(
        EntryPoint(name, f"{module.__name__}:{value}", group)
        for name, value in [
            ("mine.Length", "Length"),
            ("mine.WithFunction", "WithFunction"),
            ("mine.nothing", "cubes"),
            ("mine.bare", "WithoutParameters"),
            ("mine.absent", "Absent"),
        ]
    )
    monkeypatch.setattr(catalogue, "entry_points", lambda group: found.select(group=group))


def test_an_entry_point_offers_an_estimator(offered):
    data = cubes(1)[0]
    node = fit(detector("mine.Length", options={"power": 2.0}), [{"data": data}])
    scores = run(node, {"data": data.double()})["scores"][..., 0]
    mean = data.double().norm(dim=-1).mean()
    torch.testing.assert_close(scores, (data.double().norm(dim=-1) / mean) ** 2)
    twin = detector("mine.Length", options={"power": 2.0})
    twin.restore(node.state())
    assert torch.equal(run(twin, {"data": data.double()})["scores"][..., 0], scores)
    with pytest.raises(ConfigError, match=r"did you mean 'mine\.Length'\?"):
        detector("mine.Lenght")
    with pytest.raises(ConfigError, match=r"the entry point 'mine\.nothing' of the group"):
        detector("mine.nothing")
    with pytest.raises(ConfigError) as found:
        detector("mine.bare")
    assert str(found.value) == (
        "Estimator: the entry point 'mine.bare' of the group specloom.outliers is no estimator\n"
        "  fix: let it name a class with fit and get_params, and with score_samples or "
        "decision_function"
    )
    with pytest.raises(UnavailableError) as found:
        detector("mine.absent")
    assert re.fullmatch(
        r"Estimator: mine\.absent cannot be imported from [.\w]+:Absent: AttributeError: .*\n"
        r"  fix: install its package again",
        str(found.value),
    )


def test_what_cannot_be_saved_without_pickle_is_refused_when_it_is_fitted(offered):
    node = detector("mine.WithFunction", options={})
    with pytest.raises(NodeError) as found:
        fit(node, [{"data": cubes(1)[0]}])
    text = str(found.value)
    assert text.startswith("Estimator: mine.WithFunction cannot be saved without pickle: ")
    assert text.endswith("fix: choose other parameters, or another estimator")
    assert not node.fitted


def test_a_saved_estimator_of_another_kind_or_with_other_options_is_refused(offered):
    data = cubes(1)[0]
    saved = fit(detector("mine.Length", options={}), [{"data": data}]).state()
    other = detector("mine.Length", options={"power": 2.0})
    with pytest.raises(IntegrityError) as found:
        other.restore(saved)
    assert str(found.value) == (
        "Estimator: power of the saved mine.Length is 1.0, but that of options is 2.0\n"
        "  fix: restore the pipeline from where it was saved, or fit it again"
    )
    forest = fit(detector(), [{"data": data}]).state()
    with pytest.raises(IntegrityError, match=r"cannot be read: Untrusted.*\.Length"):
        detector().restore(saved)
    with pytest.raises(IntegrityError, match=r"is of IsolationForest, not of mine\.Length"):
        detector("mine.Length", options={}).restore(forest)
    density = fit(detector("KernelDensity"), [{"data": data}]).state()
    with pytest.raises(IntegrityError, match="is of KernelDensity, not of IsolationForest"):
        detector().restore(density)
    broken = dict(forest)
    broken["content"] = forest["content"][:1000]
    with pytest.raises(IntegrityError, match="the saved estimator cannot be read: BadZipFile"):
        detector().restore(broken)
    narrow = fit(detector(num_channels=6), [{"data": data[..., :6]}]).state()
    mixed = dict(forest)
    mixed["content"] = narrow["content"]
    with pytest.raises(IntegrityError, match="was fitted on spectra of 6 values, these have 8"):
        detector().restore(mixed)
