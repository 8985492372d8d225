"""What `gallery/confounded_metrics` defines: its worlds, its made codes, Ada-GVAE."""

import math

import pytest
import torch
from chapter_cells import draws

from mdlib import metrics
from mdlib.methods.vae import VAE, Posterior

CHAPTER = "gallery/confounded_metrics"


ALL = torch.cartesian_prod(*[torch.arange(4)] * 6)


def test_rows_are_those_of_all_pictures(chapter):
    assert torch.equal(chapter["row_of"](ALL), torch.arange(4096))
    assert torch.equal(chapter["row_of"](ALL[[7, 9]].reshape(1, 2, 6)), torch.tensor([[7, 9]]))


def test_the_observed_world_is_candles_script_on_four_shapes(chapter):
    """Two hues of a ring and two scales for each shape, all else free."""
    v = chapter["drawn"]("observed", 4000, draws(0))
    floor, wall, hue, scale, shape, turn = v.T
    assert sorted(((hue - shape) % 4).unique().tolist()) == [0, 1]
    assert torch.equal(scale >= 2, shape >= 2) and v.amax(0).tolist() == [3] * 6
    assert len(v[:, 2:5].unique(dim=0)) == 16  # 4 shapes × 2 hues × 2 scales, of 64
    free = metrics.mutual_information_matrix(torch.stack([floor, wall, turn], 1).double(), v, 4)
    assert free[:, [2, 3, 4]].max() < 0.01


def test_the_unobserved_world_is_one_hidden_cause(chapter):
    v = chapter["drawn"]("unobserved", 40_000, draws(1))
    tied = v[:, [0, 1, 5]].double()
    # Given c, each is c − 1, c or c + 1, clipped: all three within 2 of each other.
    assert (tied.amax(1) - tied.amin(1)).max() == 2
    shares = v[:, [0, 1, 5]].T.flatten().bincount() / (3 * len(v))
    assert (shares - 1 / 4).abs().max() < 0.01  # clipping keeps them uniform
    pairs = torch.corrcoef(tied.T)
    assert pairs[0, 1] > 0.5 and pairs[0, 2] > 0.5


def test_the_untied_world_ties_nothing(chapter):
    v = chapter["drawn"]("untied", 4000, draws(12))
    told = metrics.mutual_information_matrix(v.double(), v, 4)
    assert (told - told.diag().diag()).max() < 0.01 and told.diag().min() > 1.3


def test_mig_of_the_perfect_code_is_the_closed_form(chapter):
    """Three factors have I = log 2 with another and H = log 4, three have nothing: 4.5/6."""
    v = chapter["drawn"]("observed", 40_000, draws(2))
    assert metrics.mig(v.double(), v).score == pytest.approx(0.75, abs=0.01)
    assert metrics.uc(v.double(), v).score == 1
    joint = torch.zeros(4, 4, dtype=torch.float64)
    for shape in range(4):
        joint[shape, shape] += 1 / 8
        joint[shape, (shape + 1) % 4] += 1 / 8
    assert chapter["perfect_mig"](joint, 6) == pytest.approx(5 / 6)


def test_slow_scores_are_the_packages(chapter):
    v = chapter["drawn"]("observed", 500, draws(3))
    z = torch.randn(500, 7, generator=draws(4), dtype=torch.float64)
    z[:, :6] += v.double() @ torch.randn(6, 6, generator=draws(5)).double()
    M = chapter["robustness"](z, v)
    for owned in (1, 2, 4):
        package = metrics.uc(z, v, owned)
        torch.testing.assert_close(M, package.matrix)
        assert chapter["unconfoundedness"](M, owned) == pytest.approx(package.score)


@pytest.mark.slow
def test_bagged_trees_find_the_perfect_code_and_cut_shape_in_scale_too(chapter):
    """On tied rows the first cut of shape is as good in scale: half of shape is all of its half."""
    found = {}
    for name, v in (("all", ALL), ("tied", chapter["drawn"]("observed", 1000, draws(10)))):
        for code, (z, _) in chapter["made_codes"](v, draws(11)).items():
            found[name, code] = chapter["dci"](z, v)
    assert found["all", "perfect"] > 0.99 > found["tied", "perfect"]
    assert found["tied", "perfect"] > found["tied", "shape for hue"] > found["tied", "rotated"]


def test_decoders_of_made_codes_are_exact(chapter):
    codes = chapter["made_codes"](ALL, draws(6))
    for name in ("perfect", "rotated", "hue and shape in one", "hue's own noise"):
        z, back = codes[name]
        assert torch.equal(back(z).round().long(), ALL), name
    z, back = codes["shape for hue"]
    wrong = back(z).round().long() != ALL
    assert wrong.any(0).tolist() == [False, False, True, False, False, False]


def test_an_arrow_and_a_common_cause_have_the_same_rows_and_the_same_scores(chapter):
    """Closed forms on the observed world's 1024 rows, all equally likely, with hue = shape + coin.

    Of hue's own noise, the coin, shape tells log 2 of hue, scale half of that, the coin nothing: a
    gap of 1/4, where the value's is 1/2. So hue is owned by shape's dimension: one pair in 15
    shares, and for hue CG moves as much by what it owns as by the rest.
    """
    near, pair = (ALL[:, 2] - ALL[:, 4]) % 4 < 2, (ALL[:, 3] >= 2) == (ALL[:, 4] >= 2)
    rows = ALL[near & pair]
    codes = chapter["made_codes"](rows, draws(13))
    found = {}
    for name in ("perfect", "hue's own noise"):
        z, back = codes[name]
        z = (z + 1.5).round() - 1.5  # without its noise: then all is exact

        def read(z, back=back):
            return chapter["one_hot"](back(z))

        cg = metrics.cg(z, rows, read)
        found[name] = [metrics.mig(z, rows).score, metrics.uc(z, rows).score, cg.score, cg.signed]
    assert found["perfect"] == pytest.approx([4.5 / 6, 1, 1, 1])
    assert found["hue's own noise"] == pytest.approx([4.25 / 6, 14 / 15, 5 / 6, 5 / 6])


def test_only_own_noise_follows_the_arrow_and_only_values_stay_without_it(chapter):
    v = chapter["drawn"]("observed", 500, draws(14))
    codes = chapter["made_codes"](v, draws(14))
    v_set = (v[:, 4] + 1) % 4  # do(shape)
    for name, step in (("perfect", 0), ("hue's own noise", 1)):
        z, back = codes[name]
        z[:, 4] = v_set - 1.5
        known = v.clone()
        known[:, 2], known[:, 4] = (v[:, 2] + step) % 4, v_set
        assert torch.equal(back(z).round().long(), known), name


def test_signed_cg_sees_the_sets_that_are_wrong(chapter):
    codes = chapter["made_codes"](ALL, draws(7))

    def found(name):
        z, back = codes[name]
        return metrics.cg(z, ALL, lambda z: chapter["one_hot"](back(z)))

    assert found("perfect").signed == pytest.approx(1)
    merged = found("hue and shape in one")
    assert merged.signed < merged.score - 0.2
    assert found("noise").score == 0, "a decoder that ignores its code moves nothing"


def test_ada_gvae_shares_what_differs_least(chapter):
    """Posteriors N(m, s) of two views; the mean of both KLs is (m − m')²/2 at equal variance 1."""
    vae = chapter["AdaGVAE"]((3, 16, 16), 4)
    mean = torch.tensor([[[0.0, 1.0, 2.0, 3.0], [0.1, 1.0, 2.0, 5.0]]])
    log_variance = torch.zeros(1, 2, 4)
    log_variance[:, 1, 1] = math.log(2)
    pooled = vae.pooled(mean, log_variance)
    torch.testing.assert_close(pooled.mean[0, 0], torch.tensor([0.05, 1.0, 2.0, 3.0]))
    torch.testing.assert_close(pooled.mean[0, 1], torch.tensor([0.05, 1.0, 2.0, 5.0]))
    shared = torch.tensor([0, math.log(1.5), 0, 0])
    torch.testing.assert_close(pooled.log_variance[0], shared.expand(2, 4))


def test_ada_gvae_draws_from_pooled_posteriors_and_pays_for_them(chapter):
    """Where views differ in one dimension of three, all of the others' draws and KL are shared."""
    vae = chapter["AdaGVAE"]((3, 16, 16), 3)
    mean = torch.zeros(1, 2, 3)
    mean[0, :, 1:] = torch.tensor([[0.2, -3.0], [-0.2, 3.0]])
    sharp = torch.full((1, 2, 3), -30.0)
    z = vae.draw(mean, sharp, draws(15))
    torch.testing.assert_close(z[0], torch.tensor([[0, 0, -3.0], [0, 0, 3]]), atol=1e-4, rtol=0)
    found, known = (
        sum(cost.sum() for cost in made.regularisers(Posterior(m, 0 * m), m, draws(16)).values())
        for made, m in ((vae, mean), (VAE((3, 16, 16), 3), mean * torch.tensor([1, 0, 1])))
    )
    torch.testing.assert_close(found, known)


def test_ada_gvaes_divergence_is_the_mean_of_both_directions(chapter):
    """The least different dimension is kept apart once the middle falls to it: two dimensions."""
    vae = chapter["AdaGVAE"]((3, 16, 16), 2)
    draw = draws(8)
    for _ in range(20):
        mean, log_variance = torch.randn(2, 1, 2, 2, generator=draw)
        p, q = (
            torch.distributions.Normal(m, (v / 2).exp())
            for m, v in zip(mean.unbind(1), log_variance.unbind(1), strict=True)
        )
        kl = torch.distributions.kl_divergence
        both = (kl(p, q) + kl(q, p))[0]
        pooled = vae.pooled(mean, log_variance).mean[0]
        assert (pooled[0] == pooled[1]).tolist() == (both < both.mean()).tolist()


def test_a_second_view_is_after_an_intervention_on_one_factor(chapter):
    chapter["pixels"] = ALL[:, :, None, None].float()  # pictures that show their factors
    v = chapter["drawn"]("observed", 800, draws(9))
    (views, _), (alone, _) = (chapter["pictures"](v, j, draws(9)) for j in (2, 1))
    changed = (views[:, 0] != views[:, 1])[..., 0, 0].sum(1)
    assert torch.equal(alone[:, 0, :, 0, 0].long(), v) and set(changed.tolist()) == {0, 1}
    assert changed.float().mean() == pytest.approx(0.75, abs=0.06)  # a quarter draw the same value
    second = views[:, 1, :, 0, 0].long()
    assert ((second[:, 2] - second[:, 4]) % 4 > 1).any(), "interventions ignore causes"


def test_largest_disjoint(chapter):
    assert chapter["largest"]([[0, 1, 2], [3, 4, 0]]) == 2
