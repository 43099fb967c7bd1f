"""In a judge's process: submissions that are made here, graded as a student's are."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autograder import submission
from autograder.assignment import Assignment
from autograder.fixtures import Fixtures
from autograder.grading import Judge, Result
from autograder.sandbox.host import Sandbox
from autograder.sandbox.launch import Zygote
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session
from autograder.submission import Submission
from autograder.validate.reach import Reach


class _Judge(Judge):
    """A judge that takes every test for sound: that the reference passes them all is what `answers` examines.

    Asking would cost each judge process a run of the fixtures in itself, 20 s of processor time for ising_ddpm.
    """

    given: Mapping[str, Any] = MappingProxyType({})

    def passes_on_reference(self, case: Any) -> bool:
        return True

    def _fixtures(self, session: Session, names: Namespace, submission: Submission) -> Fixtures:
        made = super()._fixtures(session, names, submission)
        made.give(self.given)
        return made

    def made_by_reference(self) -> dict[str, Any]:
        """The fixtures that rest on artifacts, from the reference's own."""
        right, reach = self._right_names(), Reach(self.assignment)
        return {name: right.get(name) for name in reach.resting_on_artifacts()}


class Bench:
    """One judge for the assignment that is being examined, in a sandbox for all of them.

    Args:
        zygote: the fork server.

    Attributes:
        sandbox: where submissions run.
    """

    def __init__(self, zygote: Zygote) -> None:
        self.sandbox = Sandbox(zygote)
        self._judge: _Judge | None = None
        self._made: Mapping[str, Any] = {}
        self._made_for: _Judge | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="autograder-validate-")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        self.sandbox.close()

    def answers(self) -> bool:
        """Whether the fork server is still there."""
        return self.sandbox.answers()

    def judge(self, assignment: Assignment) -> _Judge:
        """The assignment's judge; it is kept until another assignment is asked for."""
        if self._judge is None or self._judge.assignment is not assignment:
            self._judge = _Judge(assignment, self.sandbox)
        return self._judge

    def grade(
        self,
        assignment: Assignment,
        name: str,
        files: Mapping[str, bytes],
        questions: Collection[str] | None = None,
        beside: bool = False,
        trained: bool = True,
    ) -> Result:
        """Grades these files, handed in as a folder.

        Args:
            assignment: what was asked.
            name: the submission's, for messages.
            files: content by path, one of them the solution.
            questions: those that are to be run; None: all.
            beside: whether the leaderboard's numbers and the figures are wanted as well.
            trained: whether its artifacts are its own; else what is made from them is taken from the reference.
        """
        with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
            for path, content in files.items():
                place = Path(folder, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            handed_in = submission.read(Path(folder), name, assignment)
        judge = self.judge(assignment)
        judge.given = {} if trained else self._of_reference(judge)
        return judge.grade(handed_in, questions=questions, beside=beside)

    def _of_reference(self, judge: _Judge) -> Mapping[str, Any]:
        """What the reference's artifacts come to; computed once for an assignment."""
        if self._made_for is not judge:
            self._made, self._made_for = judge.made_by_reference(), judge
        return self._made
