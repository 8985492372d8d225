"""Messages about a name that is not known: what was asked for, what comes near, what there is."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """A sentence such as ``unknown method 'vaee': did you mean 'vae'? Valid: byol, infonce, …``."""
    valid = sorted(valid)
    near = get_close_matches(str(name), valid, n=3, cutoff=0.6)
    hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"unknown {kind} {name!r}:{hint} Valid: {', '.join(valid) or '(none)'}"
