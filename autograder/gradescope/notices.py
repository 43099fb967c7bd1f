"""Results without grading: what is on disk before the first question is judged, and when something ends it all.

Standard library only: the entry point writes these before torch is there, and when it is gone.
"""

from __future__ import annotations

from typing import Any

RUNNING, NOT_GRADED = "running", "not_graded"
_NOT_YOUR_FAULT = "That is not your fault; the course staff see this and can run it again."


def notice(name: str, text: str, status: str, score: float = 0.0, possible: float = 0.0) -> dict[str, Any]:
    """One message in the schema of results.json.

    Args:
        name: the heading.
        text: for the student.
        status: for machines.
        score: the points that count meanwhile.
        possible: what the test is said to be worth.
    """
    test = {
        "name": name, "score": 0, "max_score": possible, "status": "failed", "visibility": "visible", "output": text,
        "output_format": "text",
    }  # fmt: skip
    return {"score": score, "tests": [test], "stdout_visibility": "hidden", "extra_data": {"status": status}}


def begun() -> dict[str, Any]:
    """What stands there until the first question is judged."""
    return notice("Not graded", f"The grader was stopped before it could begin. {_NOT_YOUR_FAULT}", RUNNING)


def over_the_limit(limit: int, last_score: float | None) -> dict[str, Any]:
    """For a submission too many: the last score stays."""
    text = (
        f"This submission was not graded: {limit} a day are, and yours of today were. Your last graded score stands. "
        "Submit again tomorrow; the public tests of the kit can be run as often as you like."
    )
    return notice("Not graded", text, NOT_GRADED, last_score or 0.0)


def out_of_time(minutes: float) -> str:
    """Why there are no further results."""
    return (
        f"The grader was stopped shortly before the end of the {minutes:g} minutes that there are. What was judged "
        f"until then is below. If none of your code is slow: {_NOT_YOUR_FAULT[:1].lower()}{_NOT_YOUR_FAULT[1:]}"
    )


def ended_early(code: int) -> str:
    """Why there are no further results."""
    return (
        f"The grader was ended (exit status {code}) before it was done, as happens when the memory of the container is "
        f"used up. What was judged until then is below. {_NOT_YOUR_FAULT}"
    )


def stopped(results: dict[str, Any], why: str) -> dict[str, Any]:
    """Unfinished results with the reason on top; finished ones as they are."""
    extra = results.get("extra_data", {})
    if extra.get("status") != RUNNING:
        return results
    return {
        **results,
        "output": why,
        "output_format": "text",
        "extra_data": {**extra, "status": "error", "detail": why},
    }
