"""What to say of a name that is none, where there are many."""

from __future__ import annotations

from collections.abc import Collection

from mdlib import checks

_MANY = 30  # of more than these, a reader wants those that come near, and no list


def unknown(kind: str, name: str, valid: Collection[str]) -> str:
    """`checks.unknown`, but of many valid names only those that come near, if there are any."""
    sentence = checks.unknown(kind, name, valid)
    near = sentence.rpartition(" Valid: ")[0]
    return near if near.endswith("?") and len(valid) > _MANY else sentence


def check_known(kind: str, name: str, valid: Collection[str]) -> None:
    """ValueError, as `unknown` says it, unless `name` is one of `valid`."""
    checks.need(name in valid, unknown(kind, name, valid))
