"""Each theorem's cell runs as it is, and fails once its formula is broken.

A cell tagged "theorem:NAME" holds the asserts of a statement. It runs here after its chapter's
parameters, its cells tagged "setup" and all of its definitions, so it may use nothing else. A break
is a change of text, in the chapter or in the module of mdlib that the cell asks; where it leaves
the asserts silent, they prove nothing.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import chapter_cells
import pytest
import torch
from chapter_cells import cells, namespace, tagged, text

pytestmark = pytest.mark.slow  # chapters' cells are run

# chapter: cell → changes, each (old, new) in the chapter, or (module, function, old, new)
BREAKS = {
    "theory/infonce_bound": {
        "ratio": [
            ("log_r = task.log_ratio(x, y)", "log_r = 1.05 * task.log_ratio(x, y)"),
            ("log_r = task.log_ratio(x, y)", "log_r = task.log_ratio(x, y.roll(1, 0))"),
        ],
        "scores": [
            ('"js": 1 + joint.mean()', '"js": joint.mean()'),
            ("S[off].add(1).exp().mean() / math.e,", "S[off].exp().mean() / math.e,"),
            ("(joint.exp() / S.exp().mean(1))", "(joint.exp() / S.exp().mean(0))"),
            ("mdlib.mi.bounds", "nwj", "tuba(scores, 1.0)", "tuba(scores, 0.9)"),
        ],
        "infonce": [
            # a ceiling of 1.1 nats whatever K, and a batch's sum over the wrong axis
            ("mdlib.mi.bounds", "infonce", "math.log(scores.shape[-1])", "1.1"),
            ("log_r + f[:, :1], K, bounds.infonce", "log_r + f[:1], K, bounds.infonce"),
            ("(log_r.exp() / K).log1p()", "(log_r.exp() / K**2).log1p()"),
            ("(product * f.exp()).sum() / math.e", "(joint * f.exp()).sum() / math.e"),
            ("exact(joint, log_r, 3, bounds.dv)", "exact(joint, log_r, 3, bounds.infonce)"),
        ],
        "shared": [
            ('return shared_noise(n, how == "independent")', "return shared_noise(n, False)"),
            ('return shared_noise(n, how == "independent")', "return shared_noise(n, True)"),
            ("given_z = -0.5 * math.log(1 - 0.9**2)", "given_z = 0.0"),
        ],
        "shrunk": [("squares[name, 0.8]  # batch", "squares[name, 1.0]  # batch")],
        "js": [
            ("1 - (1 - 1 / math.e) * mean)", "1 / math.e * mean)"),
            ("mdlib.mi.bounds", "js_legacy", "nwj(scores)", "tuba(scores, 0.9)"),
        ],
        "variance": [
            ("np.expm1(2 * laws.I)", "np.expm1(laws.I)"),
            ("np.expm1(2 * laws.I)", "np.exp(2 * laws.I)"),
        ],
        "alpha": [
            ("math.log((K - 1) / alpha) + (alpha < 1)", "math.log(K / alpha) + 1"),
            ("math.log((K - 1) / alpha) + (alpha < 1)", "math.log((K - 1) / alpha)"),
        ],
        "club": [
            ("(information + of_q - of_p)", "(information - of_q + of_p)"),
            ("((joint - product) * (joint", "(joint * (joint"),
            (
                "for bound in (bounds.known_conditional, bounds.leave_one_out)",
                "for bound in (bounds.leave_one_out, bounds.known_conditional)",
            ),
            ("sides.append(found > information)", "sides.append(True)"),
        ],
    },
    "theory/known_truth_pairs": {
        "same-class": [
            ("(joint_of(shuffled), math.log(3))", "(joint_of(shuffled), 0.0)"),
            ("(joint_of(labels, distinct=True), math.log(3) +", "(joint_of(labels), math.log(3) +"),
            ("math.log(n / (n - 1)) for", "math.log((n + 1) / n) for"),
            ("merged[0, 11] = 1", "merged[10, 11] = 1"),
            (
                "both = torch.cat([train.labels, test.labels])",
                "both = torch.arange(len(which)); which[0] = which[1]",
            ),
        ],
        "brackets": [
            ("q = 2 * error", "q = error / 2"),
            ("h = -sum(p * math.log(p) for", "h = 0 * sum(p * math.log(p) for"),
            ("upper = math.log(5 * correct)", "upper = math.log(4 * correct)"),
            ("joint = p_z_given_c.T @ with_class", "joint = (p_z_given_c / 2).T @ with_class"),
            (
                "mdlib.mi.pairs",
                "score_matrix_from_posteriors",
                "p_x.double() / prior.double()",
                "p_x.double()",
            ),
        ],
        "optimum": [
            ("mdlib.mi.pairs", "_mean_log_ties", "pairs - 1, 1 / classes", "pairs, 1 / classes"),
            ("math.log(K * M_ / (K + M_ - 1))", "math.log(M_)"),
        ],
        "nt-xent": [
            ("math.log(63) - losses", "math.log(64) - losses"),
            ("mdlib.mi.pairs", "optimal_nt_xent", "views=2", "views=1"),
        ],
        "factors": [
            ("pictures = torch.cat(", "factors[:, 2] = 0; pictures = torch.cat("),
            ("pictures = torch.cat(", "factors[:, 1] = 0; pictures = torch.cat("),
        ],
    },
    "theory/frozen_encoders": {
        "coupling": [
            ("x[:, b] += -shift if undo else shift", "x[:, b] += shift"),
            ("x[:, b] += -shift if undo else shift", "x[:, b] = shift if not undo else x[:, b]"),
        ],
        "room": [
            ("(1 - share) * (weight * ties.log1p())", "(weight * ties.log1p())"),
            ("Binomial(K - 1, blank)", "Binomial(K, blank)"),
            ("pairs.optimal_infonce(classes, K)", "pairs.optimal_infonce(classes + 1, K)"),
            ("< 0.5", "< 0.4"),
        ],
        "simplex": [
            ("math.exp(-K / ((K - 1) * tau))", "math.exp(-2 / tau)"),  # all others at −1
            ("math.exp(-K / ((K - 1) * tau))", "math.exp(-1 / tau)"),
        ],
    },
    "theory/measures_infomin": {
        "uniformity": [
            ("(-2 * (2 - 2 * z @ z.mT)).exp()", "(-1 * (2 - 2 * z @ z.mT)).exp()"),
            ("((kernel.sum((-1, -2)) - n) / (n * (n - 1)))", "(kernel.mean((-1, -2)))"),
            ("(z - z_plus).square().sum(-1)", "(z - z_plus).norm(dim=-1)"),
        ],
        "kendall": [
            ("np.sign(np.subtract.outer(v, v)) * counted", "np.sign(np.subtract.outer(v, v))"),
            ("agree / np.sqrt(a * b)", "agree / np.sum(weights) ** 2"),
        ],
    },
    "theory/multiview_elbo": {
        "content": [
            ('(heads["c"](x) - heads["c"](x_p))', '(heads["c"](x) - heads["s"](x_p))'),
            ("(lambda v: v.norm(dim=1), True)", "(lambda v: v.sum(dim=1), True)"),
        ],
        "bound": [
            ("of_view = (own + swapped", "of_view = (own + own"),
            ("((d @ P) * d).sum(1) / 4", "((d @ P) * d).sum(1) / 2"),
            ("L + js + kl_true", "L + kl_true"),
            ("kl_prior(mu_c, var_c)) / 2", "kl_prior(mu_c, var_c))"),
        ],
        "class": [
            ("(nll / 2).sum()", "nll.diagonal().sum()"),  # no swap
            ("(kl_c / 2).sum()", "kl_c.sum()"),  # content paid once a view
            ("[z[:, j, :6], z[:, i, 6:]]", "[z[:, i, :6], z[:, j, 6:]]"),  # styles swapped
        ],
        "price": [
            ("beta_c * rate_c + J * beta_s * rate_s", "beta_c * rate_c + beta_s * rate_s"),
            ("split_of_a_pixel(b_s, 1.0, sigma2", "split_of_a_pixel(b_s, 0.97, sigma2"),
            ("best = max(1, J / (sigma2 * least))", "best = max(1, 1.1 * J / (sigma2 * least))"),
        ],
        "cost": [
            ("r = mu**2 * rho2_c", "r = mu * rho2_c"),
            ("mu = (1 + (J - 1) * kappa) / J", "mu = kappa"),
            ("(kappa, 1 - 1 / J)):  # self", "(1, 1 - 1 / J)):  # self"),
            ("snr = r / (1 - r) + rho2_s / (1 - rho2_s)", "snr = r + rho2_s"),
        ],
    },
    "theory/byol_repulsion": {
        "agreement": [("torch.outer(p, p)", "p.diag()")],  # one style drawn for both views
        "split": [
            ("norm(c_a, c_p) / norm(z_a, z_p)", "norm(c_a, c_a) / norm(z_a, z_p)"),
            ("slice(cut, None))", "slice(cut + 1, None))"),
            ("torch.cat([F.normalize(c_a), F.normalize(s_a)], 1)", "torch.cat([c_a, s_a], 1)"),
        ],
        "sign": [("plain.style.predictor[-1].weight.neg_()", "plain.style.predictor[-1].weight")],
        "floor": [
            ("(u(on_the_ring(radii)[0]) for _ in range(2))", "2 * [u(on_the_ring(radii)[0])]"),
            ("lengths[name] = mean.square().sum(1)", "lengths[name] = mean.norm(dim=1)"),
            ("F.normalize(0 * v + 1, dim=-1)", "F.normalize(v + 1, dim=-1)"),
        ],
        "pipelines": [
            ("both = A[:, :, None] * B[:, None]", "both = A[:, :, None] * A[:, None]"),
            ("(inner >= -tv.square() - 1e-9)", "(inner >= -tv.pow(4) - 1e-9)"),
            ("B = A.flip(1)", "B = A.roll(1, 1)"),  # laws that don't mirror each other
            ("A[:100, 4:] = 0", "A[:100, 5:] = 0"),  # which share a view
        ],
    },
    "theory/style_identifiability": {
        "terms": [
            # two decoders, as this book once had it
            ("entropy(s) + 2 * decoder", "entropy(s) + own + swap"),
            ("entropy(s) + own + swap", "entropy(s) + 2 * own"),
            (
                "(one_hot, circle((hue_of + content_of)",
                "(one_hot, circle((hue_of + 0 * content_of)",
            ),
            ('"style is one bit": (one_hot, bit)', '"style is one bit": (one_hot, bit + 2)'),
            ("turn = (w_a - w_p) % K", "turn = w_a + K * w_p"),  # it needs the styles themselves
            ('style_only | {"swap"}', "style_only"),
        ],
        "twist": [
            ("lambda c, s: s - TURNS[c])", "lambda c, s: s - TURNS[s % 10])"),  # R of the view
            ("lambda c, s: s + TURNS[c]", "lambda c, s: (s + TURNS[c]) // 2 * 2"),  # loses a bit
            ("torch.arange(10) * 7 % 24", "torch.arange(10) % 2"),
            ('cosines["turned"], cosines["straight"]', 'cosines["scrambled"], cosines["straight"]'),
        ],
        "family": [
            ("P = Q @ Lambda @ Q.T", "P = Lambda @ Q @ Q.T"),
            ("(4 * l_1 * l_2)", "(2 * l_1 * l_2)"),
            ("torch.tensor([1, 0.3]).double())", "torch.tensor([1, 1]).double())"),  # a circle
        ],
        "open": [
            ('("twisted", -1)', '("twisted", 1)'),
            ("2 * share * (1 - share)", "share * (1 - share)"),
            ("math.log(2) - h_b", "math.log(2)"),
        ],
        "dependence": [
            ("[0.5, 0.25, 0.25, 0, 0, 0]", "[1, 1, 1, 1, 1, 1]"),
            ("(hue_of - content_of) % K", "(hue_of + content_of) % K"),
            ("argsort(1)\n    about", "argsort(1) // 2\n    about"),
        ],
        "bits": [
            ("1.001 * content.sign()", "0.5 * content.sign()"),
            ("1.001 * content.sign()", "1.001 * content"),
            ("(2 * ties - 1).log()", "(2 * ties + 1).log()"),
        ],
    },
    "theory/disentanglement": {
        "impossible": [
            ("return g(u @ Q)", "return g(u @ Q.T)"),
            ("Q = torch.from_numpy(rotation(11, D))", "Q = torch.eye(D).double()"),
        ],
        "uniform": [
            # no rotation: one coordinate's law is lost, or, with both laws, their independence
            (
                "torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() / 2**0.5\nsquare",
                "torch.tensor([[1.0, -0.5], [1.0, 1.0]]).double() / 2**0.5\nsquare",
            ),
            (
                "torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() / 2**0.5\nsquare",
                "torch.tensor([[2**0.5, 0.0], [1.0, 1.0]]).double() / 2**0.5\nsquare",
            ),
            ("normal.log_prob((xi @ turn.T)[:, 0]) - normal", "normal.log_prob(xi[:, 0]) - normal"),
        ],
        "maxima": [
            ("stats.beta((K - 1) / 2, 0.5)", "stats.beta(K / 2, 0.5)"),
            ("stats.beta((K - 1) / 2, 0.5)", "stats.beta(0.5, (K - 1) / 2)"),
            ("squares / squares.sum(1, keepdims=True)", "squares / 5"),
            ("slope + 2 / (len(SIZES) - 1)", "slope + 2 / len(SIZES)"),
        ],
        "bias": [
            ("(bins - 1) * (SIZES - 1)", "bins * SIZES"),
            ("np.sqrt(2 * freedom)", "np.sqrt(freedom)"),
            ("(SIZES + 1) / (6 * n)", "(SIZES + 1) / n"),
        ],
        "null": [
            ("for k in (False, True)", "for k in (False, False)"),
            ("size = np.exp(1.5", "size = np.exp(0.0"),
        ],
        "dependent": [
            ("q = H / (3 * H", "q = H / (2 * H"),
            ("1 - 2 / K * stats", "1 - 1 / K * stats"),
            ("1 - 2 * (1 - q)", "1 - (1 - q)"),
            ("mdlib.metrics.infomec", "peak", "share * columns - 1", "share * columns"),
            ("AGREE = np.eye(5, dtype=int)", "AGREE = np.zeros((5, 5), dtype=int)"),
            ('"wrong, dependent": (bound, [0, 0, 2])', '"wrong, dependent": (bound, [0, 1, 2])'),
        ],
    },
    "theory/identifiability": {
        "likelihood": [
            ("- (h(z) * h(z_)).sum(1) / tau + log_Z", "- (h(z) * h(z_)).sum(1) / tau"),
            ("math.sinh(kappa) / kappa)", "math.sinh(kappa))"),
            ("gap(h, 1 / kappa)", "gap(h, 2 / kappa)"),  # then a rotation isn't optimal
        ],
        "dots": [
            ("a * z @ z.T + c)", "a * (z @ z.T) ** 2 + c)"),
            ("from_dots(z, 4.0, -3.0)", "from_dots(z, 4.0, 3.0)"),
        ],
        "uniform": [
            ("nu = mu / k_mu\n", "nu = mu\n"),
            ("0.7 ** torch.arange(1, N // 2 + 1)]", "(-0.3) ** torch.arange(1, N // 2 + 1)]"),
        ],
        "rotation": [
            (
                "turned = log_density(z, z_), log_density(z @ Q",
                "turned = log_density(z, z_), log_density(z @ shear",
            ),
            ("(0.2, 1, 2)) for", "(1, 1, 1)) for"),
            ("world((z @ Q) @ Q.T)", "world((z @ Q) @ Q)"),
            ("for layer in reversed(self.layers)", "for layer in self.layers"),
            ("halves[0]] @ first.to(x)", "halves[1]] @ first.to(x)"),  # of what it moves
        ],
        "sparse": [
            # all causes drawn anew
            ("return z.scatter(1, i, torch.randn(len(z), 1,", "return (torch.randn(len(z), 3,"),
            ("loss = (d @ Q).abs().mean((1, 2))", "loss = (d @ Q).square().mean((1, 2))"),
        ],
        "ica": [
            ("r.laplace(size=(4000, 3))", "r.standard_normal((4000, 3))"),
            (
                '"Gaussian": lambda r: r.standard_normal',
                '"Gaussian": lambda r: r.standard_exponential',
            ),
        ],
    },
    "experiments/block_identifiability": {
        "round": [
            ("theta = 2 * math.pi *", "theta = math.pi *"),
            ("c[:, :1].exp() * plane", "c[:, :1] * plane"),
            ("torch.tensor([0, 2 * math.pi]", "torch.tensor([0, math.pi]"),
        ],
    },
    "theory/latent_model": {
        "elbo": [
            ("precision.logdet()) / 2", "precision.logdet())"),
            ("log_prob(x) - variance / (2 * noise)", "log_prob(x)"),
            ("mean, variance = x @ precision.inverse() / noise, 1 /", "mean, variance = x, 1 /"),
        ],
        "centre": [
            ("mdlib.losses", "_group_prior", " + math.log(members)\n", "\n"),
            ("mdlib.losses", "_group_prior", "variance / members", "variance"),
        ],
        "moments": [
            ("mdlib.losses", "expected_group_prior", "(1 - 1 / members) * noise", "noise"),
            ("mdlib.losses", "expected_group_prior", "noise / members**2", "noise / members"),
            (".square().sum((1, 2)) / (2 * J)", ".square().sum((1, 2)) / J"),
        ],
        "vae": [
            ('{"centres": "gaussian", "variance"', '{"centres": "flat", "variance"'),
            ("mdlib.losses", "_group_prior", "centre_square / (2 * total)", "centre_square"),
        ],
        "scale": [
            ("constant = 4 * math.log(3) / 2", "constant = 4 * math.log(3)"),
            ("+= 2 * math.log(alpha)", "+= math.log(alpha)"),
        ],
        "decoder": [
            ("joint / joint.sum(0)  # Bayes", "joint / joint.sum(1, keepdim=True)"),
            ("shared = 2 * H(codes.sum(1))", "shared = H(codes.sum(1))"),
            ("shared - kl - 2 * H(p_x)", "shared - 2 * H(p_x)"),
            ("(s.expand(2, 2) for s in styles)", "(s[:, None].expand(2, 2) for s in styles)"),
        ],
        "best": [
            ("p / p.sum(1, keepdim=True) / p.sum(0)", "p / p.sum(1, keepdim=True)"),
            ("+ randn(3, 1)  # c(z)", "+ randn(1, 4)  # c(z)"),
        ],
        "gaussian": [
            ("return -D / 2 * math.log1p", "return -D * math.log1p"),
            ("- prior(a[:, None])[:, None] - prior(b[:, None])", "- 2 * prior(b[:, None])"),
        ],
        "flat": [
            ("(a - b).square().sum() / (4 * sigma2)", "(a - b).square().sum() / (2 * sigma2)"),
            ("abs(rest.mean() - 1)", "abs(rest.mean())"),
            ("limit = z.square().sum(1) / (2 *", "limit = z.square().sum(1) / (1 *"),
        ],
        "sphere": [
            ("1 / math.tanh(kappa) - 1 / kappa", "1 / math.tanh(kappa)"),
            ("- math.log(math.sinh(kappa) / kappa)", "- math.log(math.sinh(kappa))"),
            ("math.exp(-2 * kappa)).log() / kappa", "math.exp(-kappa)).log() / kappa"),
        ],
    },
    "theory/collapse": {
        "instance": [
            ("of, temperature=sigma2)", "of, temperature=2 * sigma2)"),
            ("log_p.logsumexp(1) - math.log(50)", "log_p.logsumexp(1)"),
        ],
        "infonce": [
            (
                "losses.info_nce(u, temperature=2 * sigma2)",
                "losses.info_nce(u, temperature=sigma2)",
            ),
            ("math.log1p(-math.exp(-2 * r)) - math.log(2 * r)", "math.log1p(-math.exp(-2 * r))"),
        ],
        "clustering": [
            ("math.log(2 * math.pi * sigma2) + math.log(n))", "math.log(2 * math.pi * sigma2))")
        ],
        "vicreg-terms": [
            ("torch.linalg.cholesky(losses.covariance(bits))", "torch.eye(3).double()"),
            ("smooth = losses.whiten(free) @ shape.T", "smooth = bits"),
        ],
        "byol": [
            ("m = cluster.mean(1, keepdim=True)", "m = cluster[:, :400].mean(1, keepdim=True)"),
            ("2 - 2 * t.mean(1).norm(dim=-1).mean()", "2 - 2 * t.mean((0, 1)).norm()"),
        ],
        "collapse": [
            ("return z.mean(1, keepdim=True)", "return z.mean(0, keepdim=True)"),
            ("return z.mean(1, keepdim=True)", "return 0.5 * z.mean(1, keepdim=True)"),
            ("scores.masked_fill(same,", "scores.masked_fill(~same,"),
        ],
        "crowd": [
            ("for delta in (0.0, 0.21)", "for delta in (0.0, 0.6)"),  # too far apart
            ("n=100, c=0.91", "n=10, c=0.91"),  # no crowd
            ("(1 - c**2) ** 0.5 * torch", "(1 - c**2) * torch"),  # not on the sphere
        ],
        "simplex": [
            (
                "B, J, D, tau = 6, 3, 5, 0.4\nleast = math.log1p(J * (B - 1) * math.exp(-(1 +",
                "B, J, D, tau = 6, 3, 5, 0.4\nleast = math.log1p(J * (B - 1) * math.exp(-(1.01 +",
            ),
            (
                "B, J, D, tau = 6, 3, 5, 0.4\nleast = math.log1p(J * (B - 1)",
                "B, J, D, tau = 6, 3, 5, 0.4\nleast = math.log1p((B - 1)",
            ),
            ("B, J, D, tau = 6, 3, 5, 0.4", "B, J, D, tau = 6, 3, 4, 0.4"),
        ],
        "vicreg": [("root(losses.covariance(m), -0.5) @ root", "root")],
        "reconstruction": [
            ("(p[..., None] * law(3, 1, 4)).sum(0)", "p.sum(0)[:, None] * torch.eye(8)"),
            ("H(known.sum(1)) - H(p.sum(1))", "H(known.sum(1))"),
        ],
    },
    "theory/projection_head": {
        "sphere": [
            ("ive(nu + 1, kappa) / ive(nu, kappa)", "ive(nu, kappa) / ive(nu - 1, kappa)"),
            ("nu * math.log(2 / kappa)", "nu * math.log(1 / kappa)"),
            ("kappa, nu = 1 / tau, D / 2 - 1", "kappa, nu = 1 / tau, (D - 1) / 2 - 1"),
        ],
    },
}
CASES = [
    pytest.param(chapter, name, change, id=f"{chapter}-{name}-{number}")
    for chapter, cells in BREAKS.items()
    for name, changes in cells.items()
    for number, change in enumerate([None, *changes])
]


def run(source: str, name: str) -> None:
    """A theorem's cell, on its own."""
    torch.manual_seed(0)
    space = namespace(source)
    (theorem,) = tagged(source, f"theorem:{name}")
    chapter_cells.run(theorem, space, name)


@pytest.fixture
def swapped(monkeypatch):
    """Replaces a function by itself with a change of its text."""

    def swap(module: ModuleType, name: str, old: str, new: str) -> None:
        source = inspect.getsource(getattr(module, name))
        assert source.count(old) == 1, f"{name} holds {old!r} {source.count(old)} times"
        space = dict(vars(module))
        head = "from __future__ import annotations\n"
        exec(compile(head + source.replace(old, new), name, "exec"), space)
        monkeypatch.setattr(module, name, space[name])

    return swap


@pytest.mark.parametrize(("chapter", "name", "change"), CASES)
def test_a_theorems_cell_holds_and_can_fail(chapter, name, change, swapped):
    source = text(chapter)
    if change is None:
        run(source, name)
        return
    if len(change) == 4:
        module, function, old, new = change
        swapped(importlib.import_module(module), function, old, new)
    else:
        old, new = change
        assert source.count(old) == 1, f"{chapter} holds {old!r} {source.count(old)} times"
        source = source.replace(old, new)
    with pytest.raises(AssertionError):
        run(source, name)


@pytest.mark.parametrize("chapter", BREAKS)
def test_every_theorems_cell_has_a_break(chapter):
    tags = {tag for tags, _ in cells(text(chapter)) for tag in tags if "theorem:" in tag}
    assert tags == {f"theorem:{name}" for name in BREAKS[chapter]}
