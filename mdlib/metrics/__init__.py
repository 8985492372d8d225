"""Measures of disentanglement: does each dimension of a code stand for one factor?

    med(codes, factors).score            # arrays or tensors [N, D] and [N, K], discrete factors
    factor_vae(Rows(codes, factors))     # where samples must agree in a factor: a sampler
    evaluate(codes, factors)             # one table of all

Every function returns a small frozen result: `score`, what it depends on (`n`, `bins`, `seed`), and
the parts. Higher is better, apart from `hfs`, `gaussian_total_correlation` and `wasserstein`, which
are 0 at best. `mcc` and `block_r2` are those of identifiability, and come with their nulls; `uc`
and `cg` those for factors with a common cause, the second of which needs a decoder.
`infomec` and `dci_es` follow their authors' released code, the others disentanglement_lib
(Locatello et al. 2019) and the released MED (Cao et al. 2022); where they don't, the docstring says
so. Scores are compared at equal N and bins only.
"""

from mdlib.metrics.alignment import med, mig, modularity, random_rotation, rotation_null
from mdlib.metrics.confounded import cg, uc
from mdlib.metrics.fitted import dci, dci_es, explicitness, informativeness, sap
from mdlib.metrics.identifiability import block_r2, mcc
from mdlib.metrics.infomec import infomec
from mdlib.metrics.information import mutual_information_matrix
from mdlib.metrics.inputs import Score
from mdlib.metrics.robustness import irs
from mdlib.metrics.sampled import Rows, Sampler, beta_vae, factor_vae
from mdlib.metrics.support import hfs
from mdlib.metrics.table import evaluate
from mdlib.metrics.unsupervised import gaussian_total_correlation, udr, wasserstein

__all__ = [
    "Rows",
    "Sampler",
    "Score",
    "beta_vae",
    "block_r2",
    "cg",
    "dci",
    "dci_es",
    "evaluate",
    "explicitness",
    "factor_vae",
    "gaussian_total_correlation",
    "hfs",
    "infomec",
    "informativeness",
    "irs",
    "mcc",
    "med",
    "mig",
    "modularity",
    "mutual_information_matrix",
    "random_rotation",
    "rotation_null",
    "sap",
    "uc",
    "udr",
    "wasserstein",
]
