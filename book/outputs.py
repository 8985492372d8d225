"""Do the notebooks hold what a whole run with the chapter's own parameters shows?"""

from __future__ import annotations

from mdlib.notebook.chapters import Chapter, find, names, read_ipynb


def faults() -> list[str]:
    """A line for each notebook that does not, so that all can be mended at once."""
    found = []
    for name in names():
        chapter = find(name)
        path = chapter.path.with_suffix(".ipynb")
        if path.is_file() and (what := fault(chapter)):
            found.append(
                f"notebooks/{name}.ipynb {what}. Run it whole by `python tools/pairs.py {name}`, "
                f"or take the committed one: git checkout notebooks/{name}.ipynb"
            )
    return found


def fault(chapter: Chapter) -> str:
    """What is wrong with a chapter's notebook, in words; "" if nothing is."""
    try:
        notebook = read_ipynb(chapter.path.with_suffix(".ipynb"))
    except ValueError as error:
        return f"cannot be read ({error})"
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    not_run = sum(cell.execution_count is None for cell in code)
    if not_run:
        return f"was saved before it had run to its end: {not_run} of {len(code)} cells did not run"
    numbers = [cell.execution_count for cell in code]
    if numbers != sorted(set(numbers)):
        return "was run in another order than from its first cell to its last"
    errors = [o for cell in code for o in cell.outputs if o.output_type == "error"]
    if errors:
        return f"holds an error, {errors[0].ename}: {errors[0].evalue}"
    asked = [c.source for c in chapter.cells if "parameters" in c.tags]
    given = [c.source for c in code if "parameters" in c.metadata.get("tags", [])]
    injected = any("injected-parameters" in c.metadata.get("tags", []) for c in code)
    if given != asked or injected:
        return f"was run with other parameters than {chapter.path.name} has"
    return ""
