"""What `gallery/posthoc_concepts` defines: solvers on known mixings, bars, what is learned."""

import numpy as np
import pytest
import torch
from chapter_cells import draws

CHAPTER = "gallery/posthoc_concepts"


def test_each_solver_is_exact_on_its_own_assumption_only(chapter):
    g, found = draws(), {}
    for kind in ("disjoint", "orthogonal"):
        for _ in range(20):
            J_a, J_b = chapter["gradients"](kind, g)
            M = torch.randn(4, 4, generator=g).double()
            scores = (
                chapter["apart"](chapter["dma"](M @ J_a), M),
                chapter["apart"](chapter["ima"](M @ J_a, M @ J_b), M),
            )
            found.setdefault(kind, []).append(scores)
    dma, ima = np.transpose(found["disjoint"])
    assert dma.min() >= 0.999 and ima.mean() <= 0.3  # the sheet's thresholds
    dma, ima = np.transpose(found["orthogonal"])
    assert ima.min() >= 0.999 and dma.mean() <= 0.3


def test_gradients_are_as_assumed(chapter):
    J_a, J_b = chapter["gradients"]("disjoint", draws())
    assert ((J_a != 0).sum(0) == 1).all() and torch.equal(J_a != 0, J_b != 0)
    J_a, J_b = chapter["gradients"]("orthogonal", draws())
    for J in (J_a, J_b):
        gram = J @ J.T
        torch.testing.assert_close(gram, torch.diag(gram.diagonal()))
    ratios = J_a.norm(dim=1) / J_b.norm(dim=1)
    assert ratios.diff().abs().min() > 1e-3


def test_apart_of_a_permutation_and_of_a_full_mixture(chapter):
    eye = torch.eye(4).double()
    assert chapter["apart"](eye, eye[[2, 0, 3, 1]] * 3) == pytest.approx(1)
    assert chapter["apart"](eye, torch.ones(4, 4).double()) == pytest.approx(0, abs=1e-6)


def test_bars_are_one_factor_each_and_correlated(chapter):
    x, s = chapter["bars"](20_000, 0.8, draws())
    columns = x.view(-1, 8, 4, 2)
    assert torch.equal(columns, s[:, None, :, None].expand_as(columns))
    off = torch.corrcoef(s.T)[~torch.eye(4, dtype=torch.bool)]
    spearman = 6 / np.pi * np.arcsin(0.8 / 2)  # of uniforms by a Gaussian copula
    assert off.tolist() == pytest.approx([spearman] * 12, abs=0.02)
    assert s.quantile(0.25).item() == pytest.approx(0.25, abs=0.02)


def test_learned_dma_undoes_a_mixing_of_disjoint_rows(chapter):
    g = draws(3)
    J = torch.stack([chapter["gradients"]("disjoint", g)[0] for _ in range(100)]).float()
    M = torch.eye(4) + 0.5 * torch.randn(4, 4, generator=g)
    W = chapter["learned_dma"](M @ J)
    before, after = (chapter["apart"](w.double(), M.double()) for w in (torch.eye(4), W))
    assert before < 0.6 and after > 0.8
