"""The statistics of two classes, whichever of them is the rarer one and however it comes."""

import pytest
import torch

from specloom_mrmr import class_statistics, counts
from specloom_mrmr.class_statistics import ClassStatistics
from specloom_mrmr.counts import cuts_of


def made(share=0.3, pixels=4000, bands=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(pixels, generator=generator) < share
    rows = torch.randn(pixels, bands, generator=generator) + labels[:, None] * 0.4
    rows[:, 3] = (2 * rows[:, 3]).round()
    rows[:, 5] = torch.exp(4 * rows[:, 5])
    return rows, labels


def streamed(rows, labels, rare=True, parts=1, size=512):
    found = ClassStatistics(cuts_of(rows[~labels], rows[labels], size), None, rare)
    for some, marks in zip(rows.chunk(parts), labels.chunk(parts), strict=True):
        found.update(some, marks)
    return found


def same(one, other):
    for a, b in zip(one.scores(8)[0], other.scores(8)[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert one.pixels() == other.pixels()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_it_does_not_matter_which_class_has_its_own_statistics(share):
    rows, labels = made(share)
    same(streamed(rows, labels, rare=True), streamed(rows, labels, rare=False))


def test_small_blocks_and_full_tables_change_nothing(monkeypatch):
    rows, labels = made()
    want = streamed(rows, labels)
    monkeypatch.setattr(counts, "BLOCK", 700)
    monkeypatch.setattr(class_statistics, "BLOCK", 900)
    monkeypatch.setattr(counts, "FULL", 1000)
    same(streamed(rows, labels, parts=7), want)


@pytest.mark.parametrize("offset", [0.0, -7.0, 300.0])
def test_histograms_equal_plain_ones_also_at_the_cuts(offset):
    rows, labels = made(0.5, pixels=20_000, bands=6)
    rows += offset
    cuts = cuts_of(rows[~labels], rows[labels], 16384)
    assert cuts.even.any()
    assert not cuts.even.all()
    below = cuts.values.nextafter(torch.tensor(-torch.inf))
    for some in (rows, cuts.values.T, below.T):
        counted = counts.Counts(cuts)
        counted.update(some.contiguous())
        places = torch.searchsorted(cuts.values, some.T.contiguous(), right=True)
        for band, found in zip(places, counted.counts(), strict=True):
            assert torch.equal(found, torch.bincount(band, minlength=len(found)))
