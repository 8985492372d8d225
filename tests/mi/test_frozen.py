"""Stacks of encoders and what their codes keep, against codes that show the class and no more."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from mdlib.mi import bounds, frozen, pairs

CLASSES = 4
LABELS = torch.arange(CLASSES).repeat_interleave(25)
ONE_HOT = F.one_hot(LABELS).float()


def test_critic_is_the_cosine_over_the_temperature():
    stack = frozen.Encoders([6, 5, 3], [0.5, 2.0], seed=1)
    x, y = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(0))
    z_x, z_y = stack.encode(x), stack.encode(y)
    torch.testing.assert_close(z_x.norm(dim=-1), torch.ones(2, 7))
    slowly = torch.stack(
        [F.cosine_similarity(z_x[m][:, None], z_y[m], dim=-1) / t for m, t in enumerate((0.5, 2))]
    )
    torch.testing.assert_close(stack(x, y), slowly)


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two = (frozen.Encoders([4, 2], [1.0], seed=3) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("bad", [([4], [1.0]), ([4, 2], []), ([4, 2], [0.0]), ([4, 2], [-1.0])])
def test_bad_stacks_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        frozen.Encoders(*bad, seed=0)


def test_contrast_learns_the_class_and_stays_below_log_k():
    task = pairs.SameClass(ONE_HOT, LABELS)
    draw = torch.Generator().manual_seed(0)
    stack = frozen.Encoders([CLASSES, 8], [0.1, 0.2], seed=0)
    values = frozen.contrast(stack, lambda _, n: task.sample(n, draw), steps=150, batch_size=32)
    assert list(values.columns) == [0, 1]
    assert (values <= math.log(32) + 1e-6).all(axis=None)
    best = pairs.optimal_infonce(CLASSES, 32)
    tail = values.tail(50)
    assert (tail.mean() < best + 4 * tail.std() / 50**0.5).all()
    assert (tail.mean() > values.iloc[0]).all() and tail[0].mean() > 0.9 * best


def test_information_of_codes_is_the_classes_and_that_of_noise_nothing():
    noise = torch.randn(len(LABELS), CLASSES, generator=torch.Generator().manual_seed(0))
    z = torch.stack([ONE_HOT, noise])
    task = pairs.SameClass(ONE_HOT, LABELS)
    fresh = torch.randn(4000, CLASSES, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4000) % CLASSES
    z_test = torch.stack([F.one_hot(labels).float(), fresh])
    held_out = pairs.SameClass(z_test[0], labels)
    found = frozen.information(
        frozen.code_pairs(z, task, 1),
        frozen.code_pairs(z_test, held_out, 2),
        dim=CLASSES,
        members=2,
        seed=0,
        steps=150,
        evaluation_size=256,
    )
    best = pairs.optimal_infonce(CLASSES, 256)
    assert abs(found.loc[0, "MI, train"] - best) < 0.05
    assert abs(found.loc[0, "MI, held-out"] - best) < 0.05
    assert found.loc[1, "MI, held-out"] < 0.05


def test_code_pairs_are_rows_of_one_class_and_the_same_for_all_members():
    z = torch.stack([LABELS[:, None].float(), torch.arange(len(LABELS))[:, None].float()])
    x, y = frozen.code_pairs(z, pairs.SameClass(ONE_HOT, LABELS), 0)(0, 80)
    (c_x, i_x), (c_y, i_y) = (v.view(2, 40) for v in (x, y))
    assert torch.equal(c_x, c_y)
    assert torch.equal(LABELS[i_x.long()], c_x.long())
    assert torch.equal(LABELS[i_y.long()], c_y.long())


def test_standardised_by_the_first():
    z = 3 + 2 * torch.randn(2, 500, 3, generator=torch.Generator().manual_seed(0))
    a, b = frozen.standardised(z, z + 1)
    torch.testing.assert_close(a.mean(1), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(b - a, (1 / (z.std(1, keepdim=True) + 1e-6)).expand_as(z))


def test_classifier_of_separable_codes():
    z = torch.stack([ONE_HOT, ONE_HOT.flip(1)])
    assert frozen.accuracy(z, LABELS, z, LABELS) == [1.0, 1.0]
    p = frozen.posteriors(ONE_HOT, LABELS, ONE_HOT)
    torch.testing.assert_close(p.sum(1), torch.ones(len(p)))
    assert torch.equal(p.argmax(1), LABELS)


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1e-8, 1e-6, 1e20])
def test_codes_of_any_size_are_classified_alike(scale):
    z = LABELS[:, None] + 0.3 * torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    truth = frozen.posteriors(z, LABELS, z)
    found = frozen.posteriors(z * scale, LABELS, z * scale)
    torch.testing.assert_close(found, truth, atol=0.02, rtol=0)
    a, b = (frozen.standardised(c[None], c[None])[0].std().item() for c in (z, z * scale))
    assert b == pytest.approx(a, rel=0.05)


def test_rounding_is_no_code():
    z = 0.1 + 1e-9 * torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(0))
    assert frozen.standardised(z, z)[0].abs().max() < 0.1


def test_plug_in_with_the_truth_is_the_exact_optimum():
    task = pairs.SameClass(ONE_HOT, LABELS)
    found = frozen.plug_in(ONE_HOT, task, pairs=16, batches=600, seed=0)
    draw = torch.Generator().manual_seed(0)
    each = [
        bounds.infonce((LABELS[x][:, None] == LABELS[y]).float().log())
        for x, y in (task.sample_rows(16, draw) for _ in range(600))
    ]
    error = torch.stack(each).std() / 600**0.5
    assert abs(found - pairs.optimal_infonce(CLASSES, 16)) < 4 * error


def test_fano_is_below_the_information_of_guesses_and_exact_without_error():
    assert frozen.fano(0.0, math.log(4), 4) == pytest.approx(math.log(4))
    assert frozen.fano(0.45, math.log(4), 4) == 0.0
    for error in (0.01, 0.05, 0.1, 0.2):  # wrong guesses spread evenly
        p = torch.full((4, 4), error / 3).double().fill_diagonal_(1 - error)
        joint = p.T @ p / 4
        product = joint.sum(1, keepdim=True) * joint.sum(0)
        exact = (joint * (joint / product).log()).sum().item()
        found = frozen.fano(error, math.log(4), 4)
        assert found <= exact
        assert error > 0.05 or found > 0.5 * exact
    with pytest.raises(ValueError, match="error=2"):
        frozen.fano(2, 1.0, 4)


def test_views_of_strength():
    images = torch.randint(256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = images.to(torch.uint8)
    draw = torch.Generator().manual_seed(0)
    same = frozen.views_of_strength(0)(images, 1, draw)[0][:, 0]
    torch.testing.assert_close(same, images.float() / 255)
    weak, strong = (
        (frozen.views_of_strength(s)(images, 1, draw)[0][:, 0] - same).square().mean()
        for s in (0.25, 3)
    )
    assert strong > weak > 0
    with pytest.raises(ValueError, match="strength=-1"):
        frozen.views_of_strength(-1)


def test_a_posterior_does_not_depend_on_what_else_is_asked():
    draw = torch.Generator().manual_seed(0)
    z = ONE_HOT + 0.7 * torch.randn(100, CLASSES, generator=draw)
    p = frozen.posteriors(z, LABELS, z)
    torch.testing.assert_close(frozen.posteriors(z, LABELS, z[:7]), p[:7])
    wrong = LABELS[:40].roll(1)
    right = (p[:40].argmax(1) == wrong).float().mean().item()
    assert frozen.accuracy(z[None], LABELS, z[None, :40], wrong) == [pytest.approx(right)]


def test_fano_by_hand():
    h = -0.2 * math.log(0.2) - 0.8 * math.log(0.8)
    assert frozen.fano(0.1, 1.3, 4) == pytest.approx(1.3 - h - 0.2 * math.log(3))


def test_information_is_evaluated_at_its_own_batch_size_and_pairs_by_their_seed():
    z, task = ONE_HOT[None], pairs.SameClass(ONE_HOT, LABELS)
    first, again, other = (frozen.code_pairs(z, task, s)(0, 50)[0] for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    given = frozen.code_pairs(z, task, 1), frozen.code_pairs(z, task, 2)
    found = frozen.information(*given, dim=CLASSES, members=1, seed=0, steps=60, evaluation_size=2)
    assert (found <= math.log(2) + 1e-6).all(axis=None)  # at 512 it would be near log 4
    assert (found > 0.2).all(axis=None)
