"""The built book in a real browser: what a reader meets on every page."""

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
HTML = ROOT / "book" / "_build" / "html"
TOC = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
CHAPTERS = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
PAGES = [TOC["root"], *CHAPTERS, "genindex", "py-modindex", "search"]
INSTALLED = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
BROWSER = os.environ.get("DIFFATTN_BROWSER") or next(filter(None, INSTALLED), None)

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(
        not BROWSER, reason="needs Chromium: install it, or name it in DIFFATTN_BROWSER"
    ),
]


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Not every request, into the report of the first test that fails."""


@pytest.fixture(scope="module")
def site():
    """The address of the book, served on this machine."""
    build = [sys.executable, "book/build.py"]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert not built.returncode, built.stdout[-2000:] + built.stderr[-2000:]
    handler = functools.partial(Handler, directory=HTML)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """Closed with this module: its event loop would disturb the chapters' kernels."""
    quiet = ["background-networking", "component-update", "gpu", "quic", "sync"]
    options = ["--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        browser = launch(executable_path=BROWSER, args=options)
        yield browser
        browser.close()


def watch(page, site):
    """A list that fills with what goes wrong while the page loads."""
    troubles = []

    def note(wrong, what):
        if wrong:
            troubles.append(what)

    own = (site, "data:", "blob:")
    page.on("console", lambda m: note(m.type == "error", f"console: {m.text}"))
    page.on("pageerror", lambda error: note(True, f"uncaught: {error}"))
    page.on("requestfailed", lambda r: note(True, f"failed: {r.url}"))
    page.on("response", lambda r: note(r.status >= 400, f"{r.status}: {r.url}"))
    page.on("request", lambda r: note(not r.url.startswith(own), f"leaves: {r.url}"))
    return troubles


@pytest.fixture(scope="module", params=PAGES)
def visit(request, browser, site):
    """A page, typeset and with all that it folds away unfolded, and its troubles.

    Loaded once for all its tests; a test that changes it changes it back.
    """
    page = browser.new_page(reduced_motion="reduce")
    troubles = watch(page, site)
    page.goto(f"{site}{request.param}.html", wait_until="networkidle")
    page.evaluate("window.MathJax?.startup?.promise")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.evaluate("document.querySelectorAll('.toggle-button').forEach(b => b.click())")
    page.wait_for_timeout(500)  # the theme measures what scrolls after 300 ms
    yield page, tuple(troubles)
    page.close()


def test_a_page_loads_in_silence_and_from_here_alone(visit):
    _, troubles = visit
    assert troubles == ()


def test_all_maths_is_typeset(visit):
    page, _ = visit
    raw = "e => !e.querySelector('mjx-container') && e.textContent"
    maths = "[...document.querySelectorAll('.math')]"
    assert page.evaluate(f"{maths}.map({raw}).filter(Boolean)") == []
    # What MathJax cannot read it shows as an error, an unknown command in red.
    wrong = page.locator("mjx-merror, mtext[mathcolor='red']")
    assert wrong.all_text_contents() == []
    text = page.evaluate(
        """() => {
            const copy = document.body.cloneNode(true);
            const unread = "script, style, pre, code, mjx-container";
            copy.querySelectorAll(unread).forEach(e => e.remove());
            return copy.textContent;
        }"""
    )
    assert re.findall(r"\\[(\[]|\$\$|\\begin\{", text) == []


def test_a_page_shows_nothing_that_cells_wrote_to_stderr(visit):
    page, _ = visit
    assert page.locator(".output.stderr").all_inner_texts() == []


def test_every_image_is_described(visit):
    page, _ = visit
    images = page.evaluate("[...document.images].map(i => [i.src, i.alt.trim()])")
    bad = re.compile(r"^$|\.(png|svg|jpe?g|gif)$|[0-9a-f]{16}", re.IGNORECASE)
    assert [image for image in images if bad.search(image[1])] == []


@functools.cache
def anchors(path):
    return set(re.findall(r'\bid="([^"]*)"', path.read_text()))


def test_every_link_within_the_book_leads_somewhere(visit, site):
    page, _ = visit
    linked = "[...document.querySelectorAll('[href], [src]')].map(e => e.href || e.src)"
    for link in {link for link in page.evaluate(linked) if link.startswith(site)}:
        name, _, anchor = link.removeprefix(site).partition("#")
        path = HTML / unquote(name.partition("?")[0] or "index.html")
        assert path.is_file(), link
        assert not anchor or unquote(anchor) in anchors(path), link


def test_headings_skip_no_level(visit):
    page, _ = visit
    headings = page.locator("h1, h2, h3, h4, h5, h6").filter(visible=True)
    levels = headings.evaluate_all("all => all.map(h => Number(h.tagName[1]))")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_a_phone_does_not_scroll_sideways(visit):
    page, _ = visit
    usual = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    wide, shown = page.evaluate(
        "(({scrollWidth, clientWidth}) => [scrollWidth, clientWidth])"
        "(document.scrollingElement)"
    )
    page.set_viewport_size(usual)
    assert wide <= shown


@pytest.mark.parametrize("width", [1280, 390])
def test_no_table_is_cut_off(visit, width):
    """On a phone, and only there, a wide one may scroll within the page."""
    page, _ = visit
    usual = page.viewport_size
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(500)  # the theme measures what scrolls after 300 ms
    hidden = page.evaluate(
        """() => [...document.querySelectorAll("table")].flatMap(table => {
            const edge = table.getBoundingClientRect().right;
            const boxes = [];
            for (let e = table.parentElement; e; e = e.parentElement)
                if (edge > e.getBoundingClientRect().right + 1) boxes.push(e);
            const scrolls = boxes.some(
                e => getComputedStyle(e).overflowX === "auto" && e.tabIndex === 0);
            return boxes.length ? [[table.innerText.slice(0, 60), scrolls]] : [];
        })"""
    )
    page.set_viewport_size(usual)
    if width == 1280:
        assert hidden == []
    assert [text for text, scrolls in hidden if not scrolls] == []


def test_what_the_header_offers_is_of_use(visit, tmp_path):
    """A chapter can be downloaded and run; a source that is no notebook is not
    offered."""
    page, _ = visit
    menu = page.get_by_role("button", name="Download this page").filter(visible=True)
    if menu.count() == 0:  # the index and the search have none
        return
    menu.click()
    links = page.locator(".bd-header-article a").filter(visible=True)
    offered = links.evaluate_all("all => all.map(a => a.pathname.split('/').pop())")
    chapter = Path(page.url).stem
    is_notebook = (ROOT / "book" / f"{chapter}.ipynb").exists()
    assert offered == ([f"{chapter}.ipynb"] if is_notebook else [])
    if is_notebook:
        with page.expect_download() as download:
            links.click()
        download.value.save_as(tmp_path / "chapter.ipynb")
        nbformat.validate(nbformat.read(tmp_path / "chapter.ipynb", as_version=4))
    page.keyboard.press("Escape")


# Not ours to mend: docutils makes a list of doc-biblioentry, as that role's first
# version asked for and axe no longer takes; Sphinx makes a list without terms of the
# arguments in a signature of several lines.
EXCUSED = {"aria-required-children": ".citation-list", "definition-list": "dt.sig > dl"}


def excused(page, rule, node):
    (target,) = node["target"]
    matches = f"e => e.matches({EXCUSED.get(rule['id'])!r})"
    return rule["id"] in EXCUSED and page.locator(target).evaluate(matches)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_page_is_accessible(visit, mode):
    page, _ = visit
    options = {"resultTypes": ["violations"]}
    if mode == "dark":  # which changes colors alone
        options["runOnly"] = ["color-contrast", "link-in-text-block"]
    page.emulate_media(color_scheme=mode)
    page.wait_for_function(f"document.documentElement.dataset.theme === '{mode}'")
    found = Axe().run(page, options=options).response["violations"]
    grave = [
        f"{rule['id']}: {node['html']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not excused(page, rule, node)
    ]
    assert grave == []


def test_the_site_begins_with_the_first_page(browser, site):
    page = browser.new_page()
    page.goto(site)
    page.wait_for_url(lambda url: url != site)
    first = page.url
    page.close()
    assert first == f"{site}{TOC['root']}.html"


def test_the_search_finds_a_chapter_by_its_score(browser, site):
    page = browser.new_page()
    page.goto(f"{site}search.html")
    page.get_by_role("searchbox").filter(visible=True).first.fill("differentialSum")
    page.keyboard.press("Enter")
    page.get_by_text("Search finished").wait_for()
    found = page.locator("#search-results li a").evaluate_all(
        "links => links.map(a => a.pathname)"
    )
    page.close()
    assert "/differential_sum.html" in found
