"""What a submission's code reaches for that no solution needs: shown to staff, never graded.

Only the text is read, and only lines that are not in the kit. An attempt that hides itself leaves no trace here; it
gains nothing all the same, since the judge is another process.
"""

from __future__ import annotations

import re

from autograder.assignment import Assignment
from autograder.submission import Submission

_REACHES = {
    "replaces functions of a library": r"^\s*(?:torch|np|numpy|builtins|unittest|otter|pytest|math)(?:\.\w+)+\s*=[^=]",
    "defines what it means to be equal": r"\b__eq__\b",
    "walks through the interpreter's frames or objects": r"_getframe|gc\.get_|inspect\.(?:stack|currentframe)|f_back",
    "uses ctypes": r"\bctypes\b",
    "starts processes or sends signals": r"\b(?:subprocess|multiprocessing)\b|\bos\.(?:fork|system|kill|exec|popen)",
    "opens network connections": r"\bimport (?:socket|urllib|requests|http)\b|\bfrom (?:socket|urllib|requests|http)\b",
    "reads the system's or the grader's files": r"/proc\b|/etc/|/autograder/|\.OTTER_LOG|results\.json|grades\.sqlite",
    "unpickles or runs text as code": r"\b(?:pickle|dill|marshal)\.loads?\b|(?<![.\w])(?:exec|eval)\(",
}


def find(submission: Submission, assignment: Assignment) -> list[str]:
    """What the code reaches for, in words, each with the first line that does."""
    stub = assignment.template / f"{assignment.slug}.py"
    given = set(stub.read_text(encoding="utf-8").splitlines()) if stub.exists() else set()
    own = [line for line in submission.text.splitlines() if line not in given]
    found = []
    for what, pattern in _REACHES.items():
        line = next((line for line in own if re.search(pattern, line)), None)
        if line is not None:
            found.append(f"{what}: {line.strip()[:120]}")
    return found
