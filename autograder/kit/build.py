"""All files of a student's kit; writing them, and finding out whether those on disk are stale."""

from pathlib import Path

from autograder.assignment import Assignment
from autograder.kit.handout import stub_notebook, stub_source
from autograder.kit.public_tests import public_tests
from autograder.kit.texts import readme, requirements
from autograder.submission.bundle import is_noise


def build(assignment: Assignment) -> dict[str, bytes]:
    """The files of the kit: path inside it -> content. Equal sources give equal bytes.

    Raises:
        AssignmentError: The reference or a test file cannot be turned into what a student gets.
    """
    texts = {
        f"{assignment.slug}.ipynb": stub_notebook(assignment),
        f"{assignment.slug}.py": stub_source(assignment),
        "README.md": readme(assignment),
        "requirements.txt": requirements(assignment),
        **{
            f"tests/{question.name}.py": public_tests(assignment, question.name)
            for question in assignment.questions
        },
    }
    return assignment.data() | {path: text.encode("utf-8") for path, text in texts.items()}


def write(assignment: Assignment) -> Path:
    """Writes the kit to `student_template/`, removes what no longer belongs there, and returns the folder."""
    folder, kit = assignment.template, build(assignment)
    for path in set(_on_disk(folder)) - set(kit):
        (folder / path).unlink()
    for path, content in kit.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def stale(assignment: Assignment) -> list[str]:
    """What differs between `student_template/` and what would be built now, one line a file."""
    kit, found = build(assignment), _on_disk(assignment.template)
    differences = [f"{path} is missing" for path in kit if path not in found]
    differences += [f"{path} does not belong there" for path in found if path not in kit]
    differences += [f"{path} is stale" for path in kit if path in found and kit[path] != found[path]]
    return sorted(differences)


def _on_disk(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    inside = {path.relative_to(folder): path for path in files}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in inside.items()
        if not any(is_noise(part) for part in name.parts)
    }
