"""One dict for all that has a name."""

import sys

import pandas as pd
import pytest
import torch

from mdlib.registry import Registry, random_stream, seeded


def test_an_unknown_name_is_refused_with_those_that_come_near():
    fruits = Registry("fruit", {"apple": 1, "pear": 2})
    assert fruits["pear"] == 2 and list(fruits) == ["apple", "pear"]
    assert "plum" not in fruits and fruits.get("plum") is None
    with pytest.raises(ValueError, match=r"unknown fruit 'aple': did you mean 'apple'\? Valid: ap"):
        fruits["aple"]


def test_a_text_is_imported_when_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "orchard.py").write_text("class Plum:\n    pass\n\nMORE = {'fig': 3}\n")
    monkeypatch.syspath_prepend(tmp_path)
    texts = {"plum": "orchard:Plum", "fig": "orchard:MORE", "kiwi": "orchard:Kiwi"}
    fruits = Registry("fruit", {"apple": 1} | texts)
    assert list(fruits) == ["apple", "plum", "fig", "kiwi"] and "orchard" not in sys.modules
    assert (fruits["apple"], fruits["fig"]) == (1, 3)
    assert fruits["plum"] is sys.modules["orchard"].Plum
    with pytest.raises(AttributeError, match="Kiwi"):
        fruits["kiwi"]


def test_a_seed_decides_what_is_drawn_inside_and_nothing_outside():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        with seeded(seed):
            draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stream_is_of_its_seed_alone():
    draws = [torch.rand(3, generator=random_stream(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    of_table = pd.DataFrame({"seed": [1]})["seed"].iloc[0]  # a number of NumPy's
    assert torch.equal(draws[0], torch.rand(3, generator=random_stream(of_table)))
    with seeded(of_table):
        assert torch.equal(draws[0], torch.rand(3))
    for seed in (1.0, -1, None):
        with pytest.raises(ValueError, match=f"seed={seed!r}: expected a whole number"):
            random_stream(seed)
        with pytest.raises(ValueError, match=f"seed={seed!r}"), seeded(seed):
            pass
