"""gallery/rate_reduction: rates against their closed forms and the released formula; the game's
gradients; the classifier and the cosines."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_cells import broken, check, namespace, tagged, text

CHAPTER = "gallery/rate_reduction"
BREAKS = [
    ("0.5 * torch.logdet", "1.0 * torch.logdet"),
    ("+ D / EPSILON2 * C)", "+ D / EPSILON2**2 * C)"),  # ε where ε² stands
    ("return rate(whole) - (shares * rate(C)).sum()", "return rate(whole) - rate(C).mean() / 2"),
    ("rate((C + C_hat) / 2) -", "rate(C + C_hat) -"),
    ("counts.clamp(min=1).view(-1, 1, 1)", "len(z)"),
]


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), steps=2, device="cpu", batch_size=200)


def released(Z, epsilon2=0.5):
    """R(Z) of Z [D, n], as the paper's formula and its code (LDR, mcrgan/loss.py) have it."""
    D, n = Z.shape
    return 0.5 * np.linalg.slogdet(np.eye(D) + D / (n * epsilon2) * Z @ Z.T)[1]


def sampled(kind, seed=0, D=32, k=4, n=200, r=8):
    """Unit vectors [k·n, D] and labels of one of the sheet's configurations."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(D, D)))[0]
    z = np.zeros((k, n, D))
    for c in range(k):
        span = basis[:, c * r : (c + 1) * r] if kind == "orthogonal" else basis[:, :r]
        span = basis if kind == "isotropic" else span
        span = basis[:, c : c + 1] if kind == "points" else span
        z[c] = np.abs(rng.normal(size=(n, span.shape[1]))) @ span.T if kind == "points" else (
            rng.normal(size=(n, span.shape[1])) @ span.T
        )  # fmt: skip
    z = z.reshape(-1, D)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return torch.tensor(z), torch.arange(k).repeat_interleave(n)


# measured for the sheet with other draws; "points" is exact
SHEET = [("orthogonal", 8.71, 0.3), ("one", 0.04, 0.05), ("points", 3.58, 0.01)]


@pytest.mark.parametrize(("kind", "known", "slack"), [*SHEET, ("isotropic", 0.43, 0.1)])
def test_reductions_of_known_configurations(chapter, kind, known, slack):
    z, labels = sampled(kind)
    found = chapter["reduction"](*chapter["moments"](z, labels, 4)).item()
    assert found == pytest.approx(known, abs=slack)
    parts = [released(z[labels == c].numpy().T) / 4 for c in range(4)]
    assert found == pytest.approx(released(z.numpy().T) - sum(parts), abs=1e-9)


def test_distance_is_the_released_formula_and_zero_for_the_same(chapter):
    (a, labels), (b, _) = sampled("orthogonal"), sampled("orthogonal", seed=1)
    C, C_hat = (chapter["moments"](z, labels, 4)[0] for z in (a, b))
    found = chapter["distance"](C, C_hat)
    for c in range(4):
        A, B = (z[labels == c].numpy().T for z in (a, b))
        known = released(np.hstack([A, B])) - released(A) / 2 - released(B) / 2
        assert found[c].item() == pytest.approx(known, abs=1e-9)
    assert chapter["distance"](C, C).abs().max() < 1e-9 < found.min()


def test_two_orthogonal_subspaces_are_far_apart(chapter):
    z, labels = sampled("orthogonal")
    C, _ = chapter["moments"](z, labels, 4)
    assert chapter["distance"](C[:1], C[1:2]).item() == pytest.approx(4.05, abs=0.25)  # the sheet


def test_classes_without_rows_do_not_count(chapter):
    z, labels = sampled("orthogonal")
    few, shares = chapter["moments"](z, labels, 6)
    assert shares.tolist() == [0.25] * 4 + [0] * 2
    whole = chapter["reduction"](*chapter["moments"](z, labels, 4))
    torch.testing.assert_close(chapter["reduction"](few, shares), whole)


@pytest.mark.parametrize("change", [None, *BREAKS], ids=range(len(BREAKS) + 1))
def test_the_theorems_cell_holds_and_can_fail(change):
    source = text(CHAPTER)
    (cell,) = tagged(source, "theorem:subspaces")
    check(cell, namespace(broken(source, change)), "subspaces", change)


def test_nearest_subspace_and_cosines_of_a_perfect_and_a_broken_code(chapter):
    z, labels = sampled("orthogonal")
    bases = chapter["subspaces"](z, labels, 8)
    torch.testing.assert_close(bases.mT @ bases, torch.eye(8).double().expand(4, 8, 8))
    assert torch.equal(chapter["nearest_subspace"](z, bases), labels)
    assert chapter["cosines"](z, labels)[1] < 1e-9 < chapter["cosines"](z, labels)[0]
    z, _ = sampled("isotropic")
    within, across = chapter["cosines"](z, labels)
    assert within == pytest.approx(across, abs=0.02)
    point = torch.ones(8, 3).double()
    assert chapter["cosines"](point, torch.arange(8) % 2) == pytest.approx((1, 1))


@pytest.mark.parametrize("options", [{}, {"spectral": False}, {"norm": True}, {"decoder_steps": 0}])
def test_the_game_gives_unit_codes_and_images_in_range(chapter, options):
    encode, decode = chapter["play"](**options)
    with torch.no_grad():
        z = encode(chapter["x_test"])
        images = decode(z)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(len(z)))
    assert images.shape == chapter["x_test"].shape and images.abs().max() <= 1


def test_spectral_norm_holds_the_encoders_last_layers(chapter):
    f, _ = chapter["networks"](64)
    f(torch.randn(200, 64))  # each forward pass in training is a step of the power iteration
    for _ in range(30):
        f(torch.randn(200, 64))
    norms = [torch.linalg.matrix_norm(f[n].weight, 2).item() for n in (0, 2, 4)]
    assert norms[1:] == pytest.approx([1, 1], abs=0.02)
    free, _ = chapter["networks"](64, spectral=False)
    assert abs(torch.linalg.matrix_norm(free[4].weight, 2).item() - 1) > 0.05


def test_the_value_of_the_game_is_its_three_terms(chapter):
    (a, labels), (b, _) = sampled("orthogonal"), sampled("isotropic")
    z = F.normalize(a + 0.3 * b, dim=1)
    terms = [released(codes.numpy().T) for codes in (a, z)]
    for c in range(4):
        A, B = (codes[labels == c].numpy().T for codes in (a, z))
        terms.append(-(released(A) + released(B)) / 4)
        terms.append(released(np.hstack([A, B])) - released(A) / 2 - released(B) / 2)
    assert chapter["game"](a, z, labels, 4).item() == pytest.approx(math.fsum(terms), abs=1e-9)


@pytest.mark.slow
def test_the_encoder_climbs_and_the_decoder_descends(chapter, monkeypatch):
    """Each alone, from the same weights: the other has the rate 0."""
    x, y = chapter["x"][:400], chapter["y"][:400]

    def value(steps, lr=0.0, lr_decoder=0.0, **options):
        given = {"steps": steps, "lr": lr, "lr_decoder": lr_decoder}
        for name, number in given.items():
            monkeypatch.setitem(chapter, name, number)
        encode, decode = chapter["play"](spectral=False, **options)
        with torch.no_grad():
            z = encode(x)
            if options:
                return chapter["reduction"](*chapter["moments"](z, y, 10)).item()
            return chapter["game"](z, encode(decode(z)), y, 10).item()

    assert value(20, lr=1e-3) > value(0) + 0.5
    assert value(20, lr_decoder=3e-3) < value(0) - 0.1
    assert value(20, lr=1e-3, decoder_steps=0) > value(0, decoder_steps=0) + 0.5


def test_batch_norm_is_examined_by_its_running_statistics(chapter):
    encode, _ = chapter["play"](norm=True)
    with torch.no_grad():
        torch.testing.assert_close(encode(chapter["x"][:3]), encode(chapter["x"][:90])[:3])


def test_readings_have_subspaces_of_training_codes_and_labels_of_test(chapter, monkeypatch):
    z, labels = sampled("orthogonal")
    given = {"x": z, "y": labels, "x_test": z[::5], "y_test": (labels[::5] + 1) % 4}
    for name, values in given.items():
        monkeypatch.setitem(chapter, name, values)
    monkeypatch.setitem(chapter, "judge", (torch.eye(32, 4).double(), torch.zeros(4).double()))
    row = chapter["examine"](lambda x: x, lambda z: 0 * z)
    assert row["accuracy"] == 0, "every test label is another class's"
    assert row["error"] == pytest.approx(1 / 32) and row["class kept"] == pytest.approx(0.25)


def test_the_vae_has_as_many_updates_and_the_same_images(chapter, monkeypatch):
    asked = []

    class Method:
        def encode(self, images):
            assert images.min() == 0 and images.max() == 1
            return images.flatten(1)

        def decode(self, z):
            return z

    monkeypatch.setitem(chapter, "create", lambda *args, **options: Method())
    monkeypatch.setitem(chapter, "fit", lambda *args, **options: asked.append(options["steps"]))
    encode, decode = chapter["vae"]()
    assert asked == [4 * chapter["steps"]], "one of the encoder, three of the decoder"
    x = chapter["x"][:50]
    torch.testing.assert_close(decode(encode(x)), x.flatten(1))
