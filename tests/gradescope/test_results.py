"""results.json: what the report says, in what Gradescope's schema offers."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from autograder.assignment import load
from autograder.diagnosis import Diagnosis
from autograder.gradescope import notices
from autograder.gradescope.judge import Grader, within
from autograder.gradescope.metadata import Metadata
from autograder.gradescope.place import Place
from autograder.gradescope.results import escaped, fenced, results
from autograder.gradescope.schema import MAX_OUTPUT, problems
from autograder.gradescope.settings import Settings
from autograder.grading import NOT_IMPLEMENTED, QuestionResult, Result
from autograder.report import gradescope
from autograder.roster import LatePolicy
from autograder.suite import CaseResult, Outcome

SAMPLE = load("mini", Path(__file__).parents[1] / "data" / "sample")
DUE = datetime(2026, 11, 20, 23, 59, tzinfo=timezone.utc)
SETTINGS = Settings("mini")


def case(name, points, outcome=Outcome.PASSED, hidden=False, **more):
    return CaseResult(name, hidden, points, outcome, **more)


def graded(text="expected d_k", **more):
    """A result with a public failure, a named mistake and a hidden pass."""
    cases = [
        case("by_hand", 1, Outcome.FAILED, text=text, hint="use x_1 * 2", cause="wrong"),
        case("again", 1, Outcome.FAILED, text=text, cause="wrong"),
        case("secret", 2, hidden=True),
    ]
    named = Diagnosis("no_scale", "It behaves like softmax without sqrt(d_k)", "Divide by `sqrt(d_k)`")
    question = QuestionResult("q1", "Softmax", 2.0, 4.0, cases, diagnosis=named, **more)
    return Result("submission", questions=[question], possible=8.0)


def made(result=None, settings=SETTINGS, metadata=None):
    content = results(result or graded(), SAMPLE, settings, metadata or Metadata())
    assert problems(json.dumps(content)) == []
    return content


def test_entries_are_those_of_the_report():
    """Names, numbers, scores and statuses are the same; the text is Markdown."""
    content, plain = made(), gradescope.to_dict(graded(), SAMPLE)
    keys = ("name", "number", "score", "max_score", "status", "visibility")
    assert [[t[k] for k in keys] for t in content["tests"]] == [[t[k] for k in keys] for t in plain["tests"]]
    assert {test["output_format"] for test in content["tests"]} == {"md"}
    assert content["stdout_visibility"] == "hidden"
    assert [test["tags"] for test in content["tests"]] == [["q1", "public", "no_scale"], ["q1", "hidden"]]


def test_text_of_a_failure():
    """The named mistake, its hint, each case: to the letter."""
    assert made()["tests"][0]["output"] == (
        "**It behaves like softmax without sqrt(d\\_k)**\n\n> Hint: Divide by \\`sqrt(d\\_k)\\`\n\n"
        "**FAILED: by\\_hand (0 of 1)**\n\n```\nexpected d_k\n```\n\n> Hint: use x\\_1 \\* 2\n\n"
        "**FAILED: again (0 of 1)**\n\nAs above."
    )


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published", "visible"])
def test_visibility_as_the_course_chose(visibility):
    """Public tests are visible, hidden ones as set."""
    content = made(settings=Settings("mini", hidden_visibility=visibility))
    assert [test["visibility"] for test in content["tests"]] == ["visible", visibility]


def test_a_students_text_stays_in_its_block():
    """Whatever backticks and tags it holds."""
    text = "```\n</div><script>alert(1)</script>\n````\n# big"
    block = fenced(text)
    fence = block.split("\n", 1)[0]
    assert fence == "`" * 5
    assert block == f"{fence}\n{text}\n{fence}"
    assert escaped("<b>_x_</b> [a](b) $y$") == "\\<b\\>\\_x\\_\\</b\\> \\[a\\](b) \\$y\\$"


@pytest.mark.parametrize("count", [1, 40])
def test_texts_stay_below_the_cut(count):
    """However many cases fail with however long a text."""
    cases = [case(f"c{i}", 1, Outcome.FAILED, text=f"{i}" * 100_000) for i in range(count)]
    result = Result(
        "s", questions=[QuestionResult("q1", "t", 0.0, float(count), cases)], possible=float(count)
    )
    (test,) = made(result)["tests"]
    assert len(test["output"]) < MAX_OUTPUT
    assert len(re.findall(r"^```$", test["output"], re.M)) == 2 * count


@pytest.mark.parametrize("more", [{"policy": "0 points: not _allowed_"}, {"note": NOT_IMPLEMENTED}])
def test_short_texts(more):
    """A policy or an untouched stub needs no list of cases."""
    output = made(graded(**more))["tests"][0]["output"]
    assert output == escaped(next(iter(more.values())))


def test_late():
    """Points off, said in words; the tests' own points stay."""
    settings = Settings("mini", late=LatePolicy(10, due=DUE + timedelta(days=9)))
    content = made(settings=settings, metadata=Metadata(DUE + timedelta(hours=1), DUE))
    assert content["score"] == pytest.approx(1.2)
    assert content["output"].endswith("1 day late: 0.8 points off (10 % of the points possible).")
    assert sum(test["score"] for test in content["tests"]) == 2
    assert made(settings=settings, metadata=Metadata(DUE, DUE))["score"] == 2


# --------------------------------------------------------------------------------- submissions that cannot be read


@pytest.fixture
def grader(tmp_path):
    """Grades a folder with these files, up to where a fork server would be needed."""
    place = Place(tmp_path)
    for folder in (place.submission, place.results.parent):
        folder.mkdir()

    def grade(**files):
        for name, content in files.items():
            (place.submission / name.replace("__", ".")).write_bytes(content)
        Grader(place, SETTINGS, SAMPLE, None).run()
        text = place.results.read_text()
        assert problems(text) == []
        return json.loads(text)

    return grade


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "Expected mini.ipynb or mini.py in submission, but found no files"),
        ({"report__pdf": b"%PDF"}, "but found report.pdf"),
        ({"a__ipynb": b"{}", "b__ipynb": b"{}"}, "holds 2 files that may be your solution: a.ipynb, b.ipynb"),
        ({"mini__py": b"\0" * (100 << 20)}, "mini.py is larger than 64 MB"),
        ({"mini__ipynb": b"nonsense"}, "it is not valid JSON"),
        ({"work__zip": b"nonsense"}, "is not a zip archive that can be read"),
        ({"mini__py": b""}, "is empty"),
    ],
    ids=["none", "wrong type", "several", "100 MB", "broken notebook", "broken zip", "empty"],
)
def test_a_clear_message_and_never_a_failure(grader, files, message):
    """0 points, what is wrong, what to do; not the grader's fault."""
    content = grader(**files)
    (test,) = content["tests"]
    assert message in test["output"]
    assert (content["score"], content["extra_data"]["status"], test["visibility"]) == (0, "failed", "visible")


# --------------------------------------------------------------------------------------------------- limits, notices


def test_limits_end_before_the_containers():
    """Whichever is smaller; some time and memory is left in any case."""
    ours, theirs = within(SAMPLE, 600, 4096).limits, SAMPLE.limits
    assert (ours.call_seconds, ours.total_seconds) == (2 * theirs.call_seconds, 2 * theirs.total_seconds)
    assert ours.memory_mb == theirs.memory_mb
    small = within(SAMPLE, 70, 768).limits
    assert (small.total_seconds, small.memory_mb) == (10, 328)
    least = within(SAMPLE, 1, 100).limits
    assert (least.total_seconds, least.memory_mb) == (5, 128)


@pytest.mark.parametrize(
    "content", [notices.begun(), notices.over_the_limit(3, 12.5), notices.over_the_limit(3, None)]
)
def test_notices_are_in_the_schema(content):
    """Also what stands there before anything was judged."""
    assert problems(json.dumps(content)) == []


def test_stopped():
    """The reason goes on top of what is unfinished; what is finished stays."""
    running = made(Result("s", status=notices.RUNNING, questions=graded().questions, possible=8.0))
    stopped = notices.stopped(running, "why")
    assert (stopped["output"], stopped["extra_data"]["status"], stopped["score"]) == ("why", "error", 2)
    assert notices.stopped(made(), "why") == made()


def test_written_whole(tmp_path, monkeypatch):
    """Whoever reads meanwhile finds the old results or the new."""
    place = Place(tmp_path)
    place.write({"score": 1})
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        place.write({"score": 2})
    assert json.loads(place.results.read_text()) == {"score": 1}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"score": 1}', ""),
        ('{"tests": []}', ""),
        ("{}", "required"),
        ("[]", "not of type 'object'"),
        ("{", "is not JSON"),
        ('{"score": NaN}', "NaN is not a number"),
        ('{"score": "5"}', "$.score"),
        ('{"tests": [{"score": 1, "visibility": "secret"}]}', "$.tests[0].visibility"),
        ('{"tests": [{"output_format": "markdown"}]}', "$.tests[0].output_format"),
        ('{"tests": [{"status": "error"}]}', "$.tests[0].status"),
        ('{"tests": [{"points": 3}]}', "points"),
        (
            '{"score": 1, "leaderboard": [{"name": "loss", "value": 3, "order": "up"}]}',
            "$.leaderboard[0].order",
        ),
        (json.dumps({"score": 1, "output": "x" * 100_001}), "too long"),
    ],
)
def test_schema(text, found):
    """As the documentation says; what it does not know is a problem."""
    assert found in " ".join(problems(text))
    assert bool(problems(text)) == bool(found)
