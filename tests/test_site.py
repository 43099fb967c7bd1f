"""The static site: what it says, that it opens in a browser from disk, and that no student's text is more than text."""

from __future__ import annotations

import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from autograder.assignment import load
from autograder.diagnosis import Diagnosis
from autograder.grading import NOT_IMPLEMENTED, QuestionResult, Result, broken, unreadable
from autograder.report import manual, site
from autograder.report import statistics as of
from autograder.report.manual import ManualError, Written
from autograder.report.prose import to_html
from autograder.suite import CaseResult, Outcome

MINI = load("mini", Path(__file__).parent / "data" / "sample")
HOSTILE = "<img src=x onerror=alert(1)>&\"'"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def question(name: str, points: float, score: float, text: str = "", diagnosis: Diagnosis | None = None):
    passed, failed = (
        CaseResult("shape", False, points / 4, Outcome.PASSED),
        CaseResult(
            f"values of {name}", True, 3 * points / 4, Outcome.FAILED, text, "Look again.", "detail", "wrong"
        ),
    )
    if score == points:
        failed.outcome, failed.text, failed.cause = Outcome.PASSED, "", ""
    return QuestionResult(name, f"Title of {name}", score, points, [passed, failed], diagnosis=diagnosis)


def result(name: str, first: float = 4, second: float = 4, text: str = "Expected 1, but found 2.") -> Result:
    mistake = Diagnosis(
        "no_scale", "Your `softmax` behaves exactly like one without a scale.", "Mind the scale."
    )
    return Result(
        name, possible=8.0,
        questions=[question("q1", 4, first, text, mistake if first < 4 else None), question("q2", 4, second, text)],
    )  # fmt: skip


@pytest.fixture
def group():
    """A small class: right, wrong, hostile, unread, undecided."""
    results = [
        result("ada.py"),
        result("bo.py", 1),
        result("cy.py", 1, 1),
        result(f"{HOSTILE}.py", 1, 1, HOSTILE),
    ]
    results[0].written = {"w1": f"Since $e^{{x+c}} = e^c e^x$. {HOSTILE}"}
    results[1].message = HOSTILE
    results[2].traces = [f"uses ctypes: import ctypes  # {HOSTILE}"]
    results[3].usage.output = HOSTILE
    results += [
        unreadable("dee.docx", 8.0, f"Expected a notebook. {HOSTILE}"),
        broken("eve.py", 8.0, ValueError(HOSTILE)),
    ]
    return site.Class(MINI, results, {"ada.py": f"Ada {HOSTILE}"}, {"ada.py": Written({"w1": 1.5}, HOSTILE)},
                      [("bo.py", 8.0, 5.0), ("cy.py", None, 2.0)])  # fmt: skip


def text_of(path: Path) -> str:
    return unescape(path.read_text(encoding="utf-8"))


def test_every_submission_has_a_page_and_the_class_links_to_it(group, tmp_path):
    """Names that are no file names or no URLs included."""
    first = site.write(tmp_path, group)
    page = first.read_text(encoding="utf-8")
    for one in group.results:
        link = site.page(one.submission)
        assert f'href="{link}"' in page
        assert (first.parent / unquote(link)).exists()


def test_what_a_student_reads(group, tmp_path):
    """Points, the named mistake with its hint, each case; nothing for staff."""
    site.write(tmp_path, group)
    page = text_of(tmp_path / "report" / "students" / "bo.py.html")
    assert "<strong>5</strong> of 10 points" in page
    assert "w1 not graded yet" in page
    for wanted in (
        "one without a scale",
        "Hint: Mind the scale.",
        "values of q1",
        "Expected 1, but found 2.",
    ):
        assert wanted in page
    assert "detail" not in page
    assert "Written by hand" not in page
    ada = text_of(tmp_path / "report" / "students" / "ada.py.html")
    assert "<strong>9.5</strong> of 10 points" in ada


def test_a_question_that_is_not_implemented_says_so_once(tmp_path):
    """Its cases would all say the same."""
    one = result("a.py", 0, 4)
    one.questions[0].note = NOT_IMPLEMENTED
    site.write(tmp_path, site.Class(MINI, [one]))
    page = text_of(tmp_path / "report" / "students" / "a.py.html")
    assert page.count(NOT_IMPLEMENTED) == 1
    assert "values of q1" not in page


def test_what_the_class_page_says(group, tmp_path):
    """Those who need a person first; mistakes ranked, with who made them; what changed; the numbers."""
    page = text_of(site.write(tmp_path, group))
    order = [
        "For a person to look at",
        "Since the last grading",
        "Scores",
        "Questions",
        "Mistakes that were named",
    ]
    assert [page.index(f"<h2>{heading}</h2>") for heading in order] == sorted(
        page.index(f"<h2>{heading}</h2>") for heading in order
    )
    assert "<strong>3 of 6</strong> · q1" in page
    assert "-3" in page
    assert "uses ctypes: import ctypes" in page
    assert 'role="img" aria-label="Histogram of 6 scores' in page


def test_no_text_of_a_student_is_markup(group, tmp_path):
    """In names, messages, exception texts, written answers, comments."""
    first = site.write(tmp_path, group)
    pages = list(first.parent.rglob("*.html"))
    assert len(pages) == 8
    for path in pages:
        assert "<img src=x" not in path.read_text(encoding="utf-8"), path.name


def test_the_site_is_replaced_whole(group, tmp_path):
    """A second report holds nothing of the first."""
    site.write(tmp_path, group)
    site.write(tmp_path, site.Class(MINI, group.results[:1]))
    assert [path.name for path in (tmp_path / "report" / "students").iterdir()] == ["ada.py.html"]
    assert not list(tmp_path.glob(".report*"))


def test_an_empty_class_has_a_page(tmp_path):
    """Nothing to divide by."""
    assert "0 submissions" in text_of(site.write(tmp_path, site.Class(MINI, [])))


# ------------------------------------------------------------------------------------------------------- statistics


def test_statistics_of_questions_and_cases():
    """Shares, means, and item-rest correlation, worked out by hand."""
    results = [result("a", 4, 4), result("b", 4, 4), result("c", 1, 4), result("d", 1, 1), result("e", 1, 1)]
    first, second = of.of_questions(MINI, results)
    assert (first.right, first.mean) == (0.4, (1 + 1 + 0.25 * 3) / 5)
    assert first.discrimination == pytest.approx(
        2 / 3
    )  # points (4 4 1 1 1) against (4 4 4 1 1): phi of a 2 x 2 table
    assert second.right == 0.6
    hardest = of.of_cases(results)[0]
    assert (hardest.name, hardest.passed, hardest.split) == ("values of q1", 0.4, pytest.approx(0.96))
    assert of.of_questions(MINI, results[:4])[0].discrimination is None


def test_findings_are_ranked():
    """The most frequent first, with who."""
    found = of.misconceptions([result("a", 1), result("b", 1), result("c")])
    assert [(finding.question, finding.key, finding.who) for finding in found] == [
        ("q1", "no_scale", ("a", "b"))
    ]


# --------------------------------------------------------------------------------------------------- written answers


def test_the_template_is_read_back(tmp_path):
    """As it was made it gives nobody anything; filled in, by a spreadsheet with semicolons too, it counts."""
    names = ["ada.py", "=cmd.py"]
    (tmp_path / "written.csv").write_text(manual.template(MINI, names), encoding="utf-8")
    assert manual.read(tmp_path, MINI, names) == {}
    filled = "\ufeffsubmission;w1;comment\nada.py;1,5;Well argued\n'=cmd.py;;\n"
    (tmp_path / "written.csv").write_text(filled, encoding="utf-8")
    assert manual.read(tmp_path, MINI, names) == {"ada.py": Written({"w1": 1.5}, "Well argued")}


def test_toml_is_an_alternative(tmp_path):
    """For those who like it better; both together are refused once both hold something."""
    (tmp_path / "written.toml").write_text('["ada.py"]\nw1 = 2\ncomment = "yes"\n', encoding="utf-8")
    (tmp_path / "written.csv").write_text(manual.template(MINI, ["ada.py"]), encoding="utf-8")
    assert manual.read(tmp_path, MINI, ["ada.py"])["ada.py"].total == 2
    (tmp_path / "written.csv").write_text("submission,w1\nada.py,1\n", encoding="utf-8")
    with pytest.raises(ManualError, match="keep one of them"):
        manual.read(tmp_path, MINI, ["ada.py"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ada.py,3", r"line 2: w1 is '3', but must be a number from 0 to 2"),
        ("ada.py,-1", "must be a number"),
        ("ada.py,nan", "must be a number"),
        ("ada.py,one", "must be a number"),
        ("bob.py,1", "no submission is called 'bob.py'"),
        ("ada.py,1\nada.py,2", "line 3: 'ada.py' is there twice"),
        ("ada.py,1,2,3", "more cells"),
    ],
)
def test_scores_that_cannot_be(tmp_path, rows, message):
    """Each is named with its line, and nothing is taken over."""
    (tmp_path / "written.csv").write_text(f"submission,w1\n{rows}\n", encoding="utf-8")
    with pytest.raises(ManualError, match=message):
        manual.read(tmp_path, MINI, ["ada.py"])


def test_an_unknown_question_is_named(tmp_path):
    """With those that there are."""
    (tmp_path / "written.csv").write_text("submission,w9\nada.py,1\n", encoding="utf-8")
    with pytest.raises(ManualError, match="no written question 'w9'; there are w1"):
        manual.read(tmp_path, MINI, ["ada.py"])


def test_formulas_are_drawn_and_nothing_else_runs():
    """LaTeX becomes MathML; scripts, pictures and javascript links do not get through."""
    html = to_html(r"$\frac{1}{2}$ and $$\sum_i x_i$$")
    assert "<mfrac>" in html
    assert 'display="block"' in html
    for text in (
        "<script>x</script>",
        "![a](http://e/x.png)",
        "[a](javascript:x)",
        r"$\href{javascript:x}{y}$",
    ):
        html = to_html(text)
        assert "<script" not in html
        assert "<img" not in html
        assert 'href="javascript' not in html
    assert "<code>" in to_html("$" + "x" * 6000 + "$")


# ------------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    """Chromium, where there is one: browsers are no Python packages, so `make install` cannot bring it."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, group, tmp_path):
    """The class page in a browser; errors and requests to elsewhere are collected."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else troubles.append(r.url))
    page.goto(site.write(tmp_path, group).as_uri())
    yield page
    page.close()
    assert troubles == []


@pytest.mark.slow
def test_sorting_and_searching_by_keyboard(opened):
    """A heading sorts, again the other way round; / begins a search; Escape ends it."""
    names = lambda: opened.locator("#submissions tbody tr:visible th").all_inner_texts()  # noqa: E731
    score = opened.locator("#submissions thead button", has_text="score")
    score.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("#submissions th[aria-sort=ascending]").inner_text().startswith("score")
    assert names()[-1].startswith("Ada")
    opened.keyboard.press("Enter")
    assert names()[0].startswith("Ada")
    opened.keyboard.press("/")
    opened.keyboard.type("no scale bo")
    assert names() == ["bo.py"]
    assert opened.locator("#shown").inner_text() == "1 shown"
    opened.keyboard.press("Escape")
    assert len(names()) == 6


@pytest.mark.slow
def test_links_lead_somewhere(opened):
    """Each link of the class page, and hostile names in the pages behind it."""
    links = {link.get_attribute("href") for link in opened.locator("a").all()}
    start = Path(unquote(opened.url.removeprefix("file://")))
    for link in links:
        path, _, anchor = link.partition("#")
        assert (start.parent / unquote(path)).exists()
        assert not anchor or opened.locator(f"[id={anchor}]").count() == 1
    opened.locator("#submissions a", has_text="onerror").first.click()
    assert opened.locator("h1").inner_text() == f"{HOSTILE}.py"
    assert HOSTILE in opened.locator(".cases pre").first.inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "students/bo.py.html", "written.html"])
def test_no_serious_accessibility_violation(opened, tmp_path, name, width, scheme):
    """By axe-core, in both colour schemes, on a desk and on a phone, where nothing reaches beyond the screen."""
    from axe_playwright_python.sync_playwright import Axe

    opened.set_viewport_size({"width": width, "height": 900})
    opened.emulate_media(color_scheme=scheme)
    opened.goto((tmp_path / "report" / name).as_uri())
    found = Axe().run(opened).response["violations"]
    serious = [
        (v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
