"""q1: read_snli(lines), on lines made here."""

import json
import re

from otter.test_files import test_case

from autograder.checks import Mistake, check_equal

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def line(label, premise="A man sleeps.", hypothesis="Nobody sleeps.", **more):
    """A line as the corpus has it, with fields that nobody asked for."""
    entry = {"annotator_labels": [label], "gold_label": label, "pairID": "1.jpg#0", "sentence1": premise}
    return json.dumps({**entry, "sentence1_parse": "(ROOT)", "sentence2": hypothesis, **more}) + "\n"


def check_pairs(found, expected, *, what):
    """Pass if these are the pairs; lists in place of tuples are fine."""
    check_equal(found, expected if isinstance(found, list) else [], what=what)


def as_tuples(found):
    """The pairs as tuples, if they look like pairs."""
    pairs = isinstance(found, list) and all(isinstance(pair, tuple | list) for pair in found)
    return [tuple(pair) for pair in found] if pairs else found


@test_case(
    name="one pair of each label",
    points=2,
    hidden=False,
    failure_message="sentence1 is the premise, sentence2 the hypothesis; entailment is 0, neutral 1, contradiction 2.",
)
def test_labels(read_snli):
    labels = ("entailment", "neutral", "contradiction")
    lines = [line(label, f"premise {i}", f"hypothesis {i}") for i, label in enumerate(labels)]
    expected = [(f"premise {i}", f"hypothesis {i}", i) for i in range(3)]
    check_pairs(as_tuples(read_snli(lines)), expected, what="read_snli(lines) of three lines")


@test_case(
    name="pairs without a gold label",
    points=2,
    hidden=False,
    failure_message='A gold_label of "-" means that the annotators did not agree: leave the pair out.',
)
def test_no_majority(read_snli):
    lines = [line("-", "left out"), line("neutral", "kept"), line("-", "left out, too")]
    what = 'read_snli(lines) of three lines, two with the gold_label "-"'
    check_pairs(as_tuples(read_snli(lines)), [("kept", "Nobody sleeps.", 1)], what=what)


@test_case(
    name="sentences as they are, empty lines, no lines",
    points=1,
    hidden=True,
    failure_message="Keep sentences exactly: capitals, blanks, punctuation, any alphabet, even an empty one. Skip "
    "lines of nothing but white space. Lines may come without line ends, and there may be none.",
)
def test_as_they_are(read_snli):
    pairs = [("  Two DOGS,\trunning! ", "-", 0), ("Ein Mädchen – 日本", "", 2), ("", "neutral", 1)]
    labels = ("entailment", "neutral", "contradiction")
    lines = ["\n", *(line(labels[label], p, h).strip("\n") for p, h, label in pairs), "", "  \t\n"]
    check_pairs(as_tuples(read_snli(lines)), pairs, what="read_snli(lines) of odd sentences and empty lines")
    check_pairs(as_tuples(read_snli([])), [], what="read_snli([])")
    escaped = ['{"sentence2": "caf\\u00e9", "gold_label": "neutral", "sentence1": "a \\"b\\""}\r\n']
    check_pairs(as_tuples(read_snli(escaped)), [('a "b"', "café", 1)], what="read_snli(lines) with escapes")


BAD = {
    "that is no JSON": '{"gold_label": "neutral", "sentence1": "A man sle',
    "that is a list": "[1, 2]",
    "that is a number": "3",
    "without sentence2": json.dumps({"gold_label": "neutral", "sentence1": "A man."}),
    "without gold_label": json.dumps({"sentence1": "A man.", "sentence2": "A dog."}),
    "whose sentence1 is null": line("neutral", None),
    "whose sentence2 is a number": line("neutral", "A man.", 7),
    "with the label 'entails'": line("entails"),
    "with the label 'Neutral'": line("Neutral"),
    "whose label is null": line(None),
}


def refusal(read_snli, lines, what):
    """The message of the ValueError, or an error that says what happened instead."""
    try:
        found = read_snli(lines)
    except ValueError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what} must raise ValueError, but it raised {error}.") from None
    text = f"{what} must raise ValueError, but it raised nothing and returned {str(found)[:100]}."
    if isinstance(found, list) and len(found) == 1:
        raise Mistake("bad_lines_skipped", text)
    raise AssertionError(text)


@test_case(
    name="lines that are wrong",
    points=2,
    hidden=True,
    failure_message="No JSON, no object, a missing field, a sentence that is no text, an unknown label: each is a "
    "ValueError, not a shorter list.",
)
def test_refused(read_snli):
    check_pairs(
        as_tuples(read_snli([line("neutral")])), [("A man sleeps.", "Nobody sleeps.", 1)], what="read_snli"
    )
    for kind, bad in BAD.items():
        refusal(read_snli, [line("neutral"), bad], f"read_snli(lines) with a line {kind}")


@test_case(
    name="the error names the line",
    points=1,
    hidden=True,
    failure_message='Say "line 4" for the fourth line, whatever is wrong with it: the first is line 1, and lines that '
    "are skipped count.",
)
def test_line_number(read_snli):
    lines = [line("-"), "\n", line("neutral"), "{", line("neutral")]
    what = "read_snli(lines) whose fourth line is wrong, after one that is skipped and an empty one,"
    message = refusal(read_snli, lines, what)
    numbers = [int(number) for number in re.findall(r"\bline\W{0,2}(\d+)", message, re.IGNORECASE)]
    text = f'{what} raised ValueError("{message[:100]}"), but "line 4" was expected in it.'
    if numbers[:1] == [3]:
        raise Mistake("counted_from_zero", text)
    if numbers[:1] == [2]:
        raise Mistake("skipped_not_counted", text)
    assert 4 in numbers, text
    for kind, bad in BAD.items():
        what = f"read_snli(lines) whose second line is one {kind}"
        message = refusal(read_snli, [line("neutral"), bad], what)
        assert re.search(r"\bline\W{0,2}2\b", message, re.IGNORECASE), (
            f'{what} raised ValueError("{message[:100]}"), but "line 2" was expected in it.'
        )
