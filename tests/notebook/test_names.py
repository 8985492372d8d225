"""An unknown name is told with those that come near."""

import pytest

from mdlib import methods
from mdlib.notebook import names
from mdlib.notebook.parameters import Parameter


@pytest.mark.parametrize(("count", "all_named"), [(30, True), (31, False)])
def test_of_many_names_those_that_come_near_are_named(count, all_named):
    valid = [f"name-{n}" for n in range(count - 1)] + ["other"]
    told = names.unknown("chapter", "othre", valid)
    assert told.startswith("unknown chapter 'othre': did you mean 'other'?")
    assert ("name-7" in told) == all_named
    told = names.unknown("chapter", "quite another?", valid)  # nothing comes near
    assert "did you mean" not in told and "name-7" in told


def test_an_option_of_no_method_is_told_with_what_comes_near():
    assert len(methods.all_options()) > 30
    with pytest.raises(ValueError, match=r"'temprature': did you mean 'temperature'\?$"):
        Parameter("option", "", "", "option").conform("temprature=1")
