"""Coverage of the text: what docstrings promise is listed in `assignment.toml`, with the tests that hold to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autograder.assignment import Assignment, Promise
from autograder.fixtures import load_recipes
from autograder.suite import load
from autograder.validate.bench import Bench
from autograder.validate.digests import text_digest
from autograder.validate.docstrings import Statement, docstrings, single_blanks, statements
from autograder.validate.model import Examination, Options, Verdict


class Promises(Examination):
    """The check-list of promises."""

    name = "promises"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """One."""
        return ["all"]

    def key(self, assignment: Assignment) -> str:
        """The texts as well."""
        return text_digest(assignment)

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Compares the list with the docstrings and with the suite."""
        texts = {name: single_blanks(text) for name, text in docstrings(assignment).items()}
        hidden = hidden_cases(assignment)
        wrong = [text for promise in assignment.promises for text in faults(promise, texts, hidden)]
        said = [one for name, text in docstrings(assignment).items() for one in statements(name, text)]
        missing = [one for one in said if not covered(one, assignment.promises)]
        unlisted = [f"{one.name}, {one.section}: no promise quotes {one.text!r}" for one in missing]
        return {"promises": len(assignment.promises), "said": len(said), "faults": wrong + unlisted}

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """Each fault is an error."""
        verdict = Verdict(f"{len(assignment.promises)} kept", data=found.get("all", {}))
        for fault in verdict.data.get("faults", []):
            verdict.error(fault)
        return verdict


def hidden_cases(assignment: Assignment) -> dict[str, bool]:
    """Each case of the suite, as "question: name", and whether it is hidden."""
    files = load(assignment, {"elsewhere", *load_recipes(assignment)})
    return {
        f"{question}: {case.name}": bool(case.hidden)
        for question, file in files.items()
        for case in file.test_cases
    }


def faults(promise: Promise, texts: dict[str, str], hidden: dict[str, bool]) -> Iterator[str]:
    """What is wrong with one entry of the list."""
    where = f"promise {promise.text!r} of {promise.name}"
    if promise.name not in texts:
        yield f"{where}: no question asks for that name"
    elif single_blanks(promise.text) not in texts[promise.name]:
        yield f"{where}: its docstring does not say that"
    for case in promise.cases:
        if case not in hidden:
            yield f"{where}: there is no test {case!r}"
    if not any(hidden.get(case) for case in promise.cases):
        yield f"{where}: no hidden test holds a student to it"


def covered(statement: Statement, promises: tuple[Promise, ...]) -> bool:
    """Whether some promise quotes it, whole or in part."""
    quoted = (single_blanks(one.text) for one in promises if one.name == statement.name)
    return any(statement.text in text or text.strip(" .;") in statement.text for text in quoted)
