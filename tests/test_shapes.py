"""The checks of shapes that tests/support/shapes.py adds must see what they are for."""

import sys
from importlib import import_module

import pytest
import torch
from jaxtyping import TypeCheckError

MODULE = """
from __future__ import annotations
from jaxtyping import Float
from torch import Tensor

def distance(
    a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"], scale: float = 1
) -> Float[Tensor, "n"]:
    if a.ndim != 2:
        raise ValueError("expected [n, dim]")
    return (a - b).norm(dim=-1, keepdim=scale == 2) * scale

class Distances:
    def of(self, a: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
        return distance(a, 0 * a)
"""


@pytest.fixture
def shaped(tmp_path, monkeypatch):
    """A module that is imported as one of mdlib's is."""
    mdlib = import_module("mdlib")
    (tmp_path / "shaped_for_a_test.py").write_text(MODULE)
    monkeypatch.setattr(mdlib, "__path__", [*mdlib.__path__, str(tmp_path)])
    yield import_module("mdlib.shaped_for_a_test")
    sys.modules.pop("mdlib.shaped_for_a_test")


def test_what_fits_is_let_through(shaped):
    assert shaped.distance(torch.ones(3, 2), torch.zeros(3, 2), 1).shape == (3,)
    assert shaped.Distances().of(torch.ones(3, 2)).shape == (3,)


def test_arguments_and_results_of_another_shape_are_found(shaped):
    with pytest.raises(TypeCheckError):  # broadcasts, which nobody meant
        shaped.distance(torch.ones(3, 2), torch.zeros(1, 2))
    with pytest.raises(TypeCheckError):
        shaped.distance(torch.ones(3, 2), torch.zeros(3, 2), 2)


def test_a_refusal_keeps_its_own_words(shaped):
    with pytest.raises(ValueError, match="expected"):
        shaped.distance(torch.ones(3), torch.zeros(3))
