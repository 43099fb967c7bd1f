"""Dataclasses as JSON and back: what goes into the store and between processes.

Nothing is said twice: the fields and their types are those of the dataclasses, so a new field travels by itself.
"""

from __future__ import annotations

import base64
import functools
import json
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> str:
    """A dataclass, or lists and dictionaries of them, as text; `bytes` become base64.

    >>> to_json(["a", b"b"])
    '["a","Yg=="]'
    """
    return json.dumps(value, default=_plain, separators=(",", ":"))


def from_json(kind: type[T], text: str) -> T:
    """What `to_json` made of a `kind`.

    Raises:
        ValueError, TypeError, KeyError: the text is not one of that kind.
    """
    made: T = _read(kind, json.loads(text))
    return made


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no place in a result")


@functools.cache
def _types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _read(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(next(kind for kind in inner if kind is not type(None)), value)
    if origin in (list, tuple):
        item = inner[0] if inner else Any
        return origin(_read(item, entry) for entry in value)
    if origin is dict:
        return {key: _read(inner[1], entry) for key, entry in value.items()}
    return _read_plain_type(kind, value)


def _read_plain_type(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        known = _types(kind)  # type: ignore[arg-type]
        return kind(**{name: _read(known[name], entry) for name, entry in value.items()})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return base64.b64decode(value) if kind is bytes else value
