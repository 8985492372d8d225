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


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (NUMBERS * 1j, "are complex"),
        (np.ma.masked_equal(NUMBERS, 1), "are masked in places"),
        ([np.ma.array([1.0, 999.0], mask=[0, 1]), np.ma.array([1.0, 2.0])], "are masked in places"),
        ([[1.0, np.ma.masked]], "are masked in places"),
        (NUMBERS.astype("m8[s]"), r"are timedelta64\[s\], such as .*, expected numbers"),
        (torch.eye(3).to_sparse(), "expected a dense tensor"),
        (torch.ones(3).to(torch.float8_e4m3fn), "expected a dense tensor of ordinary numbers"),
        ([2**70, 1], "hold whole numbers beyond 64 bits: take them as floats"),
        (np.arange(3, dtype=np.uint64) + 2**63, "hold 9223372036854775810, expected numbers below"),
        (torch.tensor([2**63 + 1], dtype=torch.uint64), "hold 9223372036854775809, expected numb"),
    ],
)
def test_numbers_that_would_become_others_are_refused(values, what):
    with pytest.raises(ValueError, match=f"^labels .*{what}"):
        checks.as_tensor(values, "labels")


@pytest.mark.parametrize("value", ["1", None, True, 0, -1, float("nan"), float("inf"), 1j])
def test_an_option_of_another_kind_is_named(value):
    with pytest.raises(ValueError, match=r"^lr=.*expected a number above 0"):
        checks.check_above_zero(lr=value)
    with pytest.raises(ValueError, match=r"^grid is .*expected one or more positive"):
        checks.checked_grid("grid", value)


def test_sequences_of_tensors_are_numbers_whatever_their_kind():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    alike = [list(rows), list(rows.bfloat16()), [row.clone().requires_grad_() for row in rows]]
    for values in (*alike, tuple(alike[1]), [list(row.bfloat16()) for row in rows]):
        assert torch.equal(checks.as_tensor(values).float(), rows)
    with pytest.raises(ValueError, match="codes are complex"):
        checks.as_tensor(list(rows * 1j), "codes")
    with pytest.raises(ValueError, match="codes are no array, expected rows of one length"):
        checks.as_tensor([rows[0], rows[0, :1]], "codes")


@pytest.mark.parametrize("kind", [torch.int64, torch.uint64])
def test_whole_numbers_that_floats_merge(kind):
    checks.check_exact("ids", torch.tensor([2**53, 0], dtype=kind))
    checks.check_exact("ids", torch.tensor([2.0**60]))
    with pytest.raises(ValueError, match=r"ids hold 9007199254740993 at \[1\], expected whole"):
        checks.check_exact("ids", torch.tensor([0, 2**53 + 1], dtype=kind))


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True, 2**63])
def test_a_seed_that_no_generator_takes_is_named(seed):
    with pytest.raises(ValueError, match=r"^seed=.*expected a whole number from 0"):
        checks.check_seed(seed)


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
    for name in (*supervised, "irs", "uc", "evaluate", "rotation_null", "Rows"):
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


@pytest.mark.parametrize(("count", "all_named"), [(30, True), (31, False)])
def test_of_many_names_those_that_come_near_are_named(count, all_named):
    valid = [f"name-{n}" for n in range(count - 1)] + ["other"]
    told = checks.unknown("chapter", "othre", valid)
    assert told.startswith("unknown chapter 'othre': did you mean 'other'?")
    assert ("name-7" in told) == all_named
    told = checks.unknown("chapter", "quite another?", valid)  # nothing comes near
    assert "did you mean" not in told and "name-7" in told
