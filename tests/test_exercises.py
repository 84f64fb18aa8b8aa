"""The exercises that grade themselves: solutions, diagnoses, and their sandbox."""

import functools
import hashlib
import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pydata_sphinx_theme
import pytest
import sphinx_book_theme
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_site import BROWSER, ROOT, Handler, browser  # noqa: F401
from tools import load_script

from diffattn import ATTENTION_TYPES
from diffattn.scores import score

BOOK = ROOT / "book"
STORED = BOOK / "_extra" / "python"

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not BROWSER, reason="needs Chromium"),
]


# ---- A page of their own ------------------------------------------------------------


def styles():
    """The theme's own, so that colours are those of the book."""
    pydata = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme"
    yield pydata / "static" / "styles" / "pydata-sphinx-theme.css"
    book = Path(sphinx_book_theme.__file__).parent / "theme" / "sphinx_book_theme"
    yield book / "static" / "styles" / "sphinx-book-theme.css"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """All six on a page, in folders as the built book has them, opened as a file."""
    folder = tmp_path_factory.mktemp("exercises")
    shutil.copytree(BOOK / "_extra", folder, dirs_exist_ok=True)
    (folder / "_static").mkdir()
    for name in ("explorer.js", "explorer.css", "exercises.js", "exercises.css"):
        shutil.copy(BOOK / "_static" / name, folder / "_static" / name)
    links = [path.as_uri() for path in styles()]
    links += ["_static/explorer.css", "_static/exercises.css"]
    sheets = "".join(f'<link rel="stylesheet" href="{link}">' for link in links)
    parts = "".join(
        f'<section aria-label="{name}"><div class="explorer exercise-code" '
        f'data-score="{name}"><p>Without scripts.</p></div></section>'
        for name in ATTENTION_TYPES
    )
    (folder / "page.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>Exercises</title>{sheets}<body><main>'
        f'<h1>Exercises</h1>{parts}</main><script src="_static/explorer.js"></script>'
        '<script src="_static/exercises.js"></script>',
        encoding="utf-8",
    )
    return (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def page(browser, address):  # noqa: F811
    page = browser.new_page()
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: m.type == "error" and troubles.append(m.text))
    own = ("file:", "data:", "blob:", "about:")
    page.on("request", lambda r: r.url.startswith(own) or troubles.append(r.url))
    page.goto(address)
    yield page
    assert not troubles
    page.close()


def part(page, name):
    return page.locator(f"[data-score={name}]")


def verdict(page, name, code=None):
    """What the page says of the code, or of the code that is there already."""
    exercise = part(page, name)
    if code is not None:
        exercise.get_by_label("Your Python").fill(code)
    exercise.get_by_role("button", name="Run").click()
    return finished(exercise)


def finished(exercise):
    exercise.locator(
        ".exercise-verdict:is(.exercise-right, .exercise-wrong)"
    ).wait_for()
    return exercise.get_by_role("status").inner_text()


# ---- Right answers ------------------------------------------------------------------


@pytest.fixture(scope="module")
def solutions(page):
    return page.evaluate("window.diffattnExercises.SOLUTIONS")


@pytest.mark.parametrize("name", ATTENTION_TYPES)
def test_a_solution_is_that_of_the_package(solutions, name):
    space = {}
    exec(solutions[name], space)
    rng = np.random.default_rng(0)
    for queries, keys, dim in ((1, 1, 1), (4, 7, 3), (6, 2, 5)):
        q, k = rng.normal(size=(queries, dim)), rng.normal(size=(keys, dim))
        if name == "cosine_similarity" and queries > 1:
            q[1] = k[0] = 0
        expected = np.asarray(score(q[None, None], k[None, None], name))[0, 0]
        assert expected.dtype == "float64"
        found = np.array(space["score"](q.tolist(), k.tolist()))
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-12


@pytest.mark.parametrize("name", ATTENTION_TYPES)
def test_a_solution_is_right_in_the_page(page, solutions, name):
    pairs = 3 * 4 + 5 * 2
    count = {"cosine_similarity": pairs + 2 * 3, "differential": 3 * 4 * 2 + 5 * 2 * 3}
    assert verdict(page, name, solutions[name]) == (
        f"Right: all {count.get(name, pairs)} scores of random queries and keys agree."
    )


def test_a_solution_is_shown_after_a_first_attempt(page, solutions):
    page.reload()
    exercise = part(page, "l2_norm")
    show = exercise.get_by_role("button", name="Show a solution")
    assert show.count() == 0
    verdict(page, "l2_norm", "")
    show.click()
    shown = exercise.get_by_role("group", name="A solution")
    assert shown.inner_text() == solutions["l2_norm"]
    exercise.get_by_role("button", name="Hide the solution").click()
    assert not shown.is_visible()


# ---- Wrong answers ------------------------------------------------------------------

ZERO = "Right, except where a vector is zero: there is no angle, and the score is 0."
NEED = (
    "For 3 queries and 4 keys of 2 features, score has to return a list of 3 lists, "
    "with 4 numbers in each. "
)

# A mistake in each score: what stands for a query and a key, and how the page answers.
PAIR = """\
from math import sqrt
def dot(x, y):
    return sum(a * b for a, b in zip(x, y))
def size(x):
    return sqrt(dot(x, x))
def minus(x, y):
    return [a - b for a, b in zip(x, y)]
def score(q, k):
    return [[{} for y in k] for x in q]
"""
MISSING_ABS = "The absolute value is missing"
DISTANCES = "The minus sign is missing. These are the distances"
AFTER = "You subtract the product of the tokens after"
PAIRS = {
    "scaled_dot_product": {
        "dot(x, y)": "These are the dot products: the scale is missing.",
        "dot(x, y) / len(x)": "You divide by d. The scale is its square root.",
        "dot(x, y) * sqrt(len(x))": "You multiply by √d",
        "dot(x, y) / sqrt(len(q))": "You divide by the root of the number of queries.",
        "dot(x, y) / sqrt(len(k))": "You divide by the root of the number of keys.",
        "dot(x, y) / size(x) / size(y)": "These are the cosines.",
        "-dot(x, y) / sqrt(len(x))": "The sign is wrong",
        "3 * dot(x, y) / sqrt(len(x))": "Every score is 3.0000 times what it should",
        "dot(x, y) / sqrt(2)": "Right for some sizes, but not for 5 queries and 2 keys "
        "of 3 features: the score of query 0 and key 0 should be",
        "dot(x, y) + 1": "Not yet: the score of query 0 and key 0 should be",
        "0": "All scores are 0.",
        "float('nan')": "Some scores are not a number (nan).",
        "float('inf')": "Some scores are infinite.",
        "'one'": NEED + "Among its numbers is a str.",
        "[a * b for a, b in zip(x, y)]": "There is one number for each feature",
    },
    "cosine_similarity": {
        "dot(x, y)": "These are the dot products",
        "dot(x, y) / (size(x) or 1)": "You divide by the length of the query alone",
        "dot(x, y) / (size(y) or 1)": "You divide by the length of the key alone",
        "dot(x, y) / (dot(x, x) * dot(y, y) or 1)": "You divide by the squared lengths",
        "dot(x, y) / (size(x) + size(y))": "You divide by the sum of the two lengths",
        "1 - dot(x, y) / (size(x) * size(y) or 1)": "This is the cosine distance",
        "-dot(x, y) / (size(x) * size(y) or 1)": "The sign is wrong",
        "dot(x, y) / size(x) / size(y)": f"{ZERO} Line 9: ZeroDivisionError: divide by",
        "dot(x, y) / (size(x) * size(y)) if size(x) * size(y) else 1": ZERO,
        "dot(x, y) / (size(x) * size(y)) if size(x) * size(y) else float('nan')": ZERO,
    },
    "l1_norm": {
        "-sum(minus(x, y))": MISSING_ABS,
        "sum(minus(x, y))": MISSING_ABS,
        "-abs(sum(minus(x, y)))": "You take the absolute value of the sum",
        "-size(minus(x, y))": "These are the L2 distances",
        "-dot(minus(x, y), minus(x, y))": "You square the differences",
        "-sum(map(abs, minus(x, y))) / len(x)": "This is the mean over the features",
        "-max(map(abs, minus(x, y)))": "This is the largest difference alone",
        "sum(map(abs, minus(x, y)))": DISTANCES,
    },
    "l2_norm": {
        "-dot(minus(x, y), minus(x, y))": "The square root is missing: these are",
        "dot(minus(x, y), minus(x, y))": "The square root is missing, and the minus",
        "-dot(minus(x, y), minus(x, y)) / 2": "This is minus half the squared distance",
        "-sum(map(abs, minus(x, y)))": "These are the L1 distances",
        "-abs(size(x) - size(y))": "This is the difference of the two lengths",
        "-size(minus(x, y)) / sqrt(len(x))": "This is the root of the mean",
        "size(minus(x, y))": DISTANCES,
    },
}

# The differential scores: a and b are a feature of query and key, c and d those before,
# e and f those after.
STEP = """\
def at(x, n):
    return x[n] if 0 <= n < len(x) else [0.0] * len(x[0])
def step(*rows):
    return {reduce}([{change} for a, b, c, d, e, f in zip(*rows)])
def score(q, k):
    return [[step(q[i], k[j], {before}, at(q, i + 1), at(k, j + 1))
             for j in range(len(k))] for i in range(len(q))]
"""
ZEROS = "at(q, i - 1), at(k, j - 1)"
WRAPPED = "q[i - 1], k[j - 1]"
EDGE = "Only the first row or column is wrong."
STEPS = {
    ("a * b", ZEROS): "These are the products alone",
    ("a * b - c * d", WRAPPED): "The first token gets the last one as its predecessor",
    ("a * b + c * d", ZEROS): "You add the product of the tokens before",
    ("a * b - c * b", ZEROS): "Only the query steps back",
    ("a * b - a * d", ZEROS): "Only the key steps back",
    ("(a - c) * (b - d)", ZEROS): "This is the product of the two changes.",
    ("a * b - e * f", ZEROS): AFTER,
    ("c * (b - d)", ZEROS): "This is one half of the product rule: the change of the "
    "query times the key",
    ("(a - c) * b", ZEROS): "Only the query steps back",  # the same, multiplied out
    (
        "c * (b - d) + (a - c) * d",
        ZEROS,
    ): "Both halves of your product rule take the old",
    (
        "a * (b - d) + (a - c) * b",
        ZEROS,
    ): "Both halves of your product rule take the new",
    ("c * d - a * b", ZEROS): "The sign is wrong: the product now, minus",
    ("a * b - c * d", "at(q, i - 1), k[j - 1]"): EDGE,
    ("a * b - c * d", "q[i - 1], at(k, j - 1)"): EDGE,
    ("a * b - c * d if i and j else 0.0", ZEROS): "Line 4: NameError: name 'i' isn't",
}
WRAPPED_AFTER = STEP.replace(
    "at(q, i + 1), at(k, j + 1)", "q[(i + 1) % len(q)], k[(j + 1) % len(k)]"
)


def wrong_answers():
    for name, mistakes in PAIRS.items():
        for code, message in mistakes.items():
            yield name, PAIR.format(code), message
    for name, reduce in (("differentialSum", "sum"), ("differential", "list")):
        for (change, before), message in STEPS.items():
            code = STEP.format(reduce=reduce, change=change, before=before)
            yield name, code, message
        code = WRAPPED_AFTER.format(reduce=reduce, change="a*b - e*f", before=ZEROS)
        yield name, code, AFTER
    right = {"change": "a * b - c * d", "before": ZEROS}
    unsummed = STEP.format(reduce="list", **right)
    yield "differentialSum", unsummed, "There is one number for each feature: add them"
    summed = STEP.format(reduce="sum", **right)
    yield "differential", summed, "There is one number for each pair. Each pair needs"
    first = (
        "right = score\n"
        "def score(q, k):\n"
        "    table = right(q, k)\n"
        "    return [[[x[c] for x in row] for row in table] for c in range(len(q[0]))]"
    )
    yield "differential", unsummed + first, "The features come last"
    for name, code in (
        ("l1_norm", PAIR.format("-sum(map(abs, minus(x, y)))")),
        ("differential", unsummed),
    ):
        turned = "turned = score\ndef score(q, k):\n    return list(zip(*turned(q, k)))"
        yield name, code + turned, "Rows and columns are exchanged"


BROKEN = {
    "def score(q, k):\n    q": "score returned None: is there a return?",
    "def score(q, k):\n    return 1.5": NEED + "It returned one number.",
    "def score(q, k):\n    return (x for x in q)": NEED + "It returned a generator.",
    "def score(q, k):\n    return q": NEED + "What it returned has the shape 3 × 2.",
    "def score(q, k):\n    return [[1], [1, 2]]": NEED + "Its lists differ in length.",
    "def score(q, k):\n    return [[True]]": NEED + "Among its numbers is a bool.",
    "def score(q, k):\n    x = []\n    x.append(x)\n    return x": NEED
    + "Among its numbers is a list.",
    "": "NameError: there is no function score(q, k)",
    "score = 1": "NameError: there is no function score(q, k)",
    "def score(q, k)\n    return q": "Line 1: SyntaxError: invalid syntax",
    "def score(q, k):\n\n    return q[9]": "Line 3: IndexError: list index out",
    "def score(q):\n    return q": "TypeError: score() takes 1 positional",
    "import numpy as np": "Line 1: ImportError: no module named 'numpy' Here is plain "
    "Python, with lists and the module math.",
    "def score(q, k):\n    return score(q, k)": "Line 2: RuntimeError: maximum",
    "def score(q, k):\n    return [0] * 10**9": "Line 2: MemoryError: memory",
    "def score(q, k):\n    return [0.5] * 25_001": "score returned far too much",
    "raise SystemExit": "Line 1: SystemExit:",
}


@pytest.mark.parametrize("name", ATTENTION_TYPES)
def test_a_likely_mistake_is_named(page, name):
    for kind, code, message in wrong_answers():
        if kind == name:
            found = verdict(page, name, code)
            assert found.startswith(message), (code, found)


def test_every_mistake_that_the_page_knows_is_tried(page):
    known = page.evaluate(
        "Object.entries(window.diffattnExercises.MISTAKES)"
        ".map(([type, all]) => [type, all.map(([message]) => message)])"
    )
    tried = list(wrong_answers())
    for name, messages in known:
        for message in messages:
            starts = [m for kind, _, m in tried if kind == name]
            assert any(message.startswith(start) for start in starts), (name, message)


def test_broken_code_is_explained(page):
    for code, message in BROKEN.items():
        found = verdict(page, "l2_norm", code)
        assert found.startswith(message), (code, found)


# ---- The walls ----------------------------------------------------------------------


def test_an_endless_loop_ends_and_leaves_the_page_alive(page, solutions):
    exercise = part(page, "l1_norm")
    code = "print('begun')\nwhile True:\n    print('x' * 1000)"
    exercise.get_by_label("Your Python").fill(code)
    exercise.get_by_role("button", name="Run").click()
    page.wait_for_function("() => document.querySelector('iframe')")
    # Meanwhile the page answers, and another exercise runs.
    assert verdict(page, "l2_norm", solutions["l2_norm"]).startswith("Right")
    assert finished(exercise) == "Your code did not end within 5 seconds."
    assert page.locator("iframe").count() == 0
    page.wait_for_timeout(100)
    assert page.workers == []
    assert verdict(page, "l1_norm", solutions["l1_norm"]).startswith("Right")


def test_output_is_shown_as_text_and_cut(page, solutions):
    markup = "<img src=x onerror=\"document.title='hit'\"><script>1</script>"
    code = f"print({markup!r})\n{solutions['l1_norm']}"
    assert verdict(page, "l1_norm", code).startswith("Right")
    output = part(page, "l1_norm").get_by_role("group", name="What your code printed")
    assert output.inner_text().strip() == markup
    found = verdict(page, "l1_norm", f"raise ValueError({markup!r})")
    assert found == f"Line 1: ValueError: {markup}"
    assert page.locator("[data-score] :is(img, script)").count() == 0
    verdict(page, "l1_norm", f"for n in range(300):\n    print({markup!r})")
    text = output.inner_text()
    assert text.endswith("… and more.")
    assert 10_000 < len(text) < 10_100
    assert page.title() == "Exercises"


def test_a_pasted_page_is_text_too(page):
    verdict(page, "l1_norm", "</textarea><img src=x onerror=\"document.title='hit'\">")
    page.reload()
    page.wait_for_timeout(200)
    assert page.title() == "Exercises"
    assert page.locator("[data-score] img").count() == 0


# Ways from Python to the network, through the module that the harness hides. Each is a
# run of its own, since Python cannot catch an error of JavaScript's.
FOUND = """\
import sys
del sys.modules["js"]
import js
"""
WAYS = {
    "fetch": "js.fetch(url)",
    "request": "r = js.XMLHttpRequest.new()\nr.open('GET', url, False)\nr.send()",
    "socket": "js.WebSocket.new(url.replace('http', 'ws'))",
    "importScripts": "js.importScripts(url)",
    "events": "js.EventSource.new(url)",
    "eval": "js.eval('fetch(\"' + url + '\")')",
    "module": "js.Object.constructor('return import(\"' + url + '\")')()",
    "timer": "js.setTimeout('import(\"' + url + '\")', 0)",
}
WALLS = {
    "policy": ("http-equiv=", "data-none="),
    "names": ("for (const name of UNWANTED) define(name, undefined);", ""),
}


@pytest.fixture
def listener():
    """A server on this machine, and what it was asked for."""
    asked = set()

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.add(self.path[1:])
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Type", "text/javascript")
            self.end_headers()

        def log_message(self, *args):
            """Not into the report."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


# Time for a request to leave before the run ends.
WAIT = "import time\ntime.sleep(0.2)\n"
# What waits for its answer; the others may come too late.
SURE = {"request", "importScripts"}


@pytest.mark.parametrize(
    ("removed", "sure", "possible"),
    [
        ((), set(), set()),
        # The policy alone is enough; the names alone are for all but evaluated text.
        (("names",), set(), set()),
        (("policy",), set(), {"module", "timer"}),
        # Without either the ways lead somewhere: the test would see it.
        (("policy", "names"), SURE, set(WAYS)),
    ],
    ids=["both walls", "policy alone", "names alone", "no wall"],
)
def test_the_readers_code_reaches_no_network(
    browser,  # noqa: F811
    address,
    listener,
    removed,
    sure,
    possible,
):
    url, asked = listener
    page = browser.new_page()
    script = (BOOK / "_static" / "exercises.js").read_text(encoding="utf-8")
    for wall in removed:
        assert script.count(WALLS[wall][0]) == 1
        script = script.replace(*WALLS[wall])
    page.route("**/exercises.js", lambda r: r.fulfill(body=script))
    page.goto(address)
    for way, code in WAYS.items():
        verdict(page, "l1_norm", f"{FOUND}url = '{url}{way}'\n{code}\n{WAIT}")
    assert sure <= asked <= possible
    page.close()


@pytest.fixture
def served(browser, address):  # noqa: F811
    """The page from a server: as a file, no page has an origin."""
    folder = Path(urlsplit(address).path).parent
    handler = functools.partial(Handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        yield page
        page.close()
        server.shutdown()


def test_the_readers_code_sees_no_page(served):
    page = served
    hidden = "'NoneType' object has no attribute 'fetch'"
    code = "import js\njs.fetch('x')"
    assert verdict(page, "l1_norm", code) == f"Line 2: AttributeError: {hidden}"
    for name in ("document", "window", "parent", "localStorage"):
        found = verdict(page, "l1_norm", f"{FOUND}js.{name}")
        missing = f"module 'js' has no attribute '{name}'"
        assert found == f"Line 4: AttributeError: {missing}"
    # Its frame belongs to no site, so that nothing is stored or shared.
    verdict(page, "l1_norm", f"{FOUND}print(js.origin)")
    output = part(page, "l1_norm").get_by_role("group", name="What your code printed")
    assert output.inner_text().strip() == "null"


# ---- Too much -----------------------------------------------------------------------


def lives(page, solutions):
    """The page, with no frame of the past, answers as ever."""
    assert page.locator("iframe").count() == 0
    assert page.title() == "Exercises"
    assert verdict(page, "l2_norm", solutions["l2_norm"]).startswith("Right")


LONGEST = 20_000


def paste(page, area, text):
    """In the place of all that an editor has, as a reader does it."""
    page.evaluate(
        """text => document.addEventListener("copy", (event) => {
          event.clipboardData.setData("text/plain", text);
          event.preventDefault();
        }, { once: true })""",
        text,
    )
    area.focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    page.keyboard.press("Control+v")


@pytest.mark.parametrize("unit", ["x", "<b>\n", "\n", "(", "x = 1\n"])
def test_a_megabyte_is_cut_and_gets_an_answer(page, solutions, unit):
    area = part(page, "l1_norm").get_by_label("Your Python")
    paste(page, area, unit * (2**20 // len(unit)))
    assert len(area.input_value()) == LONGEST
    page.keyboard.press("Control+a")
    page.keyboard.press("Tab")  # there is no room to indent it
    assert len(area.input_value()) <= LONGEST
    found = verdict(page, "l1_norm")
    assert len(found) < 1100
    assert not found.startswith("Right")
    lives(page, solutions)


def test_many_lines_are_indented_at_once(page):
    """The browser's own command would take minutes for these."""
    area = part(page, "l1_norm").get_by_label("Your Python")
    paste(page, area, "\n" * 3000)
    page.keyboard.press("Control+a")
    start = time.monotonic()
    page.keyboard.press("Tab")
    assert area.input_value() == "    \n" * 3000 + "    "
    assert time.monotonic() - start < 20
    page.reload()  # and that is what the browser keeps
    assert area.input_value() == "    \n" * 3000 + "    "
    area.fill("")


def test_a_code_as_long_as_it_may_be_is_run(page, solutions):
    code = solutions["l1_norm"]
    assert verdict(page, "l1_norm", code + "#" * (LONGEST - len(code))) == (
        verdict(page, "l1_norm", code)
    )
    # What an earlier page has stored may be longer.
    page.evaluate(
        "localStorage.setItem('diffattn-exercise-l1_norm', '#'.repeat(2 ** 20))"
    )
    page.reload()
    area = part(page, "l1_norm").get_by_label("Your Python")
    assert area.input_value() == "#" * LONGEST
    area.fill(code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = [1]\nwhile True:\n    x += x", "Line 3: MemoryError: memory"),
        ("x = 'a'\nwhile True:\n    x += x", "Line 3: MemoryError: memory"),
        ("x = []\nwhile True:\n    x.append('a' * 100_000)", "Line 3: MemoryError"),
        ("def score(q, k):\n    return [[0.0] * 4] * 10**6", "score returned far too"),
        ("print('x' * 10**6)", "NameError: there is no function"),
        ("raise ValueError('x' * 10**6)", "Line 1: ValueError: xxx"),
        ("raise ValueError('x\\n' * 10**6)", "Line 1: x"),
    ],
    ids=["list", "text", "texts", "answer", "output", "error", "lines of an error"],
)
def test_a_code_that_builds_too_much_gets_an_answer(page, solutions, code, message):
    found = verdict(page, "l1_norm", code)
    # Or the time is over before the memory is: that depends on the machine.
    assert found.startswith((message, "Your code did not end")), found
    assert len(found) < 1100
    assert len(part(page, "l1_norm").inner_text()) < 15_000
    lives(page, solutions)


# ---- The editor ---------------------------------------------------------------------


def test_a_finger_runs_the_code(browser, address, solutions):  # noqa: F811
    context = browser.new_context(
        has_touch=True, viewport={"width": 390, "height": 800}
    )
    page = context.new_page()
    page.goto(address)
    exercise = part(page, "cosine_similarity")
    exercise.get_by_label("Your Python").tap()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(solutions["cosine_similarity"])
    exercise.get_by_role("button", name="Run").tap()
    assert finished(exercise).startswith("Right")
    exercise.get_by_role("button", name="Show a solution").tap()
    shown = exercise.get_by_role("group", name="A solution")
    shown.wait_for()
    assert shown.inner_text() == solutions["cosine_similarity"]
    exercise.get_by_role("button", name="Reset").tap()
    exercise.get_by_role("button", name="Run").tap()
    expect(exercise.get_by_role("status")).to_have_text("All scores are 0.")
    context.close()


def test_what_is_written_stays_until_it_is_reset(page):
    area = part(page, "differential").get_by_label("Your Python")
    start = "def score(q, k):\n"
    area.fill("# mine: <b>é</b>")
    page.reload()
    assert area.input_value() == "# mine: <b>é</b>"
    other = part(page, "differentialSum").get_by_label("Your Python")
    assert other.input_value() != "# mine: <b>é</b>"
    reset = part(page, "differential").get_by_role("button", name="Reset")
    reset.click()
    assert area.input_value().startswith(start)
    page.keyboard.press("Control+z")
    assert area.input_value() == "# mine: <b>é</b>"
    reset.click()
    page.reload()
    assert area.input_value().startswith(start)


def test_the_keyboard_writes_runs_and_leaves(page):
    exercise = part(page, "l1_norm")
    area = exercise.get_by_label("Your Python")
    area.focus()
    keys = page.keyboard
    keys.press("Control+a")
    keys.type("def score(q, k):\nreturn [\n[-sum(abs(a - b) for a, b in zip(x, y))\n")
    keys.type("for y in k] for x in q]")
    assert area.input_value().split("\n") == [
        "def score(q, k):",
        "    return [",
        "    [-sum(abs(a - b) for a, b in zip(x, y))",
        "    for y in k] for x in q]",
    ]
    keys.press("Tab")
    assert area.input_value().endswith("q]    ")
    keys.press("Shift+Tab")
    assert "\nfor y in k]" in area.input_value()
    keys.press("Control+z")
    assert "\n    for y in k]" in area.input_value()
    keys.press("Control+a")
    keys.press("Tab")
    assert area.input_value().startswith("    def score(q, k):\n        return")
    keys.press("Shift+Tab")
    keys.press("Control+Enter")
    assert finished(exercise).startswith("Right")
    keys.press("Escape")
    keys.press("Tab")
    focused = "document.activeElement.textContent"
    assert page.evaluate(focused) == "Run"
    keys.press("Enter")
    assert finished(exercise).startswith("Right")
    assert page.evaluate(focused) == "Run"
    keys.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == area.get_attribute("id")
    keys.press("Escape")
    keys.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") != area.get_attribute("id")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_exercise_is_accessible_and_fits_a_phone(
    browser,  # noqa: F811
    address,
    solutions,
    theme,
):
    page = browser.new_page()
    page.goto(address)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    long = solutions["differential"] + "# " + "x" * 500 + "\nprint('y' * 500)\n"
    assert verdict(page, "differential", long).startswith("Right")
    verdict(page, "l1_norm", "raise ValueError('z' * 500)")
    for name in ("differential", "l1_norm"):
        part(page, name).get_by_role("button", name="Show a solution").click()
    found = Axe().run(page).response["violations"]
    assert [rule["id"] for rule in found] == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    page.close()


# ---- What the book has --------------------------------------------------------------

CHAPTERS = {
    name: name.replace("differentialSum", "differential_sum")
    for name in ATTENTION_TYPES
}


@pytest.mark.parametrize("name", ATTENTION_TYPES)
def test_a_chapter_has_its_exercise_and_words_for_who_has_no_scripts(name):
    cells = json.loads((BOOK / f"{CHAPTERS[name]}.ipynb").read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    (text,) = [text for text in texts if "exercise-code" in text]
    assert f'<div class="explorer exercise-code" data-score="{name}">' in text
    assert "<p>This editor needs JavaScript." in text


def test_nothing_is_asked_of_any_server():
    text = (BOOK / "_static" / "exercises.js").read_text(encoding="utf-8")
    assert "://" not in text


def test_the_python_of_the_page_is_the_pinned_one():
    module = load_script(BOOK / "fetch_micropython.py")
    script = (STORED / "micropython.js").read_text(encoding="utf-8")
    files = module.unpack(script)
    found = {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}
    assert found == module.SHA256
    assert f"// MicroPython {module.VERSION} " in script
    assert len(script) < 400_000  # a reader loads it
    assert "MicroPython: the MIT License" in (STORED / "LICENSE.txt").read_text()
    with pytest.raises(ValueError, match=r"micropython\.wasm .* has SHA-256"):
        module.check("micropython.wasm", b"another")
