"""Reads `assignment.toml` and finds the files beside it: to the engine, assignments are data.

Imports the standard library only (`nearest` does too): the command line and the sandbox's clean process both need it.
"""

import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from autograder.nearest import meant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")
SLUG = re.compile(r"[a-z][a-z0-9_]*")
_CODE = (".py", ".ipynb")  # in a student's archive it could be taken for the solution


class AssignmentError(ValueError):
    """An assignment that is not there or not complete; the message is for its author."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use. `assignment.toml` says what was measured behind each number."""

    call_seconds: float
    cell_seconds: float
    total_seconds: float
    memory_mb: int
    output_kb: int
    training_seconds: float = 0.0  # one call that a fixture makes; 0: as `call_seconds`
    disk_mb: int = 256  # all files together; the largest that a reference writes has 0.4 MB


@dataclass(frozen=True)
class Question:
    """A question that tests judge.

    Attributes:
        defines: The names that a solution binds, functions or classes. Another question may judge the same name.
        forbidden: fnmatch patterns on what really ran; a match costs the question. In the file also names of
            lists in `[operators]`.
        rests_on: Questions whose functions a solution may well call.
    """

    name: str
    title: str
    points: float
    defines: tuple[str, ...]
    forbidden: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """A question that a person judges, with the rubric."""

    name: str
    title: str
    points: float


@dataclass(frozen=True)
class Artifact:
    """A file of tensors that is handed in beside the solution, such as trained weights.

    Attributes:
        name: The parameter by which tests, fixtures and figures ask for it.
        file: Its base name, in the safetensors format.
        max_mb: What is larger is not read.
    """

    name: str
    file: str
    max_mb: int


@dataclass(frozen=True)
class Metric:
    """A number on the leaderboard.

    Attributes:
        value: The fixture that gives it.
        order: "asc" where less is better, else "desc".
    """

    name: str
    value: str
    order: str = "desc"


@dataclass(frozen=True)
class Picture:
    """A figure of the feedback: a function of `figures.py`."""

    name: str
    title: str


@dataclass(frozen=True)
class Promise:
    """What a docstring of the reference promises or asks, and the tests that hold a student to it.

    Attributes:
        name: The function, class or Class.method whose docstring says it.
        text: A quotation from there, word for word; only blanks and line ends may differ.
        cases: Test cases, each as "question: case name".
    """

    name: str
    text: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """One assignment: what its TOML file says, and where its other files are.

    Attributes:
        files: Names of data files that lie beside the reference, in the kit, and beside each submission.
    """

    slug: str
    title: str
    summary: str
    root: Path
    questions: tuple[Question, ...]
    written: tuple[Written, ...]
    limits: Limits
    artifacts: tuple[Artifact, ...] = ()
    leaderboard: tuple[Metric, ...] = ()
    figures: tuple[Picture, ...] = ()
    files: tuple[str, ...] = ()
    promises: tuple[Promise, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of `assignment.toml`."""
        return self.root / "assignments" / self.slug

    @property
    def reference(self) -> Path:
        """The solution, and the source of the student's kit."""
        return self.root / "reference" / f"{self.slug}.py"

    @property
    def template(self) -> Path:
        """The student's kit, generated."""
        return self.root / "student_template" / self.slug

    @property
    def misconceptions(self) -> Path:
        """The known wrong answers."""
        return self.folder / "misconceptions.py"

    @property
    def fixtures(self) -> Path:
        """What is computed once a submission, for several tests."""
        return self.folder / "fixtures.py"

    @property
    def drawings(self) -> Path:
        """The functions that draw the figures of the feedback."""
        return self.folder / "figures.py"

    def reference_artifact(self, artifact: Artifact) -> Path:
        """The reference's own file of this kind."""
        return self.root / "reference" / f"{self.slug}.{artifact.file}"

    @property
    def rubric(self) -> Path:
        """How a person grades the written questions."""
        return self.folder / "rubric.md"

    def data(self) -> dict[str, bytes]:
        """The data files that a solution may read, by name."""
        return {name: self.reference.with_name(name).read_bytes() for name in self.files}

    @property
    def possible(self) -> float:
        """The points that tests can give; written questions come on top, by hand."""
        return sum(question.points for question in self.questions)

    def test_file(self, question: str) -> Path:
        """The Otter test file of a question."""
        return self.folder / "tests" / f"{question}.py"

    def question(self, name: str) -> Question:
        """The question of that name.

        Raises:
            AssignmentError: There is none.
        """
        for question in self.questions:
            if question.name == name:
                return question
        raise AssignmentError(f"{self.slug} has no question {name!r}: it has {_names(self.questions)}.")


def find_root() -> Path:
    """The folder with `assignments/` and `reference/` in it: the current one, one above it, or the package's.

    Raises:
        AssignmentError: There is none.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[1]):
        if (folder / "assignments").is_dir() and (folder / "reference").is_dir():
            return folder
    raise AssignmentError(
        "No folder with assignments/ and reference/ in it: run this inside the project, or name the folder."
    )


def slugs(root: Path | None = None) -> list[str]:
    """The names of all assignments, sorted."""
    folder = (root or find_root()) / "assignments"
    return sorted(path.parent.name for path in folder.glob("*/assignment.toml"))


def load(slug: str, root: Path | None = None) -> Assignment:
    """Reads and checks one assignment.

    Raises:
        AssignmentError: It is not there, or something in it is missing, unknown or contradictory.
    """
    root = root or find_root()
    if not SLUG.fullmatch(slug):
        rule = f"{slug!r} is no assignment's name: lower-case letters, digits and _ only."
        raise AssignmentError(f"{rule} {meant(slug, slugs(root))}".rstrip())
    path = root / "assignments" / slug / "assignment.toml"
    if not path.is_file():
        known = ", ".join(slugs(root)) or "none"
        raise AssignmentError(f"No assignment {slug!r}. {meant(slug, slugs(root))}There are: {known}.")
    try:
        found = _assignment(slug, root, tomllib.loads(path.read_text(encoding="utf-8")))
        _check_questions(found)
        _check_extras(found)
        _check_files(found)
    except (ValueError, OSError) as error:  # TOML and UTF-8 errors are ValueErrors too
        raise AssignmentError(f"{path.relative_to(root)}: {error}") from error
    return found


def _assignment(slug: str, root: Path, document: Mapping[str, Any]) -> Assignment:
    required = {"title", "summary", "limits", "questions"}
    optional = {"operators", "written", "artifacts", "leaderboard", "figures", "files", "promises"}
    _check_keys(document, required | optional, required, "the file")
    groups = {
        name: _texts(value, f"operators.{name}") for name, value in document.get("operators", {}).items()
    }
    questions = _records(Question, document["questions"], "questions")
    return Assignment(
        slug=slug,
        title=_text(document["title"], "title"),
        summary=_text(document["summary"], "summary"),
        root=root,
        questions=tuple(replace(q, forbidden=_spelt_out(q.forbidden, groups)) for q in questions),
        written=_records(Written, document.get("written", []), "written"),
        limits=_record(Limits, document["limits"], "limits"),
        artifacts=_records(Artifact, document.get("artifacts", []), "artifacts"),
        leaderboard=_records(Metric, document.get("leaderboard", []), "leaderboard"),
        figures=_records(Picture, document.get("figures", []), "figures"),
        files=_texts(document.get("files", []), "files"),
        promises=_records(Promise, document.get("promises", []), "promises"),
    )


def _spelt_out(names: Iterable[str], groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Patterns, with those of a group of `[operators]` in place of its name."""
    return tuple(pattern for name in names for pattern in groups.get(name, (name,)))


def _records(kind: Callable[..., _T], tables: object, where: str) -> tuple[_T, ...]:
    if not isinstance(tables, list):
        raise AssignmentError(f"{where} must be [[{where}]] tables.")
    return tuple(_record(kind, table, f"{where}[{number}]") for number, table in enumerate(tables, start=1))


def _record(kind: Callable[..., _T], table: object, where: str) -> _T:
    """Makes a dataclass of a TOML table: its fields say which keys there are, and of which type."""
    if not isinstance(table, Mapping):
        raise AssignmentError(f"{where} must be a table.")
    declared = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # kinds are dataclasses
    required = {name for name, field in declared.items() if field.default is MISSING}
    _check_keys(table, set(declared), required, where)
    readers = {name: _READERS[field.type] for name, field in declared.items()}
    return kind(**{key: readers[key](value, f"{where}.{key}") for key, value in table.items()})


def _check_keys(table: Mapping[str, Any], known: set[str], required: set[str], where: str) -> None:
    if unknown := sorted(set(table) - known):
        listed = ", ".join(sorted(known))
        raise AssignmentError(f"unknown key {unknown[0]!r} in {where}; known are: {listed}.")
    if missing := sorted(required - set(table)):
        raise AssignmentError(f"{missing[0]!r} is missing in {where}.")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise AssignmentError(f"{where} must be a text that is not empty, not {value!r}.")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise AssignmentError(f"{where} must be a number above 0, not {value!r}.")
    return float(value)


def _whole_number(value: object, where: str) -> int:
    if not (number := _number(value, where)).is_integer():
        raise AssignmentError(f"{where} must be a whole number, not {value!r}.")
    return int(number)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise AssignmentError(f"{where} must be a list of texts, not {value!r}.")
    return tuple(_text(item, where) for item in value)


_READERS: dict[Any, Callable[[object, str], Any]] = {
    str: _text,
    float: _number,
    int: _whole_number,
    tuple[str, ...]: _texts,
}


def _check_questions(assignment: Assignment) -> None:
    questions = assignment.questions
    if not questions:
        raise AssignmentError("there must be at least one question.")
    _check_unique([*(q.name for q in questions), *(w.name for w in assignment.written)], "question")
    for name in (name for question in questions for name in (question.name, *question.defines)):
        if not name.isidentifier():
            raise AssignmentError(f"{name!r} is not a Python name.")
    for question in questions:
        if not question.defines:
            raise AssignmentError(f"{question.name}.defines names nothing.")
        _check_unique(question.defines, f"name that {question.name} defines,")
        _check_rests_on(question, questions)


def _check_extras(assignment: Assignment) -> None:
    for artifact in assignment.artifacts:
        if not artifact.name.isidentifier() or not re.fullmatch(r"[\w-]+\.safetensors", artifact.file):
            raise AssignmentError(
                f"artifact {artifact.name!r}: a Python name and a file such as weights.safetensors."
            )
    for metric in assignment.leaderboard:
        if metric.order not in ("asc", "desc"):
            raise AssignmentError(
                f"leaderboard {metric.name!r}: order is 'asc' or 'desc', not {metric.order!r}."
            )
    _check_unique((artifact.name for artifact in assignment.artifacts), "artifact")
    _check_unique((picture.name for picture in assignment.figures), "figure")
    for promise in assignment.promises:
        _check_promise(promise, {question.name for question in assignment.questions})


def _check_promise(promise: Promise, questions: Collection[str]) -> None:
    """That its cases are named as they should be; whether there are such cases, `autograder validate` says."""
    if not promise.cases:
        raise AssignmentError(f"promise {promise.text!r} of {promise.name}: cases names no test.")
    for case in promise.cases:
        question, colon, name = case.partition(": ")
        if question not in questions or not (colon and name):
            raise AssignmentError(
                f'promise {promise.text!r} of {promise.name}: a case is written "q1: name of the case", not {case!r}.'
            )


def _check_rests_on(question: Question, questions: Iterable[Question]) -> None:
    others = [other for other in questions if other is not question]
    unknown = sorted(set(question.rests_on) - {other.name for other in others})
    if unknown:
        known = _names(others)
        raise AssignmentError(f"{question.name} rests on {unknown[0]!r}; the other questions are {known}.")


def _check_unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise AssignmentError(f"the {what} {name!r} is there twice.")
        seen.add(name)


def _check_files(assignment: Assignment) -> None:
    expected = [assignment.test_file(question.name) for question in assignment.questions]
    rubric = [assignment.rubric] if assignment.written else []
    if strange := [name for name in assignment.files if Path(name).name != name or name.endswith(_CODE)]:
        raise AssignmentError(
            f"files: {strange[0]!r} must be the plain name of a data file beside the reference."
        )
    needed = [assignment.fixtures] if assignment.leaderboard else []
    needed += [assignment.drawings] if assignment.figures else []
    needed += [assignment.reference_artifact(artifact) for artifact in assignment.artifacts]
    needed += [assignment.reference.with_name(name) for name in assignment.files]
    for path in (assignment.reference, *expected, assignment.misconceptions, *rubric, *needed):
        if not path.is_file():
            raise AssignmentError(f"{path.relative_to(assignment.root)} is missing.")
    if stray := sorted(set((assignment.folder / "tests").glob("*.py")) - set(expected)):
        raise AssignmentError(f"{stray[0].relative_to(assignment.root)} belongs to no question.")


def _names(questions: Iterable[Question]) -> str:
    return ", ".join(question.name for question in questions) or "none"
