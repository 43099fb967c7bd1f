"""results.json as Gradescope's documentation describes it (Autograder Specifications), as a JSON schema."""

from __future__ import annotations

import json
from typing import Any

MAX_OUTPUT = 100_000  # characters; Gradescope cuts what is longer
_VISIBILITY = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
_FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
_OUTPUT = {"type": "string", "maxLength": MAX_OUTPUT}
_NUMBER = {"type": "number"}

_TEST = {
    "type": "object",
    "properties": {
        "score": _NUMBER,
        "max_score": {"type": "number", "minimum": 0},
        "status": {"enum": ["passed", "failed"]},
        "name": {"type": "string", "minLength": 1},
        "name_format": _FORMAT,
        "number": {"type": "string"},
        "output": _OUTPUT,
        "output_format": _FORMAT,
        "tags": {"type": "array", "items": {"type": "string"}},
        "visibility": _VISIBILITY,
        "extra_data": {"type": "object"},
    },
    "additionalProperties": False,
}
_ROW = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "value": {"type": ["number", "string"]},
        "order": {"enum": ["asc", "desc"]},
    },
    "required": ["name", "value"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "score": _NUMBER,
        "execution_time": {"type": "number", "minimum": 0},
        "output": _OUTPUT,
        "output_format": _FORMAT,
        "test_output_format": _FORMAT,
        "test_name_format": _FORMAT,
        "visibility": _VISIBILITY,
        "stdout_visibility": _VISIBILITY,
        "extra_data": {"type": "object"},
        "tests": {"type": "array", "items": _TEST},
        "leaderboard": {"type": "array", "items": _ROW},
        "max_score": _NUMBER,
    },
    "anyOf": [{"required": ["tests"]}, {"required": ["score"]}],
    "additionalProperties": False,
}


def problems(text: str) -> list[str]:
    """What Gradescope would stumble over in a results.json; empty if nothing.

    Args:
        text: the file's content.
    """
    from jsonschema import Draft202012Validator  # here: 60 ms that only the emulator pays

    try:
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return [f"results.json is not JSON: {error}"]
    found = sorted(Draft202012Validator(SCHEMA).iter_errors(content), key=lambda error: error.json_path)
    return [f"results.json, {error.json_path}: {_told(error)}" for error in found]


def _told(error: Any) -> str:
    """The message without most of a long text that it quotes."""
    if error.validator == "anyOf":
        return "neither tests nor score is there, and one of them is required."
    message = str(error.message)
    return message if len(message) <= 300 else f"{message[:100]} ... {message[-100:]}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number in JSON")
