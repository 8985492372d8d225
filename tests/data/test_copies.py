"""mdlib.data.copies: sensors show what they hold, through maps that can be undone."""

import pytest
import torch

from mdlib.data import copies


def undone(scenes, views):
    """What each sensor mixed: copies [N, held] and private numbers [N, 8]."""
    for held, (rotation, isometry), view in zip(scenes.held, scenes.maps, views, strict=True):
        hidden = torch.atanh(view[..., 0, 0].double() @ isometry.T.double())
        mixed = hidden @ rotation.T.double()
        yield held, mixed[:, : len(held)], mixed[:, len(held) :]


def test_a_view_can_be_undone_into_copies_and_private_numbers():
    scenes = copies.Scenes(4, seed=1)
    views, numbers = scenes(4000)
    assert [tuple(v.shape) for v in views] == [(4000, 32, 1, 1)] * 4 and numbers.shape == (4000, 8)
    everything = []
    for held, found, private in undone(scenes, views):
        inside = found.isfinite().all(1) & private.isfinite().all(1)  # tanh rounds to 1 far out
        assert inside.float().mean() > 0.99
        noise = (found - numbers[:, list(held)])[inside]
        assert noise.std(0).sub(copies.SIGMA).abs().max() < 0.03
        together = torch.cat([numbers[inside], noise, private[inside]], 1)
        apart = together.T.corrcoef() - torch.eye(together.shape[1])
        assert apart.abs().max() < 0.08, "noise and private numbers know nothing"
        everything.append(torch.where(inside[:, None], noise, torch.nan))
    first, last = everything[0][:, 0], everything[3][:, 2]  # both of number 0
    whole = first.isfinite() & last.isfinite()
    assert torch.stack([first[whole], last[whole]]).corrcoef()[0, 1].abs() < 0.06


def test_the_seed_draws_maps_and_then_scenes():
    a, b = copies.Scenes(3, seed=0), copies.Scenes(3, seed=0)
    (first, s), (same, _), (other, t) = a(5), b(5), a(5)
    assert all(map(torch.equal, first, same))
    assert not torch.equal(first[0], other[0]) and not torch.equal(s, t)
    assert not torch.equal(copies.Scenes(3, seed=1).maps[0][0], a.maps[0][0])


def test_numbers_out_of_range_are_refused():
    for sensors in (1, 5):
        with pytest.raises(ValueError, match="sensors"):
            copies.Scenes(sensors)
    with pytest.raises(ValueError, match="scenes"):
        copies.Scenes(2)(0)
