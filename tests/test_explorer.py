"""The explorer: its arithmetic against the package, and its parts in a browser."""

import base64
import json
import math

import numpy as np
import pytest
from keras import ops
from test_site import BROWSER, ROOT, browser  # noqa: F401

from diffattn import ATTENTION_TYPES, Config, attend, load_sample, make_vectorizer
from diffattn.data.recall import load_recall

STATIC = ROOT / "book" / "_static"
PARTS = ("vectors", "sentence", "step", "recall")

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not BROWSER, reason="needs Chromium"),
]


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):  # noqa: F811
    """All parts on a page of their own, opened as a file."""
    parts = "".join(
        f'<section><div class="explorer" data-part="{part}"></div></section>'
        for part in PARTS
    )
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Explorer</title>'
        f'<link rel="stylesheet" href="{(STATIC / "explorer.css").as_uri()}">'
        f'<body>{parts}<script src="{(STATIC / "classifiers.js").as_uri()}"></script>'
        f'<script src="{(STATIC / "explorer.js").as_uri()}"></script>',
        encoding="utf-8",
    )
    page = browser.new_page(accept_downloads=True)
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: m.type == "error" and troubles.append(m.text))
    page.goto(path.as_uri())
    yield page
    assert not troubles
    page.close()


@pytest.fixture
def fresh(page):
    page.reload()
    return page


def weights_in_page(page, attention_type, q, k, **options):
    code = "a => window.diffattn.Attention.weights(...a)"
    return np.array(
        page.evaluate(code, [attention_type, q.tolist(), k.tolist(), options])
    )


@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"scale": 2.5}], ids=str)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_six_are_those_of_the_package(page, attention_type, options):
    rng = np.random.default_rng(0)
    for tokens, dim in ((1, 1), (5, 3), (9, 4)):
        q, k = rng.normal(size=(2, tokens, dim))
        found = weights_in_page(page, attention_type, q, k, **options)
        x = q[None, None], k[None, None]
        _, weights = attend(*x, x[1], attention_type, **options)
        expected = ops.convert_to_numpy(weights)[0, 0]
        # One table for each feature, or one for all.
        tables = np.moveaxis(expected, 2, 0) if expected.ndim == 3 else expected[None]
        assert np.abs(found - tables).max() < 1e-6


@pytest.mark.parametrize("coefficient", [-1.5, 0, 1])
@pytest.mark.parametrize("lag", [1, 2, 7])
@pytest.mark.parametrize("attention_type", ["differentialSum", "differential"])
def test_the_family_is_that_of_the_package(page, attention_type, lag, coefficient):
    q, k = np.random.default_rng(1).normal(size=(2, 6, 3))
    found = weights_in_page(
        page, attention_type, q, k, lag=lag, coefficient=coefficient
    )
    kind = f"{attention_type}(lag={lag}, coefficient={coefficient})"
    _, weights = attend(q[None, None], k[None, None], k[None, None], kind)
    expected = ops.convert_to_numpy(weights)[0, 0]
    tables = np.moveaxis(expected, 2, 0) if expected.ndim == 3 else expected[None]
    assert np.abs(found - tables).max() < 1e-6


def test_recall_looks_where_one_layer_of_the_package_looks(page):
    data = load_recall(pairs=5, train_sequences=5, test_sequences=5)
    for text in data.test.texts:
        words = text.split(" ")
        names = list(dict.fromkeys(words))
        x = np.eye(len(names))[[names.index(word) for word in words]][None, None]
        _, weights = attend(x, -8 * x, x, "differentialSum", scale=1.0)
        found = page.evaluate(
            "words => window.diffattn.recallWeights(words, 'differentialSum', 8, -1)",
            words,
        )
        assert np.abs(ops.convert_to_numpy(weights)[0, 0, -1] - found).max() < 1e-6


@pytest.mark.parametrize(
    ("button", "blind"),
    [
        ("Shift the keys", {"scaled_dot_product"}),
        ("Shift both", {"l1_norm", "l2_norm"}),
        (
            "Rotate both",
            {"scaled_dot_product", "cosine_similarity", "l2_norm", "differentialSum"},
        ),
        ("Stretch some", {"cosine_similarity"}),
        (
            "Shuffle the tokens",
            {"scaled_dot_product", "cosine_similarity", "l1_norm", "l2_norm"},
        ),
    ],
)
def test_each_button_shows_who_is_blind_to_it(fresh, button, blind):
    """The table of the specification."""
    fresh.get_by_role("button", name=button).click()
    rows = fresh.locator("[data-part=vectors] .explorer-row")
    notices = {
        row.get_attribute("data-type"): row.locator(".explorer-notice").inner_text()
        for row in rows.all()
    }
    assert {t for t, text in notices.items() if text == "does not notice"} == blind
    assert sorted(notices) == sorted(ATTENTION_TYPES)


def labels(page):
    return [
        svg.get_attribute("aria-label")
        for svg in page.locator("[data-part=vectors] .explorer-row svg").all()
    ]


def test_a_vector_follows_the_keyboard_and_the_mouse(fresh):
    before = labels(fresh)
    point = fresh.get_by_role("button", name="query 1 at")
    assert point.get_attribute("aria-label") == "query 1 at 0.90, 0.40"
    point.focus()
    fresh.keyboard.press("ArrowUp")
    fresh.keyboard.press("ArrowLeft")
    assert point.get_attribute("aria-label") == "query 1 at 0.80, 0.50"
    after = labels(fresh)
    assert all(one != other for one, other in zip(before, after, strict=True))
    box = fresh.get_by_role("button", name="key 2 at").locator("rect").bounding_box()
    fresh.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    fresh.mouse.down()
    fresh.mouse.move(box["x"] + 40, box["y"] + 30, steps=4)
    fresh.mouse.up()
    moved = fresh.get_by_role("button", name="key 2 at").get_attribute("aria-label")
    assert moved != "key 2 at 0.30, 1.30"
    assert labels(fresh) != after


def test_a_vector_follows_a_finger(browser, page):  # noqa: F811
    context = browser.new_context(
        has_touch=True, viewport={"width": 390, "height": 800}
    )
    phone = context.new_page()
    phone.goto(page.url)
    point = phone.get_by_role("button", name="query 3 at")
    box = point.locator("circle").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = context.new_cdp_session(phone)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 30, "y": y - 20}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert point.get_attribute("aria-label") != "query 3 at −1.20, −0.30"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_without_a_past_the_last_two_do_not_see_order(fresh):
    fresh.get_by_label("λ of the last two").fill("0")
    fresh.get_by_role("button", name="Shuffle the tokens").click()
    part = fresh.locator("[data-part=vectors]")
    for notice in part.locator(".explorer-notice").all_inner_texts():
        assert notice == "does not notice"


def test_the_step_says_what_is_subtracted(fresh):
    cell = fresh.get_by_role("button", name="good with good: 2")
    cell.click()
    told = fresh.locator("[data-part=step] .explorer-told")
    # 0·0 + 2·1, less 1·2 + 0·0.
    assert told.inner_text().endswith("the score is 0.00.")
    fresh.keyboard.press("ArrowRight")
    assert "“good” with “but”: 4" in told.inner_text()
    fresh.keyboard.press("ArrowUp")
    assert "nothing came before" in told.inner_text()


def test_one_layer_looks_up_the_colour_and_blind_scores_do_not(fresh):
    part = fresh.locator("[data-part=recall]")
    told = part.locator(".explorer-told")
    for animal in ("cat", "fox"):
        part.get_by_role("button", name=animal).click()
        assert told.inner_text().endswith("one layer has looked it up.")
        assert part.get_by_role("button", name=animal).get_attribute("aria-pressed")
    part.get_by_role("button", name="Deal the values anew").click()
    assert told.inner_text().endswith("one layer has looked it up.")
    for kind in ("scaled_dot_product", "l2_norm"):
        part.get_by_label("Score").select_option(kind)
        assert told.inner_text().endswith("it does not know.")


def stored():
    text = (STATIC / "classifiers.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.diffattnClassifiers = ").rstrip(";\n"))


def arrays_of(packed, words):
    """The weights of a stored classifier, in float64."""
    numbers = np.frombuffer(base64.b64decode(packed["weights"]), "<f2").astype(float)
    inner, outer = packed["features"]
    shapes = [(words, inner), *[(inner, outer), (outer,)] * 3]
    shapes += [(outer, outer), (outer,), (outer, 1), (1,)]
    sizes = np.cumsum([math.prod(shape) for shape in shapes])
    assert sizes[-1] == len(numbers)
    parts = np.split(numbers, sizes[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_classifiers_answer_as_the_package_does(page, attention_type):
    content = stored()
    packed = content["classifiers"][attention_type]
    words = len(content["vocabulary"])
    embedding, *kernels, last, last_bias = arrays_of(packed, words)
    rng = np.random.default_rng(0)
    for count in (1, 7, 20):
        tokens = rng.integers(1, words, count)
        x = embedding[tokens]
        q, k, v = (
            (x @ kernels[n] + kernels[n + 1])
            .reshape(1, count, packed["heads"], -1)
            .swapaxes(1, 2)
            for n in (0, 2, 4)
        )
        output, _ = attend(q, k, v, attention_type)
        joined = ops.convert_to_numpy(output).swapaxes(1, 2).reshape(count, -1)
        logit = (joined @ kernels[6] + kernels[7]).mean(axis=0) @ last + last_bias
        answer = page.evaluate(
            """([type, tokens]) => {
              const { vocabulary, classifiers } = window.diffattnClassifiers;
              const { unpackClassifier, classify } = window.diffattn;
              const model = unpackClassifier(classifiers[type], vocabulary.length);
              return classify(type, model, tokens).probability;
            }""",
            [attention_type, tokens.tolist()],
        )
        assert abs(answer - 1 / (1 + np.exp(-logit.item()))) < 1e-6


def test_the_classifiers_know_the_words_of_the_reviews():
    texts = load_sample().train.texts
    vectorizer = make_vectorizer(texts, Config().vocabulary_size, 32)
    assert stored()["vocabulary"] == [str(w) for w in vectorizer.get_vocabulary()]


def answers_in(part):
    """What each row of the part says: its percentage and its note."""
    return {
        row.get_attribute("data-type"): (
            row.locator("svg").get_attribute("aria-label").split(": ")[1],
            row.locator(".explorer-notice").inner_text(),
        )
        for row in part.locator(".explorer-row").all()
    }


BLIND = ATTENTION_TYPES[:4]


def test_shuffled_words_move_the_two_that_see_order_alone(fresh):
    part = fresh.locator("[data-part=sentence]")
    words = part.locator(".explorer-chip")
    before = answers_in(part)
    assert list(before) == list(ATTENTION_TYPES)
    place = words.all_inner_texts().index("not")
    words.nth(place).focus()
    for _ in range(3):  # "not good but fun" becomes "good but fun not"
        fresh.keyboard.press("ArrowRight")
    after = answers_in(part)
    for name in ATTENTION_TYPES:
        assert (after[name] == (before[name][0], "did not move")) == (name in BLIND)
    assert words.all_inner_texts()[-1] == "not"
    assert part.get_by_label("Your sentence").input_value().endswith("fun not")
    told = part.locator(".explorer-told").inner_text()
    assert told == f"{', '.join(BLIND)} did not move: to them it is the same text."


def test_a_word_is_dragged_to_another_place(fresh):
    words = fresh.locator("[data-part=sentence] .explorer-chip")
    texts = words.all_inner_texts()
    words.nth(2).scroll_into_view_if_needed()  # the mouse reaches only what is seen
    start, goal = words.nth(0).bounding_box(), words.nth(2).bounding_box()
    fresh.mouse.move(start["x"] + 10, start["y"] + 10)
    fresh.mouse.down()
    fresh.mouse.move(goal["x"] + 10, goal["y"] + 10, steps=6)
    fresh.mouse.up()
    moved = words.all_inner_texts()
    assert moved != texts
    assert sorted(moved) == sorted(texts)
    assert moved[2] == texts[0]


def test_a_sentence_of_ones_own_is_answered(fresh):
    part = fresh.locator("[data-part=sentence]")
    part.get_by_label("Your sentence").fill("Not fun, but <b>GOOD</b>! xyzzy")
    chips = part.locator(".explorer-chip")
    assert chips.all_inner_texts() == ["not", "fun", "but", "bgoodb", "xyzzy"]
    assert part.locator(".explorer-unknown").all_inner_texts() == ["bgoodb", "xyzzy"]
    part.get_by_label("Your sentence").fill("")
    assert "Type a few words." in part.inner_text()


@pytest.mark.parametrize("part", PARTS)
def test_a_picture_is_saved_as_a_file_of_its_own(
    fresh,
    browser,  # noqa: F811
    part,
    tmp_path,
):
    with fresh.expect_download() as download:
        fresh.locator(f"[data-part={part}]").get_by_role(
            "button", name="Save as SVG"
        ).click()
    path = tmp_path / "picture.svg"
    download.value.save_as(path)
    assert download.value.suggested_filename == f"{part}.svg"
    alone = browser.new_page()
    alone.goto(path.as_uri())
    assert alone.evaluate("document.documentElement.nodeName") == "svg"
    assert alone.evaluate("document.documentElement.children.length") > 1
    alone.close()


def test_the_page_has_every_part_and_words_for_who_has_no_scripts():
    text = (ROOT / "book" / "explorer.md").read_text(encoding="utf-8")
    for part in PARTS:
        assert f'data-part="{part}"><p>This part needs JavaScript.' in text


def test_nothing_is_asked_of_any_server():
    text = (STATIC / "explorer.js").read_text(encoding="utf-8")
    addresses = [word for word in json.dumps(text).split('\\"') if "://" in word]
    assert addresses == ["http://www.w3.org/2000/svg"]  # a name, not an address
