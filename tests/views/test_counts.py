"""mdlib.views.counts: windows of trials, and the law of their views."""

import numpy as np
import pytest
import torch

from mdlib.training import SampleViews
from mdlib.views.counts import CountViews, windows


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def counts():
    """[7, 2]: bin n has counts n + 1 and 10 n; trials of 4, 1 and 2 bins."""
    n = torch.arange(7.0)
    return torch.stack([n + 1, 10 * n], 1), torch.tensor([0, 0, 0, 0, 1, 2, 2])


def test_windows_hold_neighbours_of_the_same_trial(counts):
    x, trial = counts
    found = windows(x, trial, 2)
    assert found.shape == (7, 5, 2)
    assert found[..., 0].tolist() == [
        [-1, -1, 1, 2, 3],
        [-1, 1, 2, 3, 4],
        [1, 2, 3, 4, -1],
        [2, 3, 4, -1, -1],
        [-1, -1, 5, -1, -1],
        [-1, -1, 6, 7, -1],
        [-1, 6, 7, -1, -1],
    ]
    assert torch.equal(found[:, 2], x)
    assert torch.equal(found[..., 1] == -1, found[..., 0] == -1)


def test_the_partner_is_any_other_bin_of_the_window(counts):
    x, trial = counts
    samples = windows(x, trial, 2).repeat(400, 1, 1)
    views, made = CountViews(0.0)(samples, 2, seeded())
    first, partner = views.view(400, 7, 2, 2)[..., 0].unbind(2)
    assert torch.equal(first, x[:, 0].expand(400, 7))
    assert (partner[:, 4] == 5).all(), "a trial of one bin has no other"
    there = [{2, 3}, {1, 3, 4}, {1, 2, 4}, {2, 3}, {5}, {7}, {6}]
    assert [set(column.tolist()) for column in partner.T] == there
    shares = partner[:, 1].long().bincount()[[1, 3, 4]] / 400
    assert shares.numpy() == pytest.approx(np.full(3, 1 / 3), abs=0.08)
    found = torch.arange(7).repeat(400)[:, None] + made["shift"][..., 0]
    assert torch.equal(x[:, 0][found], views[..., 0])


def test_a_share_of_the_neurons_falls_silent():
    samples = torch.ones(3000, 1, 200)
    views, made = CountViews(0.6)(samples, 2, seeded())
    silent, wanted = (views == 0).float().mean(2), made["dropout"][..., 0]
    assert set(views.unique().tolist()) == {0, 1}
    assert wanted.min() < 0.01 and 0.59 < wanted.max() <= 0.6
    assert (silent - wanted).square().mean() == pytest.approx(
        0.18 / 200, rel=0.1
    )  # E p (1 − p) / n
    assert wanted.mean() == pytest.approx(0.3, abs=0.01)
    assert torch.corrcoef(wanted.T)[0, 1].abs() < 0.05, "each view has a share of its own"
    again, _ = CountViews(0.6)(samples, 2, seeded())
    assert torch.equal(views, again)


def test_fit_takes_it_as_a_source_that_says_what_it_is(counts):
    samples = windows(*counts, 2)
    source = SampleViews(samples, CountViews(0.5))
    assert "dropout=0.5" in source.fingerprint()["views"]
    assert source.draw(torch.tensor([1, 5]), seeded()).views.shape == (2, 2, 2)


def test_what_makes_no_sense_is_refused(counts):
    x, trial = counts
    with pytest.raises(ValueError, match="reach"):
        windows(x, trial, 0)
    with pytest.raises(ValueError, match=r"shape \[6\]: expected one number for each of 7"):
        windows(x, trial[1:], 2)
    with pytest.raises(ValueError, match="dropout"):
        CountViews(1.5)
    with pytest.raises(ValueError, match="members"):
        CountViews(0.5)(windows(x, trial, 2), 1, seeded())
