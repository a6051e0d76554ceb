"""The gradient of the scores: closed form, in blocks, and not spoilt by what is not finite."""

import pytest
import torch

from specloom import LazyAffine
from specloom_rx import gradient
from specloom_rx.scoring import mahalanobis


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def parts(bands=5):
    whitening = (random(bands, bands, seed=1) + 3 * torch.eye(bands)).triu()
    return random(bands, seed=2), whitening


def plain(data, mean, whitening):
    return ((data - mean) @ whitening).square().sum(-1, keepdim=True)


def grads(function, *inputs):
    inputs = [one.detach().clone().requires_grad_() for one in inputs]
    scores = function(*inputs)
    shares = torch.linspace(-1, 2, scores.numel(), dtype=scores.dtype).view_as(scores)
    return torch.autograd.grad((scores * shares).nansum(), inputs)


@pytest.mark.parametrize("bands", [1, 5, 33])
def test_it_is_what_autograd_makes_of_the_formula(bands, monkeypatch):
    monkeypatch.setattr(gradient, "CPU_BLOCK", 7)
    data, (mean, whitening) = random(2, 4, 6, bands), parts(bands)
    got = grads(lambda *args: mahalanobis(*args, torch.float64), data, mean, whitening)
    for mine, want in zip(got, grads(plain, data, mean, whitening), strict=True):
        torch.testing.assert_close(mine, want, rtol=1e-10, atol=1e-10)


def test_it_is_what_differences_say():
    inputs = [one.requires_grad_() for one in (random(1, 2, 3, 4), *parts(4))]
    assert torch.autograd.gradcheck(lambda *args: mahalanobis(*args, torch.float64), inputs)


def test_it_goes_through_a_map_whose_cube_is_never_written_down():
    data, (mean, whitening) = random(1, 5, 5, 4), parts(4)
    scale, offset = torch.tensor([0.5, 2.0, 0.0, -1.0]).double(), random(4, seed=3)

    def folded(scale, offset, mean, whitening):
        mapped = LazyAffine(data, scale, offset, data.dtype)
        return mahalanobis(mapped, mean, whitening, torch.float64)

    def written(scale, offset, mean, whitening):
        return plain(data * scale + offset, mean, whitening)

    inputs = scale, offset, mean, whitening
    for mine, want in zip(grads(folded, *inputs), grads(written, *inputs), strict=True):
        torch.testing.assert_close(mine, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_a_pixel_that_is_not_finite_has_none_and_spoils_none(wrong):
    data, (mean, whitening) = random(1, 3, 4, 5), parts()
    spoilt = data.clone()
    spoilt[0, 1, 2, 3] = wrong
    got = grads(lambda *args: mahalanobis(*args, torch.float64), spoilt, mean, whitening)
    data[0, 1, 2] = torch.nan
    keep = ~data.isnan().any(-1, keepdim=True)

    def without(data, mean, whitening):
        scores = plain(data.nan_to_num(), mean, whitening)
        return torch.where(keep, scores, torch.nan)

    for mine, want in zip(got, grads(without, data, mean, whitening), strict=True):
        torch.testing.assert_close(mine, want, rtol=1e-10, atol=1e-10)


def test_in_float32_it_keeps_its_digits_far_from_zero():
    data, (mean, whitening) = (1e4 + random(2, 30, 30, 5)).float(), parts()
    mean = mean + 1e4
    got = grads(lambda *args: mahalanobis(data, *args, torch.float32), mean, whitening)
    want = grads(lambda *args: mahalanobis(data.double(), *args, torch.float64), mean, whitening)
    for mine, exact in zip(got, want, strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 0, 4, 5)])
def test_no_pixel_at_all_has_a_gradient_of_zero(shape):
    mean, whitening = (one.requires_grad_() for one in parts())
    scores = mahalanobis(torch.zeros(shape), mean, whitening, torch.float32)
    assert scores.shape == (*shape[:3], 1)
    for one in torch.autograd.grad(scores.sum(), (mean, whitening)):
        assert one.abs().sum() == 0


def gradients_by(engine, monkeypatch, threads="1", dtype=torch.float32):
    monkeypatch.setenv("SPECLOOM_NATIVE", engine)
    monkeypatch.setenv("SPECLOOM_THREADS", threads)
    data = (3 + random(2, 100, 100, 61)).float()
    mean, whitening = parts(61)
    return grads(lambda *args: mahalanobis(data, *args, dtype), mean + 3, whitening)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_give_the_gradient_of_torch(monkeypatch, dtype):
    pairs = zip(
        gradients_by("1", monkeypatch, dtype=dtype),
        gradients_by("0", monkeypatch, dtype=dtype),
        strict=True,
    )
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance * float(other.abs().max()))


def test_the_gradient_has_the_same_bits_with_any_number_of_threads(monkeypatch):
    one = gradients_by("1", monkeypatch)
    for threads in ("2", "3"):
        for mine, other in zip(one, gradients_by("1", monkeypatch, threads), strict=True):
            assert torch.equal(mine, other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_data_of_another_type_than_the_products(dtype):
    data = random(1, 20, 20, 5).to(dtype)
    mean, whitening = parts()
    got = grads(lambda *args: mahalanobis(data, *args, torch.float32), mean, whitening)
    want = grads(lambda *args: plain(data.double(), *args), mean, whitening)
    for mine, exact in zip(got, want, strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-2, atol=1e-2 * float(exact.abs().max()))
