"""What can go wrong at the trust boundary.

SandboxError            the grader's own fault: nothing is known about the student's answer (could-not-tell)
StudentFailure          the student's code did not answer as it should
|-- StudentError        it raised an exception; also an instance of the same built-in type (see `student_error`)
|-- TimedOut            it did not answer in time
|-- Died                its process ended: os._exit, a segmentation fault, out of memory
|-- Overused            it took more of the disk, the memory or the processes than it may
|-- BadAnswer           what it returned cannot be passed on: too large, too deep, malformed
`-- NotDefined          the submission does not define the name that was asked for
"""

from __future__ import annotations

import builtins

MAX_TEXT = (
    4000  # characters of a student's message or traceback that are kept: a screenful, and never a flood
)


class SandboxError(Exception):
    """The grader could not do its own part; never charged to a student."""


class StudentFailure(Exception):
    """The student's code failed to answer; the text is written for the student."""


class StudentError(StudentFailure):
    """The student's code raised an exception.

    Attributes:
        kind: name of the exception's type in the student's process, such as "ValueError".
        text: its message.
        trace: the traceback in the student's files, for staff and for the student's own eyes.
    """

    kind: str = "Exception"
    text: str = ""
    trace: str = ""


class TimedOut(StudentFailure):
    """The student's code did not answer within its limit."""


class Died(StudentFailure):
    """The student's process ended while it was asked something."""


class Overused(StudentFailure):
    """The student's code made more files, threads or shared memory than it may."""


class BadAnswer(StudentFailure):
    """The student's process sent something that is not plain data within the bounds."""


class NotDefined(StudentFailure):
    """The submission does not define a name that the question asks for."""


def student_error(kind: str, text: str, trace: str, bases: list[str]) -> StudentError:
    """The exception to raise in the judge for one that was raised in the student's process.

    It is a `StudentError` and, where the student's exception is a built-in one or derives from one, also an instance
    of that type, so that `except ValueError` in a test works in either process.
    """
    parents: tuple[type, ...] = (StudentError,)
    for name in [kind, *bases]:
        candidate = getattr(builtins, name, None)
        if isinstance(candidate, type) and issubclass(candidate, Exception) and candidate is not Exception:
            parents = (StudentError, candidate)
            break
    try:
        error = type(kind, parents, {})(f"{kind}: {text}" if text else kind)
    except (
        TypeError,
        ValueError,
    ):  # UnicodeDecodeError and its like want more arguments; a name may hold a NUL
        error = StudentError(f"{kind}: {text}")
    error.kind, error.text, error.trace = kind, text, trace
    assert isinstance(error, StudentError)
    return error
