"""What comes in as an array, and what is refused in words."""

import numpy as np
import pandas as pd
import pytest
import torch

from mdlib import checks, metrics, mi
from mdlib.evaluation import probes

NUMBERS = np.arange(6) % 3

TEXT = {
    "str": NUMBERS.astype(str),
    "bytes": NUMBERS.astype("S1"),
    "objects": np.array(["a", "b", None] * 2, object),
    "mixed": [0, 1, "2", 0, 1, 2],
    "series": pd.Series(["a", "b", "c"] * 2),
    "categorical": pd.Categorical(["a", "b", "c"] * 2),
    "dates": np.arange(6).astype("datetime64[D]"),
    "complex": NUMBERS * 1j,
    "none": [None] * 6,
}
ALIKE = {
    "list": NUMBERS.tolist(),
    "objects": NUMBERS.astype(object),
    "series": pd.Series(NUMBERS, dtype="Int64"),
    "categorical": pd.Series(NUMBERS).astype("category"),
    "other bytes": NUMBERS.astype(">i4"),
    "backwards": NUMBERS[::-1].copy()[::-1],
    "unsigned": NUMBERS.astype(np.uint16),
    "tensor": torch.tensor(NUMBERS, dtype=torch.int32),
}


@pytest.mark.parametrize("name", TEXT)
def test_text_is_refused_by_name(name):
    with pytest.raises(ValueError, match=r"^labels are .*numpy.unique\(column, return_inverse"):
        checks.as_tensor(TEXT[name], "labels")


@pytest.mark.parametrize("name", ALIKE)
def test_numbers_are_numbers_however_they_come(name):
    assert checks.as_tensor(ALIKE[name]).tolist() == NUMBERS.tolist()


def test_arrays_are_copied():
    given = np.zeros(3)
    checks.as_tensor(given)[0] = 1
    assert given[0] == 0
    with pytest.raises(ValueError, match="codes are no array, expected rows of one length"):
        checks.as_tensor([[1, 2], [3]], "codes")
    with pytest.raises(ValueError, match="codes are complex"):
        checks.as_tensor(torch.ones(2) * 1j, "codes")


CODES = np.random.RandomState(0).randn(60, 3)
WORDS = np.array(["a", "b", "c"])[np.arange(60) % 3]


@pytest.mark.parametrize("labels", [WORDS, WORDS.astype(object), pd.Categorical(WORDS)])
def test_every_measure_refuses_text(labels):
    for probe in (*probes.CLASS_PROBES.values(), *probes.TARGET_PROBES.values()):
        with pytest.raises(ValueError, match=r"train targets are .*numpy.unique"):
            probe(CODES, labels, CODES, labels)
    with pytest.raises(ValueError, match=r"train targets are .*numpy.unique"):
        probes.few_shot(CODES, labels, CODES, labels, shots=2)
    columns = np.stack([labels, labels], 1)
    supervised = ("med", "mig", "modularity", "sap", "dci", "explicitness", "informativeness")
    for name in (*supervised, "irs", "evaluate", "rotation_null", "Rows"):
        with pytest.raises(ValueError, match=r"^factors are .*numpy.unique"):
            getattr(metrics, name)(CODES, columns)
    for method in mi.METHODS:
        with pytest.raises(ValueError, match=r"y are .*numpy.unique"):
            mi.estimate(CODES, labels, method)


def test_whole_numbers():
    checks.check_whole(2, bins=np.int64(2), batch=7)
    for value in (1, 2.0, True, "3", None):
        with pytest.raises(ValueError, match=f"bins={value!r}: expected a whole number of at le"):
            checks.check_whole(2, batch=2, bins=value)
