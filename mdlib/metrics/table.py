"""One table of all scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from mdlib.checks import check_known
from mdlib.metrics.alignment import med, mig, modularity, rotation_null
from mdlib.metrics.fitted import (
    PredictionScore,
    Test,
    accuracy,
    auc,
    dci,
    dci_es,
    predictions,
    sap,
)
from mdlib.metrics.infomec import InfoMECScore, infomec
from mdlib.metrics.inputs import Score, checked_codes, checked_factors
from mdlib.metrics.robustness import irs
from mdlib.metrics.sampled import Rows, beta_vae, factor_vae
from mdlib.metrics.support import hfs
from mdlib.metrics.unsupervised import gaussian_total_correlation, wasserstein
from mdlib.types import Values

if TYPE_CHECKING:
    import pandas

TREES_UP_TO = 64  # codes: beyond them trees take minutes on a CPU
_BATCHES, _PAIRS = 10, 500  # of HFS: samples, and codes in each


def evaluate(
    codes: Values, factors: Values, *,
    test: Test | None = None, bins: int = 20, top_k: Sequence[int] = (1,), seed: int = 0,
    metrics: Sequence[str] | None = None,
) -> pandas.DataFrame:  # fmt: skip
    """Every score of codes [N, D] and discrete factors [N, K] that these allow, a row each.

    Columns: score, n, bins and seed, where they mean something. Rows are named after the functions,
    which have their settings at the defaults, apart from: "med top-k" for each of `top_k`, and
    below it "med top-k rotated", its null (5 rotations); "dci" with binned trees; "dci" and
    "dci_es" only up to 64 codes; "infom", "infoc" and "infoe", the three of `infomec`; "hfs" from
    10 batches and at most 500 pairs of codes in each; "beta_vae" and "factor_vae" from the given
    rows. A single factor leaves out all that tell factors apart, a single code all that compare
    codes. `udr`, which needs several models, is not among them, nor are `mcc` and `block_r2`.

    `test` is a second sample (codes, factors) for what is fitted; without one a third of the rows
    is held out. `metrics` names the rows wanted, of any width (trees too), instead of all.
    ValueError for an unknown name, and as in the functions.
    """
    import pandas

    given = checked_codes(codes)
    values = checked_factors(given, factors)

    @cache
    def regressions() -> list[PredictionScore]:  # the costliest part, for two rows
        return predictions((auc, accuracy), codes, factors, test, seed)

    @cache
    def mec() -> InfoMECScore:
        return infomec(codes, factors, bins)

    table: dict[str, Callable[[], Score]] = {"med": lambda: med(codes, factors, bins)}
    for k in top_k:
        table[f"med top-{k}"] = lambda k=k: med(codes, factors, bins, k)
        table[f"med top-{k} rotated"] = lambda k=k: rotation_null(
            codes, factors, k, bins=bins, seed=seed
        )
    table |= {
        "mig": lambda: mig(codes, factors, bins),
        "modularity": lambda: modularity(codes, factors, bins),
        "sap": lambda: sap(codes, factors, test=test, seed=seed),
        "dci": lambda: dci(codes, factors, test=test, seed=seed, trees="binned"),
        "dci_es": lambda: dci_es(codes, factors, test=test, seed=seed),
        "infom": mec,
        "infoc": lambda: replace(mec(), score=mec().compactness),
        "infoe": lambda: replace(mec(), score=mec().explicitness),
        "explicitness": lambda: regressions()[0],
        "informativeness": lambda: regressions()[1],
        "irs": lambda: irs(codes, factors, bins),
        "beta_vae": lambda: beta_vae(Rows(codes, factors), seed=seed),
        "factor_vae": lambda: factor_vae(Rows(codes, factors), seed=seed),
        "hfs": lambda: hfs(codes, batches=_BATCHES, pairs=_PAIRS, seed=seed),
        "gaussian_total_correlation": lambda: gaussian_total_correlation(codes),
        "wasserstein": lambda: wasserstein(codes),
    }
    for name in metrics or ():
        check_known("metric", name, table)
    left_out = _left_out(table, given.shape[1], values.shape[1])
    chosen = metrics or [name for name in table if name not in left_out]
    rows = {name: _row(table[name]()) for name in chosen}
    frame = pandas.DataFrame.from_dict(rows, orient="index")
    return frame.astype({"n": "Int64", "bins": "Int64", "seed": "Int64"}).rename_axis("metric")


def _left_out(names: Iterable[str], d: int, k: int) -> set[str]:
    out = set() if d <= TREES_UP_TO else {"dci", "dci_es"}
    if k == 1:
        out |= {"modularity", "dci", "infom", "infoc", "infoe", "beta_vae", "factor_vae"}
        out |= {name for name in names if name.startswith("med")}
    if d == 1:
        out |= {"mig", "sap", "hfs"}
    return out


def _row(score: Score) -> dict[str, float | int | None]:
    return {"score": score.score, "n": score.n, "bins": score.bins, "seed": score.seed}
