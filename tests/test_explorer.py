"""The explorer: its arithmetic against the package, and its parts in a browser."""

import base64
import json
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from keras import ops
from playwright.sync_api import expect
from test_site import BROWSER, ROOT, browser  # noqa: F401

from diffattn import ATTENTION_TYPES, Config, attend, load_sample, make_vectorizer
from diffattn.data.recall import load_recall

STATIC = ROOT / "book" / "_static"
PARTS = ("vectors", "sentence", "step", "recall")

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not BROWSER, reason="needs Chromium"),
]


def watch(page):
    """A list that fills with the errors of the page."""
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: m.type == "error" and troubles.append(m.text))
    return troubles


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
    troubles = watch(page)
    page.goto(path.as_uri())
    yield page
    assert not troubles
    page.close()


@pytest.fixture
def fresh(page):
    page.reload()
    return page


@pytest.fixture
def phone(browser, page):  # noqa: F811
    """The same page, narrow, on a device that is touched.

    A tap is answered later than a click, since the browser first makes sure that it is
    one: what it does is waited for.
    """
    context = browser.new_context(
        has_touch=True, viewport={"width": 390, "height": 800}
    )
    phone = context.new_page()
    troubles = watch(phone)
    phone.goto(page.url)
    yield phone
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert not troubles
    context.close()


@pytest.fixture(params=[1280, 716, 390])
def sized(request, browser, page):  # noqa: F811
    """The same page, as wide as a screen, as a chapter's text (700) and as a phone."""
    sized = browser.new_page(viewport={"width": request.param, "height": 900})
    troubles = watch(sized)
    sized.goto(page.url)
    yield sized
    assert not troubles
    sized.close()


def drag_by_finger(phone, locator, goals):
    """Touch the middle of an element, and draw the finger to each goal in turn.

    It rests before it is lifted: after a fling, the next tap would only stop that.
    """
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    start = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = phone.context.new_cdp_session(phone)
    for kind, points in (
        ("touchStart", [start]),
        *(("touchMove", [goal]) for goal in goals(start)),
        ("touchEnd", []),
    ):
        if kind == "touchEnd":
            phone.wait_for_timeout(200)
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.detach()


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


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_recall_looks_where_one_layer_of_the_package_looks(page, attention_type):
    rng = np.random.default_rng(0)
    data = load_recall(pairs=5, train_sequences=5, test_sequences=5)
    for text in data.test.texts:
        words = text.split(" ")
        names = list(dict.fromkeys(words))
        x = np.eye(len(names))[[names.index(word) for word in words]][None, None]
        beta = rng.uniform(0, 12)
        _, weights = attend(x, -beta * x, x, attention_type, scale=1.0)
        expected = ops.convert_to_numpy(weights)[0, 0, -1]
        if attention_type == "differential":  # in the feature of the word asked for
            expected = expected[:, names.index(words[-2])]
        found = page.evaluate(
            "given => window.diffattn.recallWeights(...given, -1)",
            [words, attention_type, beta],
        )
        assert np.abs(expected - found).max() < 1e-6


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


def boxes(locator):
    return [one.bounding_box() for one in locator.all()]


def test_each_score_has_its_tables_in_the_same_place(sized):
    """Beside its name, and on a phone below it."""
    rows = sized.locator("[data-part=vectors] .explorer-row")
    names, tables = boxes(rows.locator("code")), boxes(rows.locator("svg"))
    assert len(tables) == len(ATTENTION_TYPES)
    assert len({table["x"] for table in tables}) == 1
    phone = sized.viewport_size["width"] == 390
    for name, table in zip(names, tables, strict=True):
        assert (table["x"] < name["x"] + name["width"]) == phone
        assert (table["y"] > name["y"]) == phone


@pytest.mark.parametrize("part", ["vectors", "sentence"])
def test_weights_are_told_apart_on_dark_ground(fresh, part):
    """One of 0.4 from one of 0.1, about as well as on light ground."""
    weight = fresh.locator(f"[data-part={part}] .explorer-weight").first
    contrasts = {}
    for mode, ground in (("light", 255), ("dark", 20)):
        fresh.evaluate("mode => document.documentElement.dataset.theme = mode", mode)
        fill = weight.evaluate("e => getComputedStyle(e).fill")
        colour = np.array(re.findall(r"\d+", fill), float)
        assert colour[2] == max(colour)  # blue in both, as the legend says
        shades = [ground + share * (colour - ground) for share in (0.1, 0.4)]
        dim, bright = sorted(luminance(shade) for shade in shades)
        contrasts[mode] = (bright + 0.05) / (dim + 0.05)
    assert contrasts["dark"] > 0.95 * contrasts["light"] > 1.5


def luminance(colour):
    """Of a colour from 0 to 255, as the guidelines for accessibility define it."""
    parts = colour / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


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


def test_a_vector_follows_a_finger(phone):
    point = phone.get_by_role("button", name="query 3 at")
    # In several steps: each draws the plane anew, and with it what was touched.
    drag_by_finger(
        phone,
        point.locator("circle"),
        lambda at: [{"x": at["x"] + 10 * n, "y": at["y"] - 7 * n} for n in (1, 2, 3)],
    )
    box = phone.locator("[data-part=vectors] .explorer-plane").bounding_box()
    scale = 4.8 / box["width"]
    x, y = re.findall(r"−?\d\.\d\d", point.get_attribute("aria-label"))
    assert abs(float(x.replace("−", "-")) - (-1.2 + 30 * scale)) < 0.02
    assert abs(float(y.replace("−", "-")) - (-0.3 + 21 * scale)) < 0.02
    phone.get_by_role("button", name="Shift the keys").tap()
    told = phone.locator("[data-part=vectors] .explorer-told")
    expect(told).to_have_text("Shift the keys: scaled_dot_product does not notice.")


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


def test_a_tap_chooses_a_step(phone):
    phone.get_by_role("button", name="good with good: 2").tap()
    told = phone.locator("[data-part=step] .explorer-told")
    expect(told).to_contain_text("“good” with “good”: 2, and −1.00 times")
    phone.get_by_role("button", name="fun with not: 4").tap()
    expect(told).to_contain_text("nothing came before")


def test_one_layer_looks_up_the_colour_and_blind_scores_do_not(fresh):
    part = fresh.locator("[data-part=recall]")
    told = part.locator(".explorer-told")
    for animal in ("cat", "fox"):
        part.get_by_role("button", name=animal).click()
        assert told.inner_text().endswith("one layer has looked it up.")
        assert part.get_by_role("button", name=animal).get_attribute("aria-pressed")
    score = part.get_by_label("Score")
    assert score.locator("option").all_inner_texts() == list(ATTENTION_TYPES)
    for pairs in ("2", "5", "8"):
        part.get_by_label("Pairs").fill(pairs)
        part.get_by_role("button", name="Shuffle the values").click()
        for kind in ATTENTION_TYPES:
            score.select_option(kind)
            says = (
                "it does not know." if kind in BLIND else "one layer has looked it up."
            )
            assert told.inner_text().endswith(says)


def test_recall_tells_the_weights(fresh):
    """In the feature of the animal, half of it goes to the slot, which follows too."""
    part = fresh.locator("[data-part=recall]")
    told = part.locator(".explorer-told")
    for kind, percent in (("differentialSum", 100), ("differential", 50)):
        part.get_by_label("Score").select_option(kind)
        assert f"gives pink {percent}% of its weight" in told.inner_text()
    bars = part.locator("svg").get_attribute("aria-label")
    assert "pink 50%, fox 0%" in bars
    assert bars.endswith("? 50%")


def test_recall_is_asked_by_finger(phone):
    part = phone.locator("[data-part=recall]")
    told = part.locator(".explorer-told")
    part.get_by_role("button", name="fox").tap()
    expect(told).to_contain_text("fox is followed by gold.")
    part.get_by_role("button", name="Shuffle the values").tap()
    for _ in range(20):  # the same colour every time by chance: 4^-20
        if "by gold." not in told.inner_text():
            break
        part.get_by_role("button", name="Shuffle the values").tap()
    expect(told).not_to_contain_text("fox is followed by gold.")
    expect(told).to_contain_text("one layer has looked it up.")
    part.get_by_label("β").scroll_into_view_if_needed()
    slider = part.get_by_label("β").bounding_box()
    phone.touchscreen.tap(slider["x"] + 2, slider["y"] + slider["height"] / 2)
    expect(told).to_contain_text("it does not know.")


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


def classify(attention_type, tokens):
    """The probability and the weights (H, T, S, or H, T, S, d) of the package."""
    content = stored()
    packed = content["classifiers"][attention_type]
    arrays = arrays_of(packed, len(content["vocabulary"]))
    embedding, *kernels, last, last_bias = arrays
    x = embedding[tokens]
    q, k, v = (
        (x @ kernels[n] + kernels[n + 1])
        .reshape(1, len(tokens), packed["heads"], -1)
        .swapaxes(1, 2)
        for n in (0, 2, 4)
    )
    output, weights = attend(q, k, v, attention_type)
    joined = ops.convert_to_numpy(output).swapaxes(1, 2).reshape(len(tokens), -1)
    logit = (joined @ kernels[6] + kernels[7]).mean(axis=0) @ last + last_bias
    return 1 / (1 + np.exp(-logit.item())), ops.convert_to_numpy(weights)[0]


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_classifiers_answer_as_the_package_does(page, attention_type):
    rng = np.random.default_rng(0)
    for count in (1, 7, 20):
        tokens = rng.integers(1, len(stored()["vocabulary"]), count)
        probability, weights = classify(attention_type, tokens)
        found = page.evaluate(
            """([type, tokens]) => {
              const { vocabulary, classifiers } = window.diffattnClassifiers;
              const { unpackClassifier, classify } = window.diffattn;
              const model = unpackClassifier(classifiers[type], vocabulary.length);
              return classify(type, model, tokens);
            }""",
            [attention_type, tokens.tolist()],
        )
        assert abs(found["probability"] - probability) < 1e-6
        # One table for each feature of each head, or one for each head.
        tables = weights if weights.ndim == 4 else weights[..., None]
        tables = np.moveaxis(tables, 3, 1)
        assert np.abs(np.array(found["maps"]) - tables).max() < 1e-6


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_map_says_where_each_word_looks(fresh, attention_type):
    """In words, for whom it cannot be seen."""
    vocabulary = stored()["vocabulary"]
    part = fresh.locator("[data-part=sentence]")
    part.get_by_role("combobox", name="Weights of").select_option(attention_type)
    tokens = np.random.default_rng(1).choice(np.arange(2, len(vocabulary)), 9, False)
    words = [vocabulary[token] for token in tokens]
    part.get_by_label("Your sentence").fill(" ".join(words))
    label = part.locator(".explorer-map").get_attribute("aria-label")
    assert label.startswith(f"Weights of the 4 heads of {attention_type}: ")
    _, weights = classify(attention_type, tokens)
    if weights.ndim == 4:
        weights = weights.mean(axis=-1)
    heads = re.findall(r"Head (\d): (.*?\d)\.(?: |$)", label)
    assert [int(number) for number, _ in heads] == [0, 1, 2, 3]
    for table, (_, told) in zip(weights, heads, strict=True):
        looks = re.findall(r"“(\w+)” at “(\w+)”, (\d\.\d\d)(?:; |$)", told)
        assert [word for word, _, _ in looks] == words
        for row, (_, most, weight) in zip(table, looks, strict=True):
            assert abs(row.max() - float(weight)) < 0.005 + 1e-6
            assert row.max() - row[words.index(most)] < 1e-6


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


def gap(one, other):
    """How far apart two boxes lie, of which one is above the other."""
    top, bottom = sorted((one, other), key=lambda box: box["y"])
    return bottom["y"] - top["y"] - top["height"]


def test_a_name_stands_closer_to_its_own_bar_than_to_any_other(sized):
    part = sized.locator("[data-part=sentence]")
    part.get_by_role("button", name="Shuffle the words").click()  # with notes as well
    rows = part.locator(".explorer-row")
    names, bars = boxes(rows.locator("code")), boxes(rows.locator("svg"))
    assert len(bars) == len(ATTENTION_TYPES)
    for own, name in enumerate(names):
        gaps = [gap(name, bar) for bar in bars]
        assert all(2 * gaps[own] < g for n, g in enumerate(gaps) if n != own)


def test_the_sentence_says_what_its_numbers_and_colours_are(fresh):
    part = fresh.locator("[data-part=sentence]")
    expect(part.get_by_text("Probability of “positive”")).to_be_visible()
    expect(part.get_by_text("Row: the word that looks; column:")).to_be_visible()
    heads = part.locator(".explorer-map text").filter(has_text="head")
    assert heads.all_text_contents() == ["head 0", "head 1", "head 2", "head 3"]


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


def test_a_word_is_dragged_by_finger(phone):
    words = phone.locator("[data-part=sentence] .explorer-chip")
    texts = words.all_inner_texts()
    words.nth(0).scroll_into_view_if_needed()
    boxes = [words.nth(n).bounding_box() for n in (1, 2)]
    drag_by_finger(
        phone,
        words.nth(0),
        # Word by word: each draws the words anew, and with them the one touched.
        lambda _: [{"x": box["x"] + 10, "y": box["y"] + 10} for box in boxes],
    )
    assert words.all_inner_texts() == [*texts[1:3], texts[0], *texts[3:]]
    told = phone.locator("[data-part=sentence] .explorer-told").inner_text()
    assert told.endswith("did not move: to them it is the same text.")


def test_words_are_chosen_by_keyboard(fresh):
    part = fresh.locator("[data-part=sentence]")
    chips = part.locator(".explorer-chip")
    offered = part.get_by_label("Add a word from the reviews")
    # All words, but for the padding and the one that stands for the unknown.
    known = stored()["vocabulary"][2:]
    assert offered.locator("option").all_inner_texts() == sorted(known)
    part.get_by_label("Your sentence").fill("")
    offered.focus()
    fresh.keyboard.type("lovely")
    fresh.keyboard.press("Tab")
    fresh.keyboard.press("Enter")
    assert (
        part.locator(".explorer-told").inner_text() == "“lovely” was added at the end."
    )
    offered.focus()
    fresh.keyboard.press("Home")
    fresh.keyboard.press("ArrowDown")
    fresh.keyboard.press("Tab")
    fresh.keyboard.press("Space")
    assert chips.all_inner_texts() == ["lovely", sorted(known)[1]]
    assert part.get_by_label("Your sentence").input_value() == "lovely acting"
    assert part.locator(".explorer-unknown").count() == 0
    assert list(answers_in(part)) == list(ATTENTION_TYPES)


def test_words_are_chosen_by_finger_until_there_are_enough(phone):
    part = phone.locator("[data-part=sentence]")
    part.get_by_label("Add a word from the reviews").select_option("photography")
    part.get_by_label("Your sentence").fill("photography " * 30)
    for _ in range(3):
        part.get_by_role("button", name="Add").tap()
    told = part.locator(".explorer-told")
    expect(told).to_have_text("The sentence is as long as it can be.")
    expect(part.locator(".explorer-chip")).to_have_text(["photography"] * 32)


def test_a_sentence_of_ones_own_is_answered(fresh):
    part = fresh.locator("[data-part=sentence]")
    part.get_by_label("Your sentence").fill("Not fun, but <b>GOOD</b>! xyzzy")
    chips = part.locator(".explorer-chip")
    assert chips.all_inner_texts() == ["not", "fun", "but", "bgoodb", "xyzzy"]
    assert part.locator(".explorer-unknown").all_inner_texts() == ["bgoodb", "xyzzy"]
    part.get_by_label("Your sentence").fill("")
    assert "Type a few words, or add some." in part.inner_text()


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


def test_the_saved_vectors_have_their_weights(fresh, browser, tmp_path):  # noqa: F811
    part = fresh.locator("[data-part=vectors]")
    fresh.get_by_role("button", name="Rotate both").click()
    fresh.get_by_role("button", name="key 4 at").focus()
    fresh.keyboard.press("ArrowUp")
    fresh.get_by_role("button", name="Shift both").click()
    with fresh.expect_download() as download:
        part.get_by_role("button", name="Save as SVG").click()
    path = tmp_path / "vectors.svg"
    download.value.save_as(path)
    space = "{http://www.w3.org/2000/svg}"
    saved = ElementTree.parse(path).getroot()
    texts = [text.text for text in saved.iter(f"{space}text")]
    assert [text for text in texts if text in ATTENTION_TYPES] == list(ATTENTION_TYPES)
    assert texts.count("does not notice") == 2
    # The vectors as the file draws them, and the package's weights of these.
    marks = [(mark.get("cx"), mark.get("cy")) for mark in saved.iter(f"{space}circle")]
    q = np.array(marks, float) * [1, -1]
    squares = [r for r in saved.iter(f"{space}rect") if r.get("width") == "0.28"]
    corners = [(mark.get("x"), mark.get("y")) for mark in squares]
    k = (np.array(corners, float) + 0.14) * [1, -1]
    assert q.shape == k.shape == (4, 2)
    expected = []
    for kind in ATTENTION_TYPES:
        weights = attend(q[None, None], k[None, None], k[None, None], kind)[1]
        weights = ops.convert_to_numpy(weights)[0, 0]
        tables = np.moveaxis(weights, 2, 0) if weights.ndim == 3 else weights[None]
        expected += tables.flatten().tolist()
    titles = [title.text for title in saved.iter(f"{space}title")]
    found = [float(title.split(": ")[1]) for title in titles]
    assert len(found) == len(expected) == 7 * 16
    assert np.abs(np.array(found) - expected).max() < 0.0005 + 1e-6
    alone = browser.new_page()
    alone.goto(path.as_uri())
    outside = """() => {
      const all = document.documentElement.getBoundingClientRect();
      return [...document.querySelectorAll("svg svg, text")].filter((e) => {
        const { left, right, top, bottom } = e.getBoundingClientRect();
        return left < all.left || right > all.right + 1 || top < all.top
          || bottom > all.bottom + 1;
      }).map((e) => e.outerHTML.slice(0, 80));
    }"""
    assert alone.evaluate(outside) == []
    alone.close()


# ---- Whatever is pasted -------------------------------------------------------------

HIT = "document.title = 'hit'"
PIECES = (
    f'<img src=x onerror="{HIT}">',
    f"<script>{HIT}</script>",
    f'</p></div><svg onload="{HIT}">',
    f"javascript:{HIT}",
    f"');{HIT};//",
    "${1}",
    "<!--",
    "]]>",
    "&lt;b&gt; &#0; &amp",
    "__proto__ constructor toString hasOwnProperty",
    "\x00 \x01\x08 \x1b[0m \ufffe \uffff",
    "\u202e\u200f\u200d\ufeff\u2028",
    "e\u0301" + "\u0301" * 200,
    "👩‍👩‍👧 𝒳 İstanbul ẞ",
    "not good but fun",
    "the " * 40,
    "x" * 1000,
)
PASTED = st.lists(st.sampled_from(PIECES) | st.text(max_size=40), max_size=6)
# What an answer looks like: six rows, or none where there is no word.
SEEN = """() => {
  const part = document.querySelector("[data-part=sentence]");
  const all = (selector) => [...part.querySelectorAll(selector)];
  return {
    words: all(".explorer-chip").map((e) => e.textContent),
    answers: all(".explorer-row svg").map((e) => e.getAttribute("aria-label")),
    map: part.querySelector(".explorer-map").getAttribute("aria-label"),
    elements: [...new Set(all("*").map((e) => e.localName))].sort(),
    title: document.title,
  };
}"""
ELEMENTS = {
    *("button", "code", "div", "input", "label", "option", "p", "rect", "select"),
    *("span", "svg", "text", "title"),
}
FIRST = "The plot was not good, but fun."


def check_answers(page):
    seen = page.evaluate(SEEN)
    words = seen["words"]
    assert len(words) <= 32
    assert all(word and len(word) <= 400 for word in words)
    assert set(seen["elements"]) <= ELEMENTS
    assert seen["title"] == "Explorer"
    if not words:
        assert seen["answers"] == []
        return
    for kind, answer in zip(ATTENTION_TYPES, seen["answers"], strict=True):
        assert re.fullmatch(rf"{kind}: \d+\.\d% positive", answer)
    assert "NaN" not in seen["map"]


@pytest.fixture(scope="module")
def pasted_page(browser, page):  # noqa: F811
    """A page of its own, and its errors, for a look at them after every text."""
    other = browser.new_page(accept_downloads=True)
    troubles = watch(other)
    other.goto(page.url)
    yield other, troubles
    other.close()


@settings(phases=(Phase.explicit, Phase.generate))  # to shrink would take minutes
@given(PASTED)
@example([])
@example(list(PIECES[:8]))
@example(list(PIECES[8:]))
def test_the_page_lives_whatever_is_pasted(pasted_page, pieces):
    page, troubles = pasted_page
    troubles.clear()  # of the text before
    part = page.locator("[data-part=sentence]")
    box = part.get_by_label("Your sentence")
    box.fill(FIRST)
    usual = page.evaluate(SEEN)
    for text in (*pieces, " ".join(pieces)):
        box.fill(text)
        check_answers(page)
        part.get_by_role("button", name="Shuffle the words").click()
        check_answers(page)
    with page.expect_download() as download:
        part.get_by_role("button", name="Save as SVG").click()
    ElementTree.parse(download.value.path())  # a file that can be read
    box.fill(FIRST)
    assert page.evaluate(SEEN) == usual
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert troubles == []


@pytest.mark.parametrize("unit", ["x", "fun ", "<b>not</b> ", "\u0301", " "])
def test_the_page_lives_through_a_megabyte(pasted_page, unit):
    page, troubles = pasted_page
    troubles.clear()  # of the test before
    part = page.locator("[data-part=sentence]")
    text = unit * (2**20 // len(unit))
    box = part.get_by_label("Your sentence")
    box.fill(FIRST)
    usual = page.evaluate(SEEN)
    box.fill(text)  # as a reader pastes it: the box takes its beginning
    check_answers(page)
    assert len(box.input_value()) <= 400
    # And past the box's own limit, as a script or an extension might.
    box.evaluate(
        "(e, text) => { e.value = text; e.dispatchEvent(new Event('input')); }", text
    )
    check_answers(page)
    box.fill(FIRST)
    assert page.evaluate(SEEN) == usual
    assert troubles == []


def test_the_page_has_every_part_and_words_for_who_has_no_scripts():
    text = (ROOT / "book" / "explorer.md").read_text(encoding="utf-8")
    for part in PARTS:
        assert f'data-part="{part}"><p>This part needs JavaScript.' in text


def test_nothing_is_asked_of_any_server():
    text = (STATIC / "explorer.js").read_text(encoding="utf-8")
    addresses = [word for word in json.dumps(text).split('\\"') if "://" in word]
    assert addresses == ["http://www.w3.org/2000/svg"]  # a name, not an address
