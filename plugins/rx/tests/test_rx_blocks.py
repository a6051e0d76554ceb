"""A pixel's score depends on the pixel alone, to the last bit."""

import pytest
import torch

from specloom import LazyAffine
from specloom.testing import fit, run
from specloom_rx.detector import FLOAT32_LIMIT, RXGlobal
from specloom_rx.logit import ScoreToLogit


def node_and_data(bands, shrinkage, height=29, width=37):
    generator = torch.Generator().manual_seed(bands)
    mixing = torch.eye(bands) + 0.7 * torch.randn(bands, bands, generator=generator)
    data = torch.randn(2, height, width, bands, generator=generator) @ mixing + 2
    return fit(RXGlobal(bands, shrinkage=shrinkage), [{"data": data}]), data


def scored(node, data):
    return run(node, {"data": data})["scores"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shrinkage", [0.0, 30.0])
@pytest.mark.parametrize("bands", [1, 2, 3, 16, 31, 33, 61, 64, 100, 189])
def test_place_batch_and_tile_change_no_bit(bands, shrinkage, threads):
    node, data = node_and_data(bands, shrinkage)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = scored(node, data)
        for image in range(2):
            assert torch.equal(scored(node, data[image : image + 1])[0], whole[image])
        for rows, columns in ((slice(1, 28), slice(3, 37)), (slice(5, 6), slice(36, 37))):
            tile = data[:, rows, columns]
            assert torch.equal(scored(node, tile), whole[:, rows, columns])
        assert torch.equal(scored(node, data.flip(0, 1, 2)), whole.flip(0, 1, 2))
    finally:
        torch.set_num_threads(before)


def test_both_precisions_are_met_above(monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", "0")
    assert "float32" in node_and_data(31, 30.0)[0].fit_summary()
    assert "float64" in node_and_data(64, 0.0)[0].fit_summary()


@pytest.mark.parametrize("bands", [2, 3, 10, 40])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_at_the_limit_float32_is_near_float64(bands, offset, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", "0")
    # One strong direction, of which the pixels are full: the hardest case at a given condition.
    least = bands / (0.7 * FLOAT32_LIMIT)
    generator = torch.Generator().manual_seed(0)
    strong = torch.randn(1, 60, 60, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(1, 60, 60, bands, generator=generator, dtype=torch.float64)
    data = offset + (1 - least) ** 0.5 * strong + least**0.5 * noise
    node = fit(RXGlobal(bands), [{"data": data}])
    assert "float32" in node.fit_summary()
    single = data.float()
    got = scored(node, single).double()
    want = scored(node, single.double())
    assert ((got - want).abs() <= 2.5e-5 * want).all()


def test_the_precision_survives_saving():
    for shrinkage in (0.0, 30.0):
        node, data = node_and_data(31, shrinkage)
        twin = RXGlobal(31, shrinkage=shrinkage)
        twin.restore(node.state())
        assert twin.fit_summary() == node.fit_summary()
        assert torch.equal(scored(twin, data), scored(node, data))


def test_without_a_cached_inverse_the_scores_are_the_same():
    node, data = node_and_data(31, 0.0)
    lean = fit(RXGlobal(31, cache_inverse=False), [{"data": data}])
    assert "whitening" not in lean.state()
    assert torch.equal(scored(lean, data), scored(node, data))


def test_with_gradients_the_scores_are_the_same():
    for shrinkage in (0.0, 30.0):
        node, data = node_and_data(31, shrinkage)
        tracked = node(data=data.clone().requires_grad_())["scores"]
        torch.testing.assert_close(tracked.detach(), scored(node, data), rtol=2e-6, atol=1e-6)


def test_other_memory_layouts_are_welcome():
    node, data = node_and_data(31, 0.0)
    sequential = data.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(scored(node, sequential), scored(node, data))


@pytest.mark.parametrize("shrinkage", [0.0, 30.0])
def test_a_mapped_cube_scores_as_the_values_it_stands_for(shrinkage):
    _, raw = node_and_data(7, shrinkage)
    scale = torch.linspace(-2, 3, 7, dtype=torch.float64)
    scale[2] = 0.0
    offset = torch.linspace(-5, 1e3, 7, dtype=torch.float64)
    values = raw.double() * scale + offset
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    node = fit(RXGlobal(7, shrinkage=shrinkage), [{"data": values + noise}])
    mapped = LazyAffine(raw, scale, offset, torch.float32)
    got = scored(node, mapped)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), scored(node, values), rtol=2e-6, atol=1e-6)
    weights = torch.linspace(0.5, 2, 7, dtype=torch.float64)
    weighted = LazyAffine.of(mapped, weights, torch.zeros(()), torch.float32)
    got = run(node, {"data": weighted, "weights": weights})["scores"]
    want = run(node, {"data": values * weights, "weights": weights})["scores"]
    torch.testing.assert_close(got.double(), want, rtol=2e-6, atol=1e-6)


def test_what_is_not_finite_in_a_mapped_cube_stays_with_its_pixel():
    node, raw = node_and_data(3, 0.0)
    raw[0, 1, 2, 0], raw[1, 3, 4, 2] = torch.nan, -torch.inf
    one = torch.tensor(1.0, dtype=torch.float64)
    got = scored(node, LazyAffine(raw, 2 * one, one, torch.float32))
    want = scored(node, raw * 2 + 1)
    assert want.isnan().sum() == 2
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert scored(node, LazyAffine(raw, one, one * torch.nan, torch.float32)).isnan().all()


def test_a_fit_on_a_mapped_cube_is_that_on_its_values_in_float64():
    _, raw = node_and_data(5, 0.0)
    scale, offset = torch.tensor(1e-3, dtype=torch.float64), torch.tensor(7.0, dtype=torch.float64)
    folded = fit(RXGlobal(5), [{"data": LazyAffine(raw, scale, offset, torch.float32)}])
    plain = fit(RXGlobal(5), [{"data": raw.double() * scale + offset}])
    assert all(torch.equal(folded.state()[name], value) for name, value in plain.state().items())


def test_what_is_kept_between_calls_follows_every_change():
    node, data = node_and_data(7, 0.0)
    first, state = scored(node, data), {k: v.clone() for k, v in node.state().items()}
    other = data * torch.linspace(1, 3, 7) + 1
    fit(node, [{"data": other}])
    again = scored(node, data)
    assert torch.equal(again, scored(fit(RXGlobal(7), [{"data": other}]), data))
    node.restore(state)
    assert torch.equal(scored(node, data), first)
    maps = [
        LazyAffine(data, torch.tensor(float(s)), torch.tensor(1.0), data.dtype) for s in (1, 2, 1)
    ]
    one, two, three = (scored(node, mapped) for mapped in maps)
    assert torch.equal(one, three)
    assert not torch.equal(one, two)
    maps[0].scale.fill_(2)  # by who made the map, in place
    assert torch.equal(scored(node, maps[0]), two)
    node.unfreeze()
    with torch.no_grad():
        node.factor.mul_(2)
    node.freeze()
    torch.testing.assert_close(scored(node, data), 4 * first)
    assert not torch.equal(again, first)


def test_under_inference_mode_nothing_is_kept_that_may_change():
    with torch.inference_mode():
        node, data = node_and_data(7, 0.0)
        first = scored(node, data)
        node.whitening.mul_(2)
        torch.testing.assert_close(scored(node, data), 4 * first)


def test_what_is_kept_under_inference_mode_can_be_trained_with():
    node, data = node_and_data(7, 0.0)
    head = ScoreToLogit()
    head.build({})
    fit(head, [{"scores": scored(node, data)}])
    one = torch.ones((), dtype=torch.float64)
    mapped = LazyAffine(data, one, one, data.dtype)

    def logits():
        return head.forward(scores=node.forward(data=mapped)["scores"])["logits"]

    with torch.inference_mode():
        before = logits()
    node.train()
    node.unfreeze()
    head.unfreeze()
    after = logits()
    after.sum().backward()
    torch.testing.assert_close(after.detach(), before, rtol=1e-4, atol=1e-5)
    assert node.factor.grad.abs().sum() > 0


def test_images_that_do_not_lie_in_one_piece_score_as_those_that_do():
    node, data = node_and_data(7, 0.0)
    images = torch.cat([data, 2 * data])
    apart = images.flip(0).transpose(1, 2).contiguous().transpose(1, 2)
    assert not apart.is_contiguous()
    assert torch.equal(scored(node, apart), scored(node, images).flip(0))


def test_maps_and_weights_of_equal_values_make_one_distance(monkeypatch):
    node, data = node_and_data(7, 0.0)
    made = []
    make = node._make_distance

    def counted(*arguments):
        made.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(node, "_make_distance", counted)

    def scores(factor):
        weights = torch.linspace(0.5, 2, 7, dtype=torch.float64) * factor
        scale = torch.full((7,), 2.0)
        mapped = LazyAffine(data / 2, scale, torch.zeros(7), torch.float32)
        weighted = LazyAffine.of(mapped, weights, torch.zeros(()), torch.float32)
        return run(node, {"data": weighted, "weights": weights})["scores"]

    first = scores(1)
    assert torch.equal(scores(1), first)
    assert len(made) == 1
    other = scores(torch.tensor([1, 1, 1, 1, 1, 1, 0]))
    assert len(made) == 2
    assert not torch.equal(other, first)
    assert torch.equal(scores(1), first)
    node.covariance.mul_(4)
    assert not torch.equal(scores(1), first)
