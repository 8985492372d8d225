"""The page of a run: formulas that a browser typesets without a script."""

import pytest

from mdlib.notebook import html


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"\log p", "<mi>log</mi><mspace"),
        (r"\log (p)", "<mi>log</mi><mo"),
        (r"\boldsymbol{\mu}", "𝝁"),
        (r"\mathbb{1}", "𝟙"),
        (r"x \tag{1}", "<mtext>(1)</mtext>"),
        (r"\begin{aligned} a &= b \end{aligned}", 'style="text-align: right'),
        (r"\Big\lfloor x \Big\rfloor", ">⌊</mo>"),
        (r"\operatorname{KL}(q)", "<mi>KL</mi><mo"),
        (r"a < b \label{eq:a}", "<mo>&lt;</mo><mi>b</mi></mrow>"),
        (r"\frac{1 < 2}{", r"<code>\frac{1 &lt; 2}{</code>"),
    ],
)
def test_formulas_become_mathml(tex, expected):
    assert expected in html.mathml(tex)
