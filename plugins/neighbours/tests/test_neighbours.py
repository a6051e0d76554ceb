"""The coreset: scikit-learn's distances, the same members however data arrive, hostile data."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from specloom import ConfigError, LazyAffine, NodeError
from specloom.testing import fit, fit_shares, run
from specloom_neighbours import CoresetNeighbours
from specloom_neighbours.distances import CPU_BLOCK
from specloom_neighbours.farthest import farthest_points
from specloom_neighbours.search import nearest_distances, prepare_search


def cubes(count=4, rows=20, columns=15, bands=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.logspace(0, 2, bands)
    return [torch.randn(1, rows, columns, bands, generator=generator) * scale for _ in range(count)]


def detector(**params):
    return CoresetNeighbours(**{"num_channels": 8, "components": 6, "size": 100, **params})


def reference(node, pixels):
    """Mean distances to the nearest members, by scikit-learn, of ``pixels`` (N, C)."""
    scaled = (node.directions.T * node.variances.rsqrt()).numpy()
    members = (node.spectra[: int(node.members)] - node.center).numpy() @ scaled
    points = (pixels.double() - node.center).numpy() @ scaled
    search = NearestNeighbors(n_neighbors=node.neighbours, algorithm="brute").fit(members)
    return search.kneighbors(points)[0].mean(1)


@pytest.mark.parametrize("size", [5, 100, 300])
def test_scores_are_those_of_scikit_learn(size):
    data = cubes()
    node = fit(detector(size=size), [{"data": cube} for cube in data])
    assert int(node.members) == size
    new = cubes(1, seed=1)[0].double()
    scores = run(node, {"data": new})["scores"].flatten()
    np.testing.assert_allclose(scores, reference(node, new.reshape(-1, 8)), rtol=1e-9)
    seen = run(node, {"data": data[0].double()})["scores"].flatten()
    np.testing.assert_allclose(seen, reference(node, data[0].reshape(-1, 8)), rtol=1e-6, atol=1e-6)


def test_a_search_in_groups_finds_the_neighbours_of_a_loop():
    data = cubes(1, rows=40, columns=40)[0]
    node = fit(detector(size=731, neighbours=3), [{"data": data}])
    scores = run(node, {"data": data.double()})["scores"].flatten()
    scaled = node.directions.T * node.variances.rsqrt()
    members = (node.spectra - node.center) @ scaled
    for pixel in range(0, 1600, 8):
        point = (data.reshape(-1, 8)[pixel].double() - node.center) @ scaled
        distances = (members - point).square().sum(1).sqrt().sort().values
        assert float(scores[pixel]) == pytest.approx(float(distances[:3].mean()), rel=1e-9)


@pytest.mark.parametrize("far", [0.0, 30.0, 1e3])
@pytest.mark.parametrize("count", [12, 731])
def test_neighbours_that_float32_cannot_tell_apart_are_found(count, far):
    generator = torch.Generator().manual_seed(3)
    members = far + torch.randn(count, 4, generator=generator).double()
    members[count // 2 :] = members[: count - count // 2] + 1e-9
    points = far + torch.randn(500, 4, generator=generator).double()
    points[: min(count, 100)] = members[:100]
    points[100] = 1e60
    gaps = points[:, None] - members
    want = gaps.square().sum(2).sqrt().sort(1).values[:, :5]
    got = nearest_distances(points, prepare_search(members, 5))
    torch.testing.assert_close(got, want, rtol=1e-8, atol=0)


def test_members_are_the_same_for_any_order_batch_size_and_number_of_processes():
    data = cubes()
    batches = [{"data": cube} for cube in data]
    whole = fit(detector(), batches)
    assert int(whole.members) == 100
    reverse = fit(detector(), batches[::-1])
    together = fit(detector(), [{"data": torch.cat(data)}])
    first = detector()
    second = detector()
    third = detector()
    fit_shares([first, second, third], [batches[2:], batches[:1], batches[1:2]])
    for node in (reverse, together, first, second, third):
        assert torch.equal(node.spectra, whole.spectra)
        torch.testing.assert_close(node.center, whole.center, rtol=1e-12, atol=1e-12)
    other = fit(detector(random_state=1), batches)
    assert not torch.equal(other.spectra, whole.spectra)


@pytest.mark.parametrize("selection", ["hash", "k_centre"])
def test_the_coreset_is_bounded_and_of_background_pixels(selection):
    data = cubes()
    batches = []
    for cube in data:
        mask = torch.zeros(1, 20, 15, 1, dtype=torch.bool)
        mask[:, 3:6, 4:9] = True
        cube[mask[..., 0]] = 1e4
        valid = torch.ones_like(mask)
        valid[:, 0] = False
        cube[:, 0] = -1e4
        batches.append({"data": cube, "valid": valid, "mask": mask})
    node = fit(detector(selection=selection), batches)
    assert node.pixels == 4 * (300 - 15 - 15)
    assert node.spectra.shape == (100, 8)
    assert float(node.spectra.abs().max()) < 1e3
    normal = run(node, {"data": cubes(1, seed=1)[0]})["scores"]
    anomalous = run(node, {"data": torch.full((1, 2, 2, 8), 1e4)})["scores"]
    assert float(anomalous.min()) > 10 * float(normal.max())


def test_farthest_points_are_those_of_a_loop():
    points = torch.randn(60, 3, generator=torch.Generator().manual_seed(2)).double()
    chosen = [int(points.norm(dim=1).argmin())]
    while len(chosen) < 12:
        nearest = torch.cdist(points, points[chosen]).amin(1)
        chosen.append(int(nearest.argmax()))
    assert farthest_points(points, 12).tolist() == chosen
    assert sorted(farthest_points(points, 100).tolist()) == list(range(60))


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"neighbours": 1}, "is its own nearest neighbour and scores 0"),
        ({"selection": "k_centre"}, "scores low, and k_centre chooses outliers"),
    ],
)
def test_members_that_are_scored_are_reported_where_they_mislead(params, why):
    data = cubes()
    node = fit(detector(**params), [{"data": cube} for cube in data])
    own = torch.cat(data)
    with pytest.warns(UserWarning, match="100 of 1200 pixels are members of the coreset") as found:
        run(node, {"data": own})
    assert str(found[0].message) == (
        "CoresetNeighbours: 100 of 1200 pixels are members of the coreset; a member "
        f"{why}. Score scenes that were not fitted, or set neighbours to 5 and selection to hash"
    )
    run(node, {"data": own})
    other = fit(detector(**params), [{"data": cube} for cube in data])
    run(other, {"data": cubes(1, seed=9)[0]})


def test_scores_have_the_same_bits_in_any_batch_tile_and_as_a_lazy_map():
    data = torch.cat(cubes(3, rows=30, columns=40))
    node = fit(detector(size=500, neighbours=2), [{"data": data}])
    whole = run(node, {"data": data})["scores"]
    assert data[0].numel() // 8 > CPU_BLOCK
    assert torch.equal(run(node, {"data": data[1:2]})["scores"], whole[1:2])
    tile = run(node, {"data": data[:, 7:20, 3:29]})["scores"]
    assert torch.equal(tile, whole[:, 7:20, 3:29])
    one = torch.ones(8)
    lazy = LazyAffine((data - 3) / 2, one * 2, one * 3, torch.float32)
    torch.testing.assert_close(run(node, {"data": lazy})["scores"], whole, rtol=1e-4, atol=1e-5)


def test_an_offset_changes_no_score():
    data = torch.cat(cubes()).double()
    near = fit(detector(), [{"data": data}])
    far = fit(detector(), [{"data": data + 1e4}])
    want = reference(near, data.reshape(-1, 8))
    assert far.members == near.members
    # The keys follow from the values, so the members differ: the distances are checked instead.
    far.spectra.copy_(near.spectra + 1e4)
    scores = run(far, {"data": data + 1e4})["scores"].flatten()
    np.testing.assert_allclose(scores, want, rtol=1e-6, atol=1e-6)


def hostile(kind):
    generator = torch.Generator().manual_seed(5)
    data = torch.randn(1, 20, 15, 8, generator=generator)
    if kind == "constant":
        return torch.full_like(data, 7.0)
    if kind == "one pixel":
        return data[:, :1, :1]
    if kind == "singular":
        data[..., 4:] = data[..., :4] * 2
        return data
    return data[:, :1, :4]


@pytest.mark.parametrize(
    ("kind", "rank", "members"),
    [("singular", 4, 100), ("constant", 0, 100), ("one pixel", 0, 1), ("few pixels", 3, 4)],
)
def test_hostile_data_give_finite_scores_and_warnings(kind, rank, members):
    data = hostile(kind)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        node = fit(detector(), [{"data": data}])
    messages = [str(warning.message) for warning in found]
    assert messages[0] == (
        f"CoresetNeighbours: {node.pixels} background pixels support {rank} of 6 components; the "
        "others are not used. Use more pixels, or lower components"
    )
    assert int(node.members) == members
    if members < 5:
        assert messages[1] == (
            f"CoresetNeighbours: there are {members} background pixels for 5 neighbours; the "
            "scores are mean distances to all of them. Use more pixels"
        )
    assert len(messages) == 1 + (members < 5)
    scores = run(node, {"data": data})["scores"]
    assert bool(scores.isfinite().all())
    if rank == 0:
        assert not scores.any()


def test_pixels_that_are_nan_score_nan_and_are_not_fitted():
    data = cubes(1)[0]
    data[0, 2, 3, 4] = torch.nan
    data[0, 5, 6] = torch.inf
    node = fit(detector(size=500), [{"data": data}])
    assert (node.pixels, node.left_out, int(node.members)) == (298, 2, 298)
    scores = run(node, {"data": data})["scores"]
    assert int(scores.isnan().sum()) == 2
    assert node.fit_summary() == "298 spectra in 6 components, 298 pixels (2 excluded)"
    nothing = torch.full((1, 2, 2, 8), torch.nan)
    with pytest.raises(NodeError, match="was given no usable pixel to learn from"):
        fit(detector(), [{"data": nothing}])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"components": 0}, "CoresetNeighbours: components is 0"),
        ({"size": 0}, "CoresetNeighbours: size is 0"),
        ({"neighbours": 0}, "CoresetNeighbours: neighbours is 0"),
        ({"neighbours": 101}, "CoresetNeighbours: neighbours is 101, but size is 100"),
        ({"selection": "best"}, "CoresetNeighbours: selection should be 'hash' or 'k_centre'"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ConfigError, match=message):
        detector(**params)


def test_gradients_are_those_of_finite_differences():
    data = cubes(1)[0].double()
    node = fit(detector(), [{"data": data}])
    pixels = cubes(1, rows=2, columns=2, seed=8)[0].double().requires_grad_()
    torch.autograd.gradcheck(lambda x: node.forward(data=x)["scores"], pixels, atol=1e-4)
