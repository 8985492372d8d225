"""What a parameter may be is read from its comment, and every other value is refused by name."""

import re
import subprocess
import sys

import pytest

from mdlib import methods
from mdlib.notebook import chapters, parameters
from mdlib.notebook.parameters import Parameter

BOOK = chapters.names()


def parameter(line):
    [found] = parameters.read(line).values()
    return found


# the comment


@pytest.mark.parametrize(
    ("line", "help", "domain"),
    [
        ("a = 1", "", ""),
        ("a = 1  # how many", "how many", ""),
        ("a = 1  # how many [1 or more]", "how many", "1 or more"),
        ("a = 1  # [1 or more]", "", "1 or more"),
        ("a = 1  # how many\n# [1 or more]", "how many", "1 or more"),
        ('a = "x"  # which [one of x,\n# y]', "which", "one of x, y"),
        ("a = 1  # how many\n# a comment of its own", "how many", ""),
        ("a = 1  # see [1] for more", "see [1] for more", ""),
        ('a = "[1 or more]"  # text', "text", ""),
        ("seed = 1  # first", "first", "seed"),
        ('device = "cpu"', "", "device"),
        ('methods = "vae"', "", "some methods, or all"),
    ],
)
def test_help_and_domain(line, help, domain):
    found = parameter(line)
    assert (found.help, found.domain) == (help, domain)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a = 1  # [some]", "parameter 'a': [some] is no domain of a int"),
        ("a = 1  # [one of 1, 2]", "no domain of a int"),
        ("a = 1  # [1 or more or less]", "no domain"),
        ('a = "x"  # [1 or more]', "no domain of a str"),
        ('a = "x"  # [one of]', "no domain"),
        ('a = "x"  # [one of x y]', "no domain"),
        ('a = "x"  # [some things]', "no domain"),
        ('a = "x"  # [some of mdlib.nothing]', "no domain"),
        ("a = 1  # [below b]", "names 'b', which is no parameter that is a number"),
        ("a = 0  # [1 or more]", "parameter 'a' is 0, expected int, 1 or more"),
        ('a = "z"  # [one of x, y]', "parameter 'a' is 'z': unknown choice 'z'"),
        ("a = [1]  # [1 or more]", "no domain of a list"),
        ("a = 2  # [a multiple of n]", "no domain of a int"),
        ("a = 2  # [a multiple of 0]", "no domain of a int"),
        ('a = "1"  # [some numbers, below y]', "no domain of a str"),
        ("a = True  # [1 or more]", "no domain of a bool"),
        ("a: int = 1.5", "is annotated as int"),
        ("a: float = 1", "is annotated as float"),
        ("a += 1", "'a += 1' is not of the form `name = literal"),
        ("for a in (1, 2): pass", "is not of the form `name = literal"),
    ],
)
def test_a_malformed_line_is_refused_when_it_is_read(line, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parameters.read(line)


@pytest.mark.parametrize(
    "literal",
    [
        *("(1, 2)", "{1, 2}", "{}", "((1,), [2])", "None", "b'a'", "2j", "...", "1e999"),
        *("[1, (2, 3)]", "[[1], {2}]", "[None]", "[1e999]", "[b'a']", "[{}]"),
    ],
)
def test_what_cannot_arrive_as_written_is_refused_when_it_is_read(literal):
    with pytest.raises(ValueError, match=r"parameter 'a' is .*, expected a (bool|finite)"):
        parameters.read(f"a = {literal}")


@pytest.mark.parametrize(
    "literal",
    ["-0.0", "1e-320", "-7", "True", "[1, [2.5], 'x', True]", "[]", "'\\x00\\r\\n\"é'", "''"],
)
def test_what_arrives_in_a_kernel_is_what_was_written(literal):
    from papermill.translators import PythonTranslator

    default = parameter(f"a = {literal}").default
    injected = PythonTranslator.translate(default)
    assert repr(eval(injected)) == repr(default)


# values


def test_items_of_lists_are_checked():
    with pytest.raises(ValueError, match=r"parameter 'a' is \(2,\), a tuple"):
        parameter("a = [1]").conform([1, (2,)])
    with pytest.raises(ValueError, match="parameter 'a' is nan, expected a finite number"):
        parameter("a = [1]").conform([float("nan")])


@pytest.mark.parametrize(
    ("line", "good", "bad"),
    [
        ("a = 1  # [1 or more]", [1, 5], [0, -1, 2**63, 1.0, True, "1", None, [1]]),
        ("a = 1.0  # [above 0]", [1e-9, 2], [0, -0.0, -1, float("nan"), float("inf"), 10**400]),
        ("a = 1.0  # [0 or more]", [0, -0.0, 2], [-1e-9]),
        ("a = 0.5  # [0 to 1]", [0, 1], [-0.1, 1.1]),
        ("a = 4  # [2 or more, a multiple of 2]", [2, 66], [0, 63]),
        ("a = 0.5  # [above 0, below 1]", [0.1], [0, 1]),
        ("a = -5  # [-1 or less]", [-1], [0]),
        ("a = 1e-3  # [1e-5 to 1]", [1e-5], [1e-6]),
        ("seed = 0", [0, 2**32 - 1], [-1, 2**32, 2**64]),
        ('a = "x"  # [one of x, y-z, 1.5]', ["x", "y-z", "1.5"], ["", "X", "x,y-z", " x"]),
        ('a = "x"  # [some of x, y, or all]', ["y,x", "all"], ["", "all,x", "x,x", "x,", "z"]),
        ('device = "auto"', ["cpu", "mps", "cuda", "cuda:1"], ["gpu", "cuda:x", "CPU", ""]),
        ('method = "vae"', ["byol"], ["byoll", "vae,byol", "all", ""]),
        ('a = "vae"  # [some methods]', ["vae,byol"], ["all", "vea", "vae,vae"]),
        ('dataset = "x"', ["digits", "images:a b"], ["", " digits"]),
        (
            'a = "1"  # [some numbers, above 0]',
            ["1e-3,2.5"],
            ["", "0", "1,x", "nan", "inf", "1,,2"],
        ),
        ('a = "1"  # [some whole numbers, 1 or more]', ["1,2"], ["1.5", "0", "1;2"]),
        (
            'option = ""  # [option]',
            ["", "momentum=0.9", "reconstruction_weight=3, consistency_weight=1e-2"],
            [
                "foo=1",
                "momentum",
                "momentum=x",
                "=1",
                "beta=1,",
                "beta=1,foo=1",
                "beta=1,beta=2",
                "temperature=nan",
                "beta=inf",
                "temperature=-1",
                "momentum=2",
                "head_hidden=1.5",
            ],
        ),
        ('a = "x"  # [text]', ["", "é\n"], ["\ud800", 3, None]),
        ("a = True", [False], [0, 1, "True", None]),
        ('a = "few"  # [some of mdlib.mi.tasks, mine, or few]', ["mine"], ["mine,few", "1v1"]),
    ],
)
def test_domains(line, good, bad):
    found = parameter(line)
    for value in good:
        assert found.conform(value) == value
    for value in bad:
        with pytest.raises(ValueError, match=f"parameter '{found.name}' is "):
            found.conform(value)


def test_a_list_of_names_arrives_without_spaces():
    assert parameter('methods = "vae"').conform(" vae , byol") == "vae,byol"
    assert parameter('a = "few"  # [some of x, or few]').conform(" few ") == "few"


@pytest.mark.parametrize(
    ("line", "value", "message"),
    [
        (
            "a = 3  # how many [1 or more]",
            0,
            "'a' is 0, expected int, 1 or more, such as its default 3",
        ),
        ("seed = 0", -1, "'seed' is -1, expected int, 0 to 4294967295, such as its default 0"),
        ("a = 3", "3", "expected int, such as its default 3 (it is of type str)"),
        ('methods = "vae"', "byoll", "unknown method 'byoll': did you mean 'byol'?"),
        ('a = "mlp"  # [one of mlp, conv]', "nope", "unknown choice 'nope': Valid: conv, mlp"),
        ('a = "x"  # [some of x, or all]', "all,x", "'all' stands alone"),
        ('a = "x"  # [some of x, y]', "x,y,x", "'x' is there twice"),
        ('a = ""  # [option]', "momentun=1", "did you mean 'momentum'"),
        ('device = "auto"', "gpu", "unknown device 'gpu': expected auto, cpu, cuda, cuda:N or mps"),
        ("a = 1  # [1 or more]", 10**4000, "…, expected int"),
    ],
)
def test_messages_name_value_and_what_was_expected(line, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parameter(line).conform(value)


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        (1, "3", 3),
        (1, "010", 10),
        (1.0, "3", 3.0),
        (1.0, "1e-3", 0.001),
        (False, "True", True),
        ("a", "3", "3"),
        ("a", "", ""),
        ([0.1], "[2, 3.5]", [2, 3.5]),
        ([1, 2], "[]", []),
        ([], "['b', 1]", ["b", 1]),
        ([1, "a"], "['b']", ["b"]),
        ([[1], [2.0]], "[[], [3, 0.5]]", [[], [3, 0.5]]),
    ],
)
def test_parse(default, text, value):
    parsed = Parameter("p", default).parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("default", "text"),
    [
        (1, "3.5"),
        (1, "1e3"),
        (1, "x"),
        (1, ""),
        (1, "9" * 5000),
        (1.0, ""),
        (True, "1"),
        ([1, 2], "['a', 'b']"),
        ([1, 2], "[1.5]"),
        ([1, 2], "[1, True]"),
        ([1, 2], "[[1]]"),
        ([0.5], "['x']"),
        ([[1], [2]], "[1]"),
        ([[1], [2]], "[[1], ['a']]"),
        ([1], "3"),
        ([1], "[1"),
        ([1], "(1,)"),
    ],
)
def test_parse_refuses(default, text):
    wanted = f"expected {type(default).__name__}"
    with pytest.raises(ValueError, match=rf"parameter 'p' is .*{wanted}.*default"):
        Parameter("p", default).parse(text)
    with pytest.raises(ValueError, match="expected a finite number"):
        Parameter("p", 1.0).parse("nan")


# the book's chapters


@pytest.mark.parametrize("name", BOOK)
def test_every_parameter_says_what_it_is_and_may_be(name):
    for found in chapters.find(name).parameters.values():
        assert found.domain or found.type is bool, f"{found.name}: no domain in its comment"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in ("latent_dim", "seeds", "steps", "batch_size", "probe_views")),
        *(
            (name, -5)
            for name in ("seed", "members", "max_images", "size", "reconstruction_weight")
        ),
        *(("arch", "nope"), ("methods", "all,vae"), ("variants", "nonsense"), ("option", "foo=1")),
        *(("estimators", "nonsense"), ("tasks", "nonsense"), ("experiments", "nonsense")),
        *(("seed", 2**64), ("widths", "5,x"), ("levels", "-1"), ("image_sets", ""), ("lr", -1.0)),
    ],
)
def test_all_chapters_refuse_what_makes_no_sense(name, value):
    found = [chapters.find(chapter) for chapter in BOOK]
    found = [chapter for chapter in found if name in chapter.parameters]
    assert found
    for chapter in found:
        with pytest.raises(ValueError, match=f"parameter '{name}' is "):
            chapter.check({name: value})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("start_here", {"reconstruction_weight": 0.0}),
        ("experiments/simve", {"reconstruction_weight": 0.0}),
        ("experiments/block_identifiability", {"batch_size": 63}),
        ("experiments/partitioned", {"batch_size": 63}),
        ("theory/disentanglement", {"widths": "1"}),
        ("theory/disentanglement", {"bins": 100000}),
        ("experiments/negative_free_disentanglement", {"bins": 100000}),
        ("theory/mi_in_practice", {"dim": 3}),
        ("methods/negative_free", {"head_dim": 1}),
        ("methods/negative_free", {"few": 1}),  # of which none can be held out
        ("gallery/byol_in_one_page", {"head_dim": 1}),
    ],
)
def test_what_a_chapter_would_refuse_later_is_refused_before(name, values):
    with pytest.raises(ValueError, match=f"parameter '{next(iter(values))}' is "):
        chapters.find(name).check(values)


def test_a_wrong_method_is_refused_without_torch():
    code = """if True:
        import sys
        from mdlib.notebook import chapters
        try:
            chapters.find("experiments/simve").check({"methods": "byoll"})
        except ValueError as error:
            assert "did you mean 'byol'" in str(error)
            print({"torch", "numpy", "jupytext"} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_an_option_of_no_method_is_told_with_what_comes_near():
    assert len(methods.all_options()) > 30
    with pytest.raises(ValueError, match=r"'temprature': did you mean 'temperature'\?$"):
        Parameter("option", "", "", "option").conform("temprature=1")
