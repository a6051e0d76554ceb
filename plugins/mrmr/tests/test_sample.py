import pytest
import torch

from specloom_mrmr.sample import ClassSample, seed_of


def images(count=5, pixels=900):
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(count):
        rows = torch.randn(pixels, 3, generator=generator)
        made.append((rows, torch.rand(pixels, generator=generator) < 0.2))
    return made


def drawn(sample):
    return [sample.rows(label)[sample.keys(label).argsort()] for label in range(2)]


def sampled(data, size=100):
    sample = ClassSample(3, size)
    for rows, labels in data:
        sample.update(rows, labels)
    return sample


def test_order_and_shares_do_not_matter():
    data = images()
    want = drawn(sampled(data))
    assert [len(rows) for rows in want] == [100, 100]
    merged = sampled(data[3:])
    merged.merge(sampled(data[:3]).state())
    for sample in (sampled(data[::-1]), merged):
        assert all(torch.equal(a, b) for a, b in zip(drawn(sample), want, strict=True))


def test_classes_are_kept_whole_while_they_fit():
    data = images(1)
    rows, labels = data[0]
    normal, anomalous = drawn(sampled(data, 1000))
    assert torch.equal(normal.sort(0).values, rows[~labels].sort(0).values)
    assert torch.equal(anomalous.sort(0).values, rows[labels].sort(0).values)


def test_what_is_pooled_has_the_true_shares():
    data = images(20)
    pooled = sampled(
        [(labels[:, None].float().expand(-1, 3) + 0 * rows, labels) for rows, labels in data], 1500
    )
    assert pooled.pooled()[:, 0].mean() == pytest.approx(0.2, abs=0.03)


def test_a_quantile_of_the_sample_is_that_of_the_data():
    data = images(10)
    rows = torch.cat([one for one, _ in data])
    found = sampled(data, 10_000).quantiles((0.1, 0.9))
    want = torch.stack([rows.quantile(share, 0) for share in (0.1, 0.9)])
    torch.testing.assert_close(found, want)


def test_pixels_that_are_not_finite_or_not_kept_are_not_drawn():
    rows, labels = images(1)[0]
    rows[:100, 1] = torch.nan
    sample = ClassSample(3, 1000)
    sample.update(rows, labels, torch.arange(900) < 200)
    assert sum(len(sample.rows(label)) for label in range(2)) == 100


def test_a_hot_pixel_seldom_changes_what_is_drawn():
    rows = torch.randn(100_000, 3)
    hot = rows.clone()
    hot[5] = 1e9
    assert seed_of(rows) == seed_of(hot)
    assert seed_of(rows) != seed_of(rows[:-1])
    assert seed_of(rows) != seed_of(rows + 1)


@pytest.mark.parametrize("bad", [0.0, 0.5, 0.999])
def test_of_a_large_image_the_usable_pixels_with_the_smallest_keys_are_drawn(bad):
    """However few of those that are looked at first are usable."""
    count = 60_000
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(count, 3, generator=generator)
    labels = torch.rand(count, generator=generator) < 0.3
    keep = torch.rand(count, generator=generator) < 0.9
    rows[torch.rand(count, generator=generator) < bad, 1] = torch.nan
    sample = ClassSample(3, 50)
    sample.update(rows, labels, keep)
    keys = torch.Generator().manual_seed(seed_of(rows))
    keys = torch.rand(count, generator=keys, dtype=torch.float64)
    usable = keep & rows.isfinite().all(1)
    for label, members in enumerate((~labels, labels)):
        places = (usable & members).nonzero()[:, 0]
        places = places[keys[places].argsort()][:50]
        order = sample.keys(label).argsort()
        assert torch.equal(sample.keys(label)[order], keys[places])
        assert torch.equal(sample.rows(label)[order], rows[places])
