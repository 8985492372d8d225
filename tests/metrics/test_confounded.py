"""UC and CG against the released code, closed forms, and codes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mdlib.metrics import cg, irs, random_rotation, uc

# causal-disentanglement/disentanglement_lib at 64e7871f40b9a30ac83ae3e15ab855155a0db201,
# evaluation/metrics/irs.py, `scalable_disentanglement_score` as released, its model and decoder
# replaced by the formulas of `released_inputs`: (UC, CG) by ρ. "mended" is the same run with the ρ
# largest entries in place of every ρ-th of half-sorted ones.
RELEASED = {
    1: (1.0, 0.2779275605369202),
    2: (0.7777777777777778, 0.3025228530310234),
    7: (0.9111111111111111, 0.27720719397246035),
}
MENDED = {
    1: (1.0, 0.2779275605369202),
    2: (0.7777777777777778, 0.2488195870087294),
    7: (0.15, 0.28609736514163096),
}
SIZES = (5, 5, 3, 6, 16, 3)  # CANDLE's, as the release has them built in


def wave(rate, *shape):
    return np.sin(rate * np.arange(np.prod(shape), dtype=float) ** 2).reshape(shape)


@pytest.fixture(scope="module")
def released_inputs():
    shares = 0.5 + 0.5 * wave(0.37, 400, 6).clip(-0.999, 0.999)
    factors = np.floor(shares * SIZES).astype(int)
    codes = wave(0.1, 400, 10)
    codes[:, :6] += factors @ (wave(0.3, 6, 6) + 1.5 * np.eye(6))
    weights = torch.from_numpy(wave(0.17, 10, sum(SIZES)) / 2)

    def read(z):
        return [logits.softmax(1) for logits in (z @ weights).split(SIZES, 1)]

    return codes, factors, read


@pytest.mark.parametrize("owned", MENDED)
def test_ours_is_the_released_score_with_its_slip_mended(released_inputs, owned):
    codes, factors, read = released_inputs
    expected = pytest.approx(MENDED[owned], abs=1e-12)
    assert (uc(codes, factors, owned).score, cg(codes, factors, read, owned).score) == expected


def test_the_slip_is_in_the_release_for_more_than_one_dimension_each(released_inputs):
    """So that nobody mends ours until it agrees."""
    codes, factors, read = released_inputs
    for owned, (_, theirs) in RELEASED.items():
        assert (abs(cg(codes, factors, read, owned).score - theirs) < 1e-12) == (owned == 1)
    # ρ = 7 of 10: six sets of which any two share at least 4 have at least 4/10 in common.
    assert uc(codes, factors, 7).score <= 1 - 4 / 10 < RELEASED[7][0]


# --- codes whose answer is known: all 256 combinations of four factors with four values


GRID = torch.cartesian_prod(*[torch.arange(4)] * 4)


def one_hot(values):
    return [torch.nn.functional.one_hot(v.clamp(0, 3), 4) for v in values.round().long().T]


def test_the_perfect_code_has_full_marks():
    codes = GRID.double()[:, [2, 0, 3, 1]]
    back = [1, 3, 0, 2]
    assert uc(codes, GRID).score == 1
    assert uc(codes, GRID).sets[:, 0].tolist() == back
    found = cg(codes, GRID, lambda z: one_hot(z[:, back]))
    assert found.score == found.signed == 1
    assert found.own.tolist() == [1] * 4 and found.rest.tolist() == [0] * 4


def test_correlation_of_values_is_not_held_against_a_code():
    """Factors 0 and 1 agree in three of four rows; the release's question about sharing."""
    agree = GRID[(GRID[:, 0] == GRID[:, 1])].repeat(9, 1)
    rows = torch.cat([agree, GRID[GRID[:, 0] != GRID[:, 1]]])
    codes = rows.double()
    assert uc(codes, rows).score == 1 and cg(codes, rows, one_hot).score == 1


@pytest.mark.parametrize(
    ("columns", "score"),
    [
        ([0, 0, 2, 3], 1 - 1 / 6),  # two of four share: one pair of six
        ([0, 0, 2, 2], 1 - 2 / 6),
        ([0, 0, 0, 3], 1 - 3 / 6),
        ([0, 0, 0, 0], 0.0),
    ],
)
def test_uc_counts_pairs_that_share(columns, score):
    """Factors of one column are digits of one dimension; the dimensions left over are dead."""
    codes = torch.zeros(256, 4, dtype=torch.float64)
    for factor, column in enumerate(columns):
        codes[:, column] = 4 * codes[:, column] + GRID[:, factor]
    assert uc(codes, GRID).score == pytest.approx(score, abs=1e-12)


def test_uc_of_larger_sets_is_one_minus_jaccard():
    """With two dimensions each, both factors own the first code and one more: 1 − 1/3."""
    a, b = GRID[:, 0].double(), GRID[:, 1].double()
    codes = torch.stack([4 * a + b, a, b], 1)
    found = uc(codes, GRID[:, :2], 2)
    assert [sorted(s) for s in found.sets.tolist()] == [[0, 1], [0, 2]]
    assert found.score == pytest.approx(2 / 3, abs=1e-12)


def test_what_nobody_tells_is_owned_by_the_dimension_of_rare_extremes():
    draw = torch.Generator().manual_seed(1)
    factors = torch.randint(4, (600, 5), generator=draw)
    codes = torch.rand(600, 8, generator=draw)
    codes[0, 3] = 20  # one row of one dimension
    found = uc(codes, factors)
    assert found.score == 0 and (found.sets == 3).all()


def test_cg_does_not_see_two_factors_in_one_dimension():
    """z = v₀ + 4 v₁: the far end is (3, 3) or (0, 0), which leaves v₀ in 4 of 16 cases, v₁ in none.

    So CG is (3/4 + 1)/2, for a code that UC gives 0.
    """
    v = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    codes = torch.stack([v[:, 0] + 4 * v[:, 1], torch.zeros(16)], 1).double()

    def read(z):
        return one_hot(torch.stack([z[:, 0] % 4, z[:, 0] // 4], 1))

    found = cg(codes, v, read)
    assert found.own.tolist() == [0.75, 1.0] and found.rest.tolist() == [0, 0]
    assert found.score == 7 / 8 and uc(codes, v).score == 0


def test_cg_gives_full_marks_to_sets_that_are_wrong_and_its_signed_part_does_not():
    """The decoder exchanges two factors: what one owns moves the other only."""
    codes = GRID[:, :2].double()
    found = cg(codes, GRID[:, :2], lambda z: one_hot(z))
    swapped = cg(codes, GRID[:, :2], lambda z: one_hot(z[:, [1, 0]]))
    assert found.score == found.signed == 1
    assert swapped.read.tolist() == [0.25, 0.25]
    assert swapped.own.tolist() == [0, 0] and swapped.rest[0] == swapped.rest[1] > 0
    assert swapped.score == -swapped.signed > 0


def test_rotated_codes_fall_short():
    """Five values, N = 3000, noise .02, an exact inverse for a decoder: CG has half marks at most.

    UC is no test of this: in most rotations each factor is nearest to a dimension of its own.
    """
    draw = torch.Generator().manual_seed(0)
    factors = torch.randint(5, (3000, 4), generator=draw)
    noise = 0.02 * torch.randn(3000, 4, generator=draw, dtype=torch.float64)
    axis, found = factors - 2 + noise, []

    def one_hot_of_five(z):
        return [torch.eye(5)[v] for v in (z.round().long() + 2).clamp(0, 4).T]

    for seed in range(5):
        q = random_rotation(4, torch.Generator().manual_seed(seed))
        codes = axis @ q
        parts = cg(codes, factors, lambda z, q=q: one_hot_of_five(z @ q.T))
        found.append(parts.score)
    assert np.mean(found) <= 0.5
    assert uc(axis, factors).score == 1 and cg(axis, factors, one_hot_of_five).score >= 0.95


def test_scale_sign_and_order_change_nothing():
    codes = torch.randn(500, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    factors = (codes[:, :3] + codes[:, 2:]).round().clamp(-1, 1).long() + 1
    scale = torch.tensor([2.0, -1, 0.1, 30, -7], dtype=torch.float64)
    one, two = uc(codes, factors), uc(codes * scale + 5, factors)
    assert torch.equal(one.sets, two.sets)
    turned = uc(codes.flip(1), factors)
    assert torch.equal(4 - turned.sets, one.sets) and turned.score == one.score

    def read(z):
        return [torch.stack([v, v / 2, v**2], 1).softmax(1) for v in z.T[:3]]

    moved = cg(codes * scale + 5, factors, lambda z: read((z - 5) / scale))
    assert moved.score == pytest.approx(cg(codes, factors, read).score, abs=1e-9)


def test_errors():
    codes, factors = torch.randn(20, 3), GRID[:20, 2:]
    with pytest.raises(ValueError, match="owned=4: codes have 3 dimensions"):
        uc(codes, factors, 4)
    with pytest.raises(ValueError, match="owned=0: expected a whole number"):
        uc(codes, factors, 0)
    with pytest.raises(ValueError, match="factors have 1 column, expected at least 2"):
        uc(codes, factors[:, :1])

    def read(widths):
        return lambda z: [torch.ones(len(z), width) for width in widths]

    with pytest.raises(ValueError, match="read gave 3 tensors, expected 2"):
        cg(codes, factors, read([4, 4, 4]))
    with pytest.raises(ValueError, match=r"read gave \[20, 3\] for factor 1, .* V at least 4"):
        cg(codes, factors, read([4, 3]))
    for odd in (float("nan"), 7.0, -7.0):
        with pytest.raises(ValueError, match=f"factor 0, .* hold {odd} at .*, expected 0 to 1"):
            cg(codes, factors, lambda z, odd=odd: [torch.full((20, 4), odd)] * 2)
    with pytest.raises(ValueError, match=r"factors hold 0\.5 at \[0, 1\], expected whole numbers"):
        cg(codes, factors + torch.tensor([0, 0.5]), read([5, 5]))
    with pytest.raises(ValueError, match=r"factors hold -1\.0 at \[0, 0\]"):
        cg(codes, factors - 1, read([5, 5]))


def test_bins_and_quantile_are_those_of_irs(released_inputs):
    codes, factors, read = released_inputs
    codes = codes**3  # far from the mean, quantiles say other things
    settings = {"bins": 3, "quantile": 0.5}
    found = uc(codes, factors, **settings)
    assert torch.equal(found.matrix, irs(codes, factors, **settings).matrix)
    assert torch.equal(cg(codes, factors, read, **settings).sets, found.sets)
    assert not torch.equal(found.sets, uc(codes, factors).sets)
