"""What every metric is given: numbers of any size, whole numbers that floats merge, two samples."""

from __future__ import annotations

import pytest
import torch

from mdlib import metrics

DRAW = torch.Generator().manual_seed(0)
FACTORS = torch.stack([torch.randint(4, (240,), generator=DRAW), torch.arange(240) % 3], 1)
CODES = torch.cat([FACTORS, FACTORS[:, :1]], 1) + 0.3 * torch.randn(240, 3, generator=DRAW).double()
SMALL = {"seed": 0, "batch": 8}
ALL = {
    "med": metrics.med,
    "mig": metrics.mig,
    "modularity": metrics.modularity,
    "sap": metrics.sap,
    "sap, continuous": lambda z, f: metrics.sap(z, f, continuous=True),
    "dci": lambda z, f: metrics.dci(z, f, trees="binned"),
    "dci_es": metrics.dci_es,
    "explicitness": metrics.explicitness,
    "informativeness": metrics.informativeness,
    "infomec": metrics.infomec,
    "irs": metrics.irs,
    "mcc": metrics.mcc,
    "block_r2": lambda z, f: metrics.block_r2(z, f, others=f),
    "block_r2, knn": lambda z, f: metrics.block_r2(z, f, probe="knn_regression"),
    "rotation_null": metrics.rotation_null,
    "uc": metrics.uc,
    "gaussian_total_correlation": lambda z, f: metrics.gaussian_total_correlation(z),
    "beta_vae": lambda z, f: metrics.beta_vae(
        metrics.Rows(z, f), points=200, test_points=100, **SMALL
    ),
    "factor_vae": lambda z, f: metrics.factor_vae(
        metrics.Rows(z, f), votes=200, test_votes=100, variance_samples=200, **SMALL
    ),
}
WITHOUT_FACTORS = {"gaussian_total_correlation"}
# Scikit-learn's trees and the thresholds of these have units, so small codes are dead to them;
# what grows with the codes has a penalty or a machine that goes by their squares.
IN_UNITS = {"sap", "sap, continuous", "dci_es", "beta_vae", "factor_vae"}
REFUSED = {
    "sap": "reach .* in column",
    "dci_es": "reach .* in column",
    "beta_vae": "reach .* in column",
}


SINGLE = (1e-40, 1e20)  # what float32 takes, though not its square
SIZES = [
    (name, scale)
    for name in ALL
    for scale in (1e-300, 1e-160, 1e160, 1e307, *SINGLE)
    if not (scale < 1 and name in IN_UNITS) and (name, scale) != ("sap", 1e20)
]


@pytest.mark.parametrize(("name", "scale"), SIZES)
def test_a_score_knows_no_size_of_codes_or_says_so(name, scale):
    single = scale in SINGLE
    codes = CODES.float() if single else CODES
    if scale > 1 and name in REFUSED and not (single and name == "dci_es"):
        with pytest.raises(ValueError, match=REFUSED[name]):
            ALL[name](codes * scale, FACTORS)
        return
    found, truth = ALL[name](codes * scale, FACTORS), ALL[name](codes, FACTORS)
    few_digits = scale == 1e-40 and name == "dci"  # so the trees have other ties
    assert found.score == pytest.approx(truth.score, rel=0.05 if few_digits else 1e-4)


@pytest.mark.parametrize("name", ["sap, continuous", "irs", "mcc", "block_r2", "block_r2, knn"])
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_score_knows_no_size_of_factors(name, scale):
    factors = FACTORS.double() * scale
    found, truth = ALL[name](CODES, factors), ALL[name](CODES, FACTORS)
    assert found.score == pytest.approx(truth.score) and truth.score > 0.3
    if name == "block_r2":
        single = ALL[name](CODES.float(), factors)
        assert found.null == pytest.approx(1) and single.null == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_what_has_the_units_of_codes_squared_keeps_them(scale):
    codes = CODES.float()
    assert metrics.hfs(codes * scale, batch=60).score / scale**2 == pytest.approx(
        metrics.hfs(codes, batch=60).score, rel=1e-4
    )
    found, truth = metrics.wasserstein(codes.double() * scale**5), metrics.wasserstein(CODES)
    assert found.normalised == pytest.approx(truth.normalised, rel=1e-4)
    assert found.score / scale**10 == pytest.approx(truth.score, rel=1e-4)
    for measure in (lambda z: metrics.hfs(z, batch=60), metrics.wasserstein):
        with pytest.raises(ValueError, match=r"codes reach .* no number"):
            measure(CODES * 1e160)


@pytest.mark.parametrize("name", [name for name in ALL if name not in WITHOUT_FACTORS])
@pytest.mark.parametrize("shift", [2**60, -(2**53) - 1])
def test_whole_numbers_that_floats_merge_are_refused(name, shift):
    """Time stamps in nanoseconds, ids of 64 bits: neighbours would be one value, and score NaN."""
    with pytest.raises(ValueError, match=r"factors hold -?\d{16,} at .*within ±2\^53"):
        ALL[name](CODES, FACTORS + shift)
    metrics.mig(CODES, FACTORS + 2**53 - 8)


@pytest.mark.parametrize("name", ["sap", "explicitness", "informativeness", "dci", "dci_es"])
def test_a_test_sample_beyond_the_precision_of_the_other_is_refused(name):
    score = getattr(metrics, name)
    with pytest.raises(ValueError, match=r"test codes hold inf at \[0, 0\]"):
        score(CODES.float(), FACTORS, test=(CODES.abs() * 1e300 + 1e200, FACTORS))
