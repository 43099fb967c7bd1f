"""Small changes to JSON trees and to bytes, drawn from a `random.Random`: what all fuzzing here is made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

Tree = Any
Odd = Callable[[Tree, random.Random], Tree]


def tree(value: Tree, choose: random.Random, odd: Odd, keys: Sequence[str]) -> Tree:
    """The tree with one change at a place that is drawn, mostly far from the root.

    Args:
        value: JSON.
        choose: draws.
        odd: makes what takes the place of a part.
        keys: names that a part of an object may get.
    """
    if isinstance(value, dict) and value and choose.random() < 0.85:
        return _dict(dict(value), choose, odd, keys)
    if isinstance(value, list) and value and choose.random() < 0.8:
        return _list(list(value), choose, odd, keys)
    return odd(value, choose)


def _dict(value: dict[str, Tree], choose: random.Random, odd: Odd, keys: Sequence[str]) -> dict[str, Tree]:
    key = choose.choice(list(value))
    kind = choose.random()
    if kind < 0.7:
        value[key] = tree(value[key], choose, odd, keys)
    elif kind < 0.85:
        value[choose.choice(keys)] = value.pop(key)
    else:
        value[choose.choice(keys)] = odd(value[key], choose)
    return value


def _list(value: list[Tree], choose: random.Random, odd: Odd, keys: Sequence[str]) -> list[Tree]:
    place = choose.randrange(len(value))
    value[place] = tree(value[place], choose, odd, keys)
    return value * choose.choice((1, 1, 1, 3)) if choose.random() < 0.8 else value[:place]


def data(value: bytes, choose: random.Random, snippets: Sequence[bytes]) -> bytes:
    """The bytes with a few of them replaced, cut out, doubled or inserted."""
    changed = bytearray(value)
    for _ in range(choose.randint(1, 4)):
        place = choose.randrange(len(changed)) if changed else 0
        kind = choose.randrange(4)
        if kind == 0:
            changed[place : place + 1] = bytes([choose.randrange(256)])
        elif kind == 1:
            del changed[place : place + choose.randint(1, 8)]
        elif kind == 2:
            changed[place:place] = changed[place : place + choose.randint(1, 30)]
        else:
            changed[place:place] = choose.choice(snippets)
    return bytes(changed)
