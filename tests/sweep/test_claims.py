"""A claim stands before its rows, and its verdict is that of an interval and a family."""

import re
import subprocess
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mdlib import sweep
from mdlib.notebook import chapters
from mdlib.sweep import plan, rowfile, sources
from mdlib.sweep.claims import agree, claims_path, read_verdicts, verdicts, write

CHAPTER = """\
# %% tags=["parameters"]
seed = 0  # of all
rate = 0.5  # a step
name = ""  # anything
note = ""  # anything
out = ""  # where
"""
BOOK = "@misc{one2001,\n}\n@misc{two2002,\n}\n"
HEAD = "chapter: tiny\ngrid:\n  name: [p, q]\nseeds: 8\n"
PLAIN = """\
claims:
  first:
    says: p above q
    metric: score
    a: {name: p}
    b: {name: q}
"""


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    for folder in ("notebooks/sweeps", "book"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notebooks/tiny.py").write_text(CHAPTER)
    (tmp_path / "book/references.bib").write_text(BOOK)
    monkeypatch.setattr(chapters, "root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text, head=HEAD, name="s"):
    with open(f"notebooks/sweeps/{name}.yaml", "w") as file:
        file.write(head + text)
    return sweep.load(name)


def rows(p, q, **more):
    """A table with the scores of the two names, a seed each."""
    both = [("p", p), ("q", q)]
    lines = [
        {"number": 8 * n + seed + 1, "name": name, "seed": seed, "score": score}
        | {"run_commit": "unknown"}
        | more
        for n, (name, scores) in enumerate(both)
        for seed, score in enumerate(scores)
    ]
    return pd.DataFrame(lines)


def judged(more, p, q):
    spec = load(PLAIN + textwrap.indent(textwrap.dedent(more), "    "))
    return verdicts(spec, rows(p, q)).loc["first"]


# Eight differences, 1 on average: the interval is [0.11, 1.89].
D = np.array([0, 0, 2, 2, 0, 2, 0, 2.0])
BASE = np.arange(8.0)


@pytest.mark.parametrize(
    ("more", "shift", "verdict"),
    [
        ("", 0, "holds"),
        ("", -1, "undecided"),
        ("", -2, "fails"),
        ("margin: 0.1", 0, "holds"),
        ("margin: 0.2", 0, "undecided"),
        ("margin: 1.8", 0, "undecided"),
        ("margin: 1.9", 0, "fails"),
        ("expected: worse", 0, "fails"),
        ("expected: worse", -2, "holds"),
        ("expected: worse\nmargin: 0.1", -2, "holds"),
        ("expected: worse\nmargin: 1.9", -2, "fails"),
        ("expected: equivalent\nmargin: 0.9", -1, "holds"),
        ("expected: equivalent\nmargin: 0.8", -1, "undecided"),
        ("expected: equivalent\nmargin: 0.1", 0, "fails"),
        ("expected: equivalent\nmargin: 0.1", -2, "fails"),
        ("expected: equivalent\nmargin: 1", 0, "undecided"),
        ("equivalent_within: 1.9", 0, "equivalent"),
        ("equivalent_within: 1.8", 0, "holds"),
        ("expected: worse\nequivalent_within: 0.9", -1, "equivalent"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(more, shift, verdict):
    assert judged(more, BASE + D + shift, BASE)["verdict"] == verdict


@pytest.mark.parametrize(
    ("more", "verdict"),
    [("equivalent_within: 0.1", "holds"), ("expected: equivalent\nmargin: 0.1", "undecided")],
)
def test_an_end_on_the_margin_is_not_within_it_however_it_rounds(more, verdict):
    assert judged(more, np.full(8, 0.3), np.full(8, 0.2))["verdict"] == verdict  # .3 − .2 < .1


def test_the_numbers_are_those_of_a_paired_t_test():
    found = judged("margin: 0.1", BASE + D, BASE)
    expected = stats.ttest_rel(BASE + D, BASE).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert (found["a − b"], found["n"]) == (1, 8)
    assert found["p"] == pytest.approx(stats.ttest_1samp(D, 0.1).pvalue)


def test_two_samples_are_welchs():
    found = judged("pairs: false", BASE + D, BASE)
    expected = stats.ttest_ind(BASE + D, BASE, equal_var=False)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert found["verdict"] == "undecided"


def test_an_equivalence_has_the_larger_of_two_p_values():
    found = judged("expected: equivalent\nmargin: 0.9", BASE + D - 0.95, BASE)
    both = [stats.ttest_1samp(D - 0.95, end).pvalue for end in (0.9, -0.9)]
    assert found["p"] == pytest.approx(max(both))


def test_a_family_is_adjusted_and_another_one_is_not():
    claim = "    says: so\n    metric: score\n    a: {name: p}\n    b: "
    text = "".join(f"  c{n}:\n{claim}{n * 0.11}\n    family: {'xxy'[n]}\n" for n in range(3))
    spec = load("claims:\n" + text)
    found = verdicts(spec, rows(D, BASE))
    p = [stats.ttest_1samp(D, n * 0.11).pvalue for n in range(3)]
    assert found["p (Holm)"].tolist() == pytest.approx([2 * p[0], max(2 * p[0], p[1]), p[2]])
    # alone, the first would hold
    assert p[0] < 0.05 < 2 * p[0]
    assert found["verdict"].tolist() == ["undecided", "undecided", "undecided"]
    alone = verdicts(load("claims:\n" + text.partition("  c1")[0]), rows(D, BASE))
    assert alone["verdict"].tolist() == ["holds"]


def test_a_claim_of_two_columns_and_one_of_recorded_words():
    text = """\
claims:
  columns:
    says: more
    metric: {a: score, b: other}
    a: {name: p}
    b: {name: p}
  words:
    says: more
    metric: score
    a: {name: p, part: u}
    b: {name: p, part: v}
"""
    table = pd.concat([rows(BASE + 1, BASE, part="u"), rows(BASE, BASE, part="v")])
    table["other"] = table["score"] - 2
    with pytest.raises(ValueError, match=r"'columns': a has several rows of seed 0: .* part"):
        verdicts(load(text), table)
    found = verdicts(load(text.replace("{name: p}", "{name: p, part: u}")), table)
    assert found["a − b"].tolist() == [2, 1]


def test_no_rows_yet_is_undecided():
    found = judged("", BASE, [])
    assert (found["verdict"], found["n"], found["p"]) == ("undecided", 0, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: score", "metric: scor", "unknown metric 'scor': did you mean 'score'"),
        ("{name: p}", "{nam: p}", "unknown column 'nam': did you mean 'name'"),
        ("metric: score", "metric: run_commit", "'run_commit' has words"),
    ],
)
def test_what_only_the_rows_can_tell(old, new, message):
    with pytest.raises(ValueError, match=rf"s\.yaml: claim 'first': {message}"):
        verdicts(load(PLAIN.replace(old, new, 1)), rows(BASE, BASE))


def test_a_word_that_no_row_has_is_no_undecided_claim_once_all_runs_are_done():
    spec = load(PLAIN.replace("{name: p}", "{word: v}"))
    there = rows(BASE, BASE, word="w").assign(number=range(1, 17))
    with pytest.raises(ValueError, match=r"claim 'first': no row is of a, {'word': 'v'}, though"):
        verdicts(spec, there)
    assert verdicts(spec, there[1:]).loc["first", "verdict"] == "undecided"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("first", "First one", 6, "expected an id such as `byol-needs-no-negatives`"),
        ("says:", "say:", 7, "unknown key 'say': did you mean 'says'"),
        ("    says: p above q\n", "", 6, "claim 'first' has no 'says'"),
        ("metric: score", "metric: rate", 8, "'rate' is a parameter"),
        ("metric: score", "metric: {a: score}", 8, "expected the name of a column, or {a: COLUMN"),
        ("metric: score", "metric: 3", 8, "metric is 3: expected the name of a column, or"),
        ("{name: q}", "{name: p}", 6, "a and b are the same"),
        ("{name: q}", "{name: r}", 10, 'no run has name = \'r\': expected one of "p", "q"'),
        ("{name: q}", "{name: q, rate: 1}", 10, "no run has rate = 1: expected one of 0.5"),
        ("{name: q}", "{seed: 3}", 10, "runs 4 and 12 are both {'seed': 3} of seed 3: say also"),
        ("{name: q}", "word", 10, "b is 'word': expected a setting, {NAME: VALUE, …}, or a number"),
        ("first", "null", 5, "claim 'None': expected an id such as"),
        ("{name: p}", "{1: 2}", 9, "a is {1: 2}: expected a setting, {NAME: VALUE, …}"),
        ("{name: q}", "2\n    pairs: false", 11, "b is a number: leave `pairs` out"),
        ("{name: q}", "2\n    margin: -1", 11, "margin is -1: expected greater than or equal to 0"),
        ("{name: q}", "2\n    margin: .inf", 11, "margin is inf: expected a finite number"),
        ("{name: q}", "2\n    expected: equivalent", 6, "margin is 0.0: expected a margin above 0"),
        ("{name: q}", "2\n    expected: equal", 11, "expected 'better', 'worse' or 'equivalent'"),
        ("{name: q}", "2\n    kind: sure", 11, "expected 'confirmatory' or 'exploratory'"),
        ("{name: q}", "2\n    source: tow2002", 11, "unknown source 'tow2002': did you mean 'two2"),
        ("{name: q}", "2\n    source: [one2001, three]", 11, "unknown source 'three'"),
        ("{name: q}", ".nan", 10, "b is nan: expected a setting, {NAME: VALUE, …}, or a number"),
        ("{name: q}", "-.inf", 10, "b is -inf: expected a setting, {NAME: VALUE, …}, or a number"),
        ("{name: q}", "{name: p, rate: 0.5}", 6, "a and b are both runs 1, 2, 3, 4, 5: expected"),
        (
            "{name: q}",
            "2\n    margin: 0.1\n    equivalent_within: 0.5",
            12,
            "equivalent_within is 0.5: expected at most the margin, 0.1, or no margin",
        ),
    ],
)
def test_what_is_wrong_with_a_claim_has_a_line(old, new, line, message):
    with pytest.raises(sweep.SpecError, match=rf"s\.yaml:{line}: .*{re.escape(message)}"):
        load(PLAIN.replace(old, new, 1))


def test_beside_a_number_there_is_one_column():
    text = PLAIN.replace("score", "{a: score, b: other}").replace("{name: q}", "2")
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:8: b is a number: expected the name"):
        load(text)


def test_of_a_long_bibliography_the_sources_that_come_near_are_told(book):
    bib = book / "book" / "references.bib"
    bib.write_text("".join(f"@misc{{work{n}x2020, title={{t}}}}\n" for n in range(40)))
    with pytest.raises(sweep.SpecError, match=r"unknown source 'work7x200'.*'work7x2020'") as told:
        load(PLAIN.replace("{name: q}", "2\n    source: work7x200", 1))
    assert "work30x2020" not in str(told.value)


def test_a_sweep_of_ones_own_needs_no_book(book, tmp_path, monkeypatch):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "c.py").write_text('# %% tags=["parameters"]\nn = 1\nseed = 0\n')
    text = "  first: {says: more, source: who2020, metric: m, a: {n: 2}, b: {n: 1}}\n"
    (alone / "s.yaml").write_text(f"chapter: c.py\ngrid: {{n: [1, 2]}}\nseeds: 2\nclaims:\n{text}")
    monkeypatch.setattr(chapters, "root", lambda: (tmp_path / "none").resolve(strict=True))
    assert list(sweep.load(alone / "s.yaml").claims) == ["first"]


def test_a_metric_that_is_not_recorded_is_told():
    with pytest.raises(sweep.SpecError, match=r"not in `record`: unknown metric 'score'"):
        load(PLAIN, HEAD + "record: [accuracy]\n")


@pytest.mark.parametrize("spelled", ["first", "'first'", r'"f\x69rst"'])
def test_an_id_is_in_one_sweep_only(spelled):
    load(PLAIN.replace("first", spelled, 1), name="t")
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:6: claim 'first' is in t\.yaml too"):
        load(PLAIN)


# --- before the rows, or after


def git(*arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def committed(text, head=HEAD):
    load(text, head)
    git("add", "-A")
    git("commit", "-qm", "x")
    return git("rev-parse", "HEAD")


def kind(text, *commits):
    table = pd.concat([rows(BASE + D, BASE, run_commit=commit) for commit in commits])
    table["seed"] = np.arange(len(table)) % 8 + 8 * (np.arange(len(table)) // 16)
    found = verdicts(load(text), table).loc["first"]
    assert found["run_commit"] == ", ".join(commits)
    return found["kind"], found["because"]


def test_a_claim_is_confirmatory_only_where_the_commit_of_its_rows_has_it():
    git("init", "-q")
    nothing, there = committed(""), committed(PLAIN)
    other = committed(PLAIN.replace("p above q", "p is above q"))
    two = committed(PLAIN + PLAIN.partition("\n")[2].replace("first", "second"))
    assert kind(PLAIN, there) == ("confirmatory", "")
    assert kind("# a comment\n" + PLAIN + "    margin: 0\n", there) == ("confirmatory", "")
    assert kind(PLAIN, there, nothing) == (
        "exploratory",
        f"it was not there at {nothing[:9]}, the commit of its rows",
    )
    assert kind(PLAIN, other)[1] == f"it was another one at {other[:9]}, the commit of its rows"
    assert kind(PLAIN + "    margin: 0.1\n", there)[0] == "exploratory"
    assert kind(PLAIN, two)[1].startswith("second was there")
    assert kind(PLAIN, "unknown")[1] == "commit unknown of its rows can't be looked at here"
    assert kind(PLAIN + "    kind: exploratory\n", there) == ("exploratory", "")
    second = PLAIN.partition("\n")[2].replace("first", "second")
    assert kind(PLAIN + second.replace("p above", "p over"), two) == ("confirmatory", "")
    why = f"second of its family was another one at {two[:9]}"
    assert kind(PLAIN + second + "    family: aside\n", two) == ("exploratory", why)
    assert kind(PLAIN + second.replace("{name: q}", "-90"), two) == ("exploratory", why)
    why = f"its rows were made with changes that commit {there[:9]} does not have"
    assert kind(PLAIN, f"{there}+changes") == ("exploratory", why)


def test_seeds_whose_rows_were_committed_before_the_claim_have_been_seen():
    git("init", "-q")
    nothing = committed("")
    table = rows(BASE + D, BASE, run_commit=nothing)
    table.to_csv("notebooks/sweeps/s.csv", index=False)
    there = committed(PLAIN)
    git("rm", "-q", "notebooks/sweeps/s.csv")
    git("commit", "-qm", "begin again")
    anew = rows(BASE + D, BASE, run_commit=there)
    why = f"it was not there at {nothing[:9]}, the commit of its rows"
    assert verdicts(load(PLAIN), anew).loc["first", "because"] == why
    others = HEAD.replace("seeds: 8", "seeds: [8, 9, 10, 11, 12, 13, 14, 15]")
    anew = anew.assign(seed=anew["seed"] + 8, run_commit=committed(PLAIN, others))
    assert verdicts(load(PLAIN, others), anew).loc["first", "because"] == ""


def test_runs_that_the_sweep_did_not_have_at_their_commit_are_exploratory():
    git("init", "-q")
    head = HEAD.replace("grid:", "fixed:\n  rate: 1\ngrid:")
    there = committed(PLAIN, head)

    def why(text, head):
        return verdicts(load(text, head), rows(BASE + D, BASE, run_commit=there)).loc[
            "first", "because"
        ]

    same = "chapter: tiny\npoints: [{name: p}, {name: q}]\nfixed: {rate: 1.0}\nseeds: "
    same += "[0, 1, 2, 3, 4, 5, 6, 7]\n"
    assert why(PLAIN, head) == why(PLAIN, same) == ""
    assert why(PLAIN, head.replace("[p, q]", "[p, q, r]")) == ""  # which the claim does not use
    told = f"s.yaml had no such run as {{}} at {there[:9]}, its commit"
    assert why(PLAIN, head.replace("rate: 1", "rate: 2")) == told.format(1)
    assert why(PLAIN, HEAD) == told.format(1)
    assert why(PLAIN, head.replace("seeds: 8", "seeds: [0, 1, 2, 3, 4, 5, 6, 9]")) == told.format(8)
    points = head.replace("grid:\n  name: [p, q]", "points: [{name: p}, {name: q, note: n}]")
    assert why(PLAIN, points) == told.format(9)


def write_rows(text, head, commit, **more):
    """NAME.csv of a claim's sweep, its runs made at a commit; `more` are columns, of the seed."""
    spec = load(text, head)
    lines = [
        rowfile.settings(point) | {"score": float(point.number), "run_commit": commit}
        | {name: value(point.parameters["seed"]) for name, value in more.items()}
        for point in spec.points
    ]  # fmt: skip
    rowfile.write(spec, list(lines[0]), lines)
    return verdicts(spec, sweep.read_csv(spec)).loc["first"] if text else None


@pytest.mark.parametrize(
    ("p", "q", "also", "seeds", "used"),
    [
        ("p", "q", "", "8", 0),
        ("'02'", "'01'", "", "8", 0),
        ("NA", "'null'", "", "8", 0),
        ("p", "q", ", rate: 0.5", "8", 0),  # of which the chapter then had no parameter
        ("p", "q", "", "[10, 11, 12, 13]", -4),  # a run of seed 10 trains with 6, too
    ],
)
def test_rows_that_were_seen_are_found_whatever_their_settings(book, p, q, also, seeds, used):
    git("init", "-q")
    head, chapter = HEAD.replace("p, q", f"{p}, {q}"), book / "notebooks/tiny.py"
    if also:
        chapter.write_text(CHAPTER.replace("rate = 0.5  # a step\n", ""))
    nothing = committed("", head)
    write_rows("", head, nothing, **{"seed (used)": lambda seed: seed + 0} if used else {})
    chapter.write_text(CHAPTER)
    claim = PLAIN.replace("{name: p}", f"{{name: {p}{also}}}")
    claim = claim.replace("{name: q}", f"{{name: {q}{also}}}")
    head = head.replace("seeds: 8", f"seeds: {seeds}")
    there = committed(claim, head)
    found = write_rows(claim, head, there, **{"seed (used)": lambda s: s + used} if used else {})
    assert found["because"] == f"it was not there at {nothing[:9]}, the commit of its rows"


def test_where_git_does_not_tell_of_earlier_rows_a_claim_is_exploratory(monkeypatch):
    git("init", "-q")
    there, plain = committed(PLAIN), subprocess.run

    def slow(command, **how):
        if "log" in command:
            raise subprocess.TimeoutExpired(command, 20)
        return plain(command, **how)

    monkeypatch.setattr(subprocess, "run", slow)
    assert kind(PLAIN, there) == ("exploratory", "what s.csv was before can't be looked at here")


def test_a_verdict_on_some_of_the_runs_is_exploratory():
    git("init", "-q")
    there = committed(PLAIN)
    some = rows(BASE + D, BASE, run_commit=there).query("number != 12")
    found = verdicts(load(PLAIN), some).loc["first"]
    assert (found["kind"], found["because"]) == ("exploratory", "1 of its runs have no rows: 12")


def test_settings_whose_seeds_differ_make_no_pairs():
    points = "".join(
        f"  - {{name: {name}, seed: {seed}}}\n" for name, seed in zip("ppqq", range(4), strict=True)
    )
    head = f"chapter: tiny\npoints:\n{points}"
    with pytest.raises(sweep.SpecError, match="a and b have no seed in common"):
        load(PLAIN, head)
    load(PLAIN + "    pairs: false\n", head)


def test_outside_git_nothing_is_confirmatory(monkeypatch):
    assert kind(PLAIN, "1e5")[0] == "exploratory"
    monkeypatch.setenv("PATH", "")
    assert kind(PLAIN, "1e5")[1] == "commit 1e5 of its rows can't be looked at here"


# --- the file


@pytest.fixture
def collected():
    """A sweep whose rows were collected; its claim holds."""
    spec = load(PLAIN)
    scores = {1 + n: float(n % 8 + (n < 8) * D[n % 8]) for n in range(16)}
    lines = [
        rowfile.settings(point) | {"score": scores[point.number], "run_commit": "1e5", "run": "x"}
        for point in spec.points
    ]
    rowfile.write(spec, list(lines[0]), lines)
    return spec


def test_judge_reads_the_rows_that_were_collected(book, collected):
    with pytest.raises(FileNotFoundError, match=r"no verdicts at .*s\.claims\.csv: mdlib collect"):
        sweep.claims("s")
    said = sweep.judge("s")
    assert said.loc["first", "a − b"] == 1
    assert claims_path(collected) == book / "notebooks/sweeps/s.claims.csv"
    pd.testing.assert_frame_equal(sweep.claims("s"), said, check_dtype=False)
    spec = load("")
    write(spec, verdicts(spec, sweep.read_csv(spec)))
    assert not claims_path(spec).exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("above", "over"),
        ("metric: score", "metric: score\n    margin: 0.5"),
        ("metric: score", "metric: score\n    expected: worse"),
        ("metric: score", "metric: score\n    kind: exploratory"),
        ("  first:", "  second:"),
        ("a: {name: p}\n    b: {name: q}", "a: {name: q}\n    b: {name: p}"),
    ],
)
def test_verdicts_on_another_claim_are_told(collected, old, new):
    sweep.judge("s")
    assert old in PLAIN
    load(PLAIN.replace(old, new))
    with pytest.raises(ValueError, match=r"s\.claims\.csv is not what s\.csv says of"):
        sweep.claims("s")


@pytest.mark.parametrize(
    ("old", "new"), [("holds", "fails"), (",1.0,", ",1.1,"), ("because", "why"), ("first,", ",")]
)
def test_an_edited_verdict_is_told(collected, old, new):
    sweep.judge("s")
    text = claims_path(collected).read_text()
    assert old in text
    claims_path(collected).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=r"s\.claims\.csv is not what s\.csv says of"):
        sweep.claims("s")
    for damaged in ("", "a,b\n", text.replace("\nfirst,", "\nfirst,,")):
        claims_path(collected).write_text(damaged)
        with pytest.raises(ValueError, match=r"s\.claims\.csv holds no verdicts"):
            sweep.claims("s")


@pytest.mark.parametrize("word", ["2020", "007", "1e5", "nan", "null", "true", "inf"])
def test_verdicts_come_back_as_written_though_words_look_like_numbers(word):
    claim = PLAIN.replace("  first:", f'  "{word}":').replace("p above q", f'"{word}"')
    spec = load(claim + f'    family: "{word}"\n')
    said = verdicts(spec, rows(BASE + D, BASE))
    write(spec, said)
    kept = read_verdicts(claims_path(spec))
    assert agree(kept, said)
    assert [*kept.index, *kept["says"], *kept["family"]] == [word] * 3


def test_a_chapter_shows_verdicts_or_how_to_get_them(collected):
    assert sweep.show_claims("s").to_dict("list") == {"not yet run": ["mdlib sweep s"]}
    assert not plt.get_fignums()
    sweep.judge("s")
    shown = sweep.show_claims("s", "points")
    assert list(shown) == ["says", "verdict", "n"] and list(shown.index) == ["first"]
    assert plt.gca().get_xlabel() == "points"


def test_a_family_in_another_unit_has_a_figure_of_its_own(collected):
    load(PLAIN.replace("  first:", "  other:") + PLAIN.partition("\n")[2] + "    family: nats\n")
    sweep.judge("s")
    shown = sweep.show_claims("s", apart={"nats": "nats"})
    assert list(shown.index) == ["other", "first"]
    drawn = [plt.figure(n).axes[0] for n in plt.get_fignums()]
    assert drawn[0].get_xlabel() == "nats" != drawn[1].get_xlabel()
    assert [axis.get_yticklabels()[0].get_text() for axis in drawn] == ["first", "other"]


def test_claims_make_no_run_stale():
    before, after = load(""), load(PLAIN)
    assert [p.parameters for p in before.points] == [p.parameters for p in after.points]
    assert sources.source_hash(before.chapter) == sources.source_hash(after.chapter)
    for one, other in zip(before.points, after.points, strict=True):
        assert plan.run_name(one.parameters, "x") == plan.run_name(other.parameters, "x")
