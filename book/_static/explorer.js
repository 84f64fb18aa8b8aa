// The explorer: attention scores that a reader can touch. Plain JavaScript, which asks
// nothing of any server and works from a file.
//
// The arithmetic is `Attention` below; tests/test_explorer.py holds it to the package.
// Each part of the page is a function that fills an element with
// class="explorer" data-part="vectors|step|recall|sentence"; the last needs
// classifiers.js as well.

"use strict";

const Attention = (() => {
  const dot = (x, y) => x.reduce((sum, value, c) => sum + value * y[c], 0);
  const zeros = (count) => new Array(count).fill(0);

  /** The vector `lag` tokens before, or zeros before the first. */
  const before = (rows, n, lag) => (n >= lag ? rows[n - lag] : zeros(rows[0].length));

  const pairwise = (queries, keys, score) =>
    queries.map((q, i) => keys.map((k, j) => score(q, k, i, j)));

  const cosine = (q, k) => {
    const lengths = Math.hypot(...q) * Math.hypot(...k);
    return lengths > 0 ? dot(q, k) / lengths : 0;
  };
  const l1 = (q, k) => -q.reduce((sum, x, c) => sum + Math.abs(x - k[c]), 0);
  const l2 = (q, k) => -Math.hypot(...q.map((x, c) => x - k[c]));

  const TYPES = {
    scaled_dot_product: dot,
    cosine_similarity: cosine,
    l1_norm: l1,
    l2_norm: l2,
    differentialSum: null, // these two look at the tokens before as well
    differential: null,
  };

  /** As the package: 1/√d for the dot product, 1 for all others. */
  const defaultScale = (type, dim) =>
    type === "scaled_dot_product" ? 1 / Math.sqrt(dim) : 1;

  /**
   * The scores of every query with every key.
   *
   * @param {string} type - one of the six.
   * @param {number[][]} queries, keys - a vector for each token.
   * @param {{scale?: number, coefficient?: number, lag?: number}} options
   * @returns {number[][][]} for each feature that has scores of its own (one, but for
   *   `differential`) a row for each query.
   */
  function scores(type, queries, keys, options = {}) {
    const dim = queries[0].length;
    const { scale = defaultScale(type, dim), coefficient = -1, lag = 1 } = options;
    const scaled = (score) =>
      pairwise(queries, keys, (q, k, i, j) => scale * score(q, k, i, j));
    if (TYPES[type]) return [scaled(TYPES[type])];
    const change = (i, j, c) =>
      queries[i][c] * keys[j][c] +
      coefficient * before(queries, i, lag)[c] * before(keys, j, lag)[c];
    const features = [...Array(dim).keys()];
    if (type === "differential")
      return features.map((c) => scaled((q, k, i, j) => change(i, j, c)));
    return [
      scaled((q, k, i, j) => features.reduce((sum, c) => sum + change(i, j, c), 0)),
    ];
  }

  function softmax(row) {
    const largest = Math.max(...row);
    const exponentials = row.map((x) => Math.exp(x - largest));
    const total = exponentials.reduce((sum, x) => sum + x, 0);
    return exponentials.map((x) => x / total);
  }

  /** The attention weights, in the shape of `scores`. */
  const weights = (type, queries, keys, options) =>
    scores(type, queries, keys, options).map((table) => table.map(softmax));

  /** By how much two sets of weights differ at most. */
  const difference = (one, other) =>
    Math.max(
      ...one.flatMap((table, c) =>
        table.flatMap((row, i) => row.map((x, j) => Math.abs(x - other[c][i][j]))),
      ),
    );

  return { TYPES: Object.keys(TYPES), scores, weights, difference, dot };
})();

const Explorer = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  let count = 0;

  /** An element with attributes, listeners (onclick, …) and children. */
  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    return furnish(made, attributes, children);
  }

  function shape(name, attributes = {}, ...children) {
    return furnish(document.createElementNS(SVG, name), attributes, children);
  }

  function furnish(made, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value);
    }
    made.append(...children.flat());
    return made;
  }

  const signed = (x) => (x < 0 ? "−" : "") + Math.abs(x).toFixed(2);
  /** With a space that does not break, so that no line begins with the sign. */
  const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;

  /** A slider with its label and value; calls `changed` with the number. */
  function slider(text, { min, max, step, value, format = signed }, changed) {
    const id = `explorer-${(count += 1)}`;
    const shown = element("output", { for: id }, format(value));
    const input = element("input", {
      type: "range", id, min, max, step, value,
      oninput: () => {
        shown.textContent = format(Number(input.value));
        changed(Number(input.value));
      },
    });
    return element("p", { class: "explorer-slider" },
      element("label", { for: id }, text), input, shown);
  }

  const button = (text, pressed) =>
    element("button", { type: "button", onclick: pressed }, text);

  /** Calls `follow` with each move of the pointer, until it is released. */
  function whileDragging(follow) {
    const end = () => {
      window.removeEventListener("pointermove", follow);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
    };
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  }

  /** A choice of a few texts; calls `changed` with the chosen one. */
  function choice(text, options, value, changed) {
    const id = `explorer-${(count += 1)}`;
    const select = element("select", { id, onchange: () => changed(select.value) },
      options.map((option) => element("option", { value: option }, option)));
    select.value = value;
    return element("p", { class: "explorer-slider" },
      element("label", { for: id }, text), select);
  }

  // What no XML file may hold, though a reader may paste it: control characters and the like.
  const NOT_XML = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

  /** Offers the picture that `make` returns as a file that stands alone. */
  function saveButton(make, name) {
    return button("Save as SVG", () => {
      const copy = make().cloneNode(true);
      copy.setAttribute("xmlns", SVG);
      copy.style.color = "#222";
      copy.style.background = "#fff";
      copy.style.fontFamily = "sans-serif";
      const text = new XMLSerializer().serializeToString(copy).replace(NOT_XML, "\ufffd");
      const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
      const link = element("a", { href: address, download: `${name}.svg` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
  }

  /** A square of a table of weights: the bluer, the more. */
  function cell(x, y, size, weight, label) {
    return shape("rect", {
      x, y, width: size - 1, height: size - 1, class: "explorer-weight",
      fill: "rgb(0, 90, 156)", "fill-opacity": Math.max(0.04, weight),
      stroke: "currentColor", "stroke-opacity": 0.25,
    }, shape("title", {}, document.createTextNode(label)));
  }

  const inscription = (x, y, text, attributes = {}) =>
    shape("text", {
      x, y, fill: "currentColor", "font-size": 12, ...attributes,
    }, document.createTextNode(text));

  // ---- Vectors ------------------------------------------------------------------

  const START = {
    queries: [[0.9, 0.4], [-0.5, 1.1], [-1.2, -0.3], [0.6, -1.0]],
    keys: [[1.2, -0.2], [0.3, 1.3], [-0.8, 0.7], [-0.4, -1.2]],
  };
  const copied = (rows) => rows.map((row) => [...row]);

  const MOVES = {
    "Shift the keys": ({ queries, keys }) => ({
      queries, keys: keys.map(([x, y]) => [x + 0.5, y - 0.4]),
    }),
    "Shift both": ({ queries, keys }) => ({
      queries: queries.map(([x, y]) => [x + 0.4, y + 0.3]),
      keys: keys.map(([x, y]) => [x + 0.4, y + 0.3]),
    }),
    "Rotate both": ({ queries, keys }) => {
      const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)];
      const turn = ([x, y]) => [cos * x - sin * y, sin * x + cos * y];
      return { queries: queries.map(turn), keys: keys.map(turn) };
    },
    "Stretch some": ({ queries, keys }) => ({
      queries: queries.map((q, n) => q.map((x) => x * [1.4, 0.7, 1, 1.2][n])),
      keys: keys.map((k, n) => k.map((x) => x * [0.8, 1.3, 1.1, 0.9][n])),
    }),
    "Shuffle the tokens": ({ queries, keys }) => ({
      queries: ORDER.map((n) => queries[n]),
      keys: ORDER.map((n) => keys[n]),
      order: ORDER,
    }),
  };
  const ORDER = [2, 0, 3, 1];

  /** The weights with the tokens back in their old places. */
  const unshuffled = (tables, order) =>
    tables.map((table) =>
      order.map((_, i) =>
        order.map((_, j) => table[order.indexOf(i)][order.indexOf(j)])));

  function vectors(root) {
    let state = { queries: copied(START.queries), keys: copied(START.keys) };
    const options = { coefficient: -1, lag: 1, factor: 1 };
    const notices = {};
    const plane = shape("svg", {
      viewBox: "-2.4 -2.4 4.8 4.8", class: "explorer-plane", role: "group",
      "aria-label": "Four queries and four keys in the plane; arrow keys move the chosen one",
    });
    const rows = element("div", { class: "explorer-rows" });
    const told = element("p", { class: "explorer-told", "aria-live": "polite" },
      "Move a vector, or press a button: which of the six notices?");

    const settings = (type) => ({
      scale: options.factor * (type === "scaled_dot_product" ? 1 / Math.SQRT2 : 1),
      coefficient: options.coefficient,
      lag: options.lag,
    });
    const weigh = (type, { queries, keys }) =>
      Attention.weights(type, queries, keys, settings(type));

    function move(name) {
      const after = MOVES[name](state);
      const same = [];
      for (const type of Attention.TYPES) {
        const now = weigh(type, after);
        const back = after.order ? unshuffled(now, after.order) : now;
        const change = Attention.difference(weigh(type, state), back);
        notices[type] = change < 1e-9 ? "does not notice" : `changes by ${change.toFixed(2)}`;
        if (change < 1e-9) same.push(type);
      }
      told.textContent = `${name}: ` + (same.length
        ? `${same.join(", ")} ${same.length > 1 ? "do" : "does"} not notice.`
        : "all six notice.");
      state = { queries: copied(after.queries), keys: copied(after.keys) };
      draw();
    }

    function draw() {
      drawPlane();
      rows.replaceChildren(...Attention.TYPES.map(drawRow));
    }

    function drawRow(type) {
      const tables = weigh(type, state);
      const size = 17;
      const svg = shape("svg", {
        viewBox: `0 0 ${tables.length * (4 * size + 10)} ${4 * size}`,
        height: 4 * size, role: "img",
        "aria-label": `${type}: ` + tables.map((table) => table
          .map((row, i) => `query ${i + 1}: ${row.map((x) => x.toFixed(2)).join(" ")}`)
          .join("; ")).join(". Second feature: "),
      });
      tables.forEach((table, c) => table.forEach((row, i) => row.forEach((x, j) =>
        svg.append(cell(c * (4 * size + 10) + j * size, i * size, size, x,
          `query ${i + 1}, key ${j + 1}: ${x.toFixed(3)}`)))));
      return element("div", { class: "explorer-row", "data-type": type },
        element("div", {}, element("code", {}, type),
          element("div", { class: "explorer-notice" }, notices[type] || "")), svg);
    }

    /** The plane and the six rows of weights as one picture, for the file. */
    function together() {
      const [side, high, left] = [456, 76, 476];
      const copy = (svg, x, y, width, height) => {
        const made = svg.cloneNode(true);
        for (const [name, value] of Object.entries({ x, y, width, height }))
          made.setAttribute(name, value);
        return made;
      };
      const picture = shape("svg", {
        viewBox: `0 0 ${left + 320} ${side}`, width: left + 320, height: side, role: "group",
        "aria-label": "Four queries and four keys in the plane, and the weights of six scores",
      }, copy(plane, 0, 0, side, side));
      [...rows.children].forEach((row, n) => {
        const type = row.dataset.type;
        const svg = row.querySelector("svg");
        const { width, height } = svg.viewBox.baseVal;
        picture.append(
          inscription(left, n * high + 36, type, { "font-size": 14 }),
          inscription(left, n * high + 54, notices[type] || ""),
          copy(svg, left + 160, n * high + 4, width, height));
      });
      return picture;
    }

    function drawPlane() {
      const focused = plane.querySelector(":focus")?.dataset.name;
      plane.replaceChildren(
        shape("path", { d: "M-2.4 0H2.4M0 -2.4V2.4", stroke: "currentColor",
          "stroke-opacity": 0.3, "stroke-width": 0.015 }),
        ...["queries", "keys"].flatMap((kind) => state[kind].map((_, n) => point(kind, n))));
      if (focused) plane.querySelector(`[data-name="${focused}"]`)?.focus();
    }

    function point(kind, n) {
      const [x, y] = state[kind][n];
      const fill = kind === "queries" ? "#0072B2" : "#D55E00";
      const name = `${kind === "queries" ? "query" : "key"} ${n + 1}`;
      const mark = kind === "queries"
        ? shape("circle", { cx: x, cy: -y, r: 0.16, fill })
        : shape("rect", { x: x - 0.14, y: -y - 0.14, width: 0.28, height: 0.28, fill });
      return shape("g", {
        tabindex: 0, role: "button", class: "explorer-point", "data-name": name,
        "aria-label": `${name} at ${signed(x)}, ${signed(y)}`,
        onpointerdown: (event) => drag(event, kind, n),
        onkeydown: (event) => nudge(event, kind, n),
      },
      shape("line", { x1: 0, y1: 0, x2: x, y2: -y, stroke: fill, "stroke-width": 0.03 }),
      mark,
      inscription(x, -y + 0.075, String(n + 1), {
        "font-size": 0.22, "text-anchor": "middle", fill: "#fff", "pointer-events": "none",
      }));
    }

    const within = (x) => Math.max(-2.2, Math.min(2.2, x));

    function place(kind, n, x, y) {
      for (const type of Attention.TYPES) delete notices[type];
      state[kind][n] = [within(x), within(y)];
      draw();
    }

    function nudge(event, kind, n) {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1],
        ArrowDown: [0, -0.1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [x, y] = state[kind][n];
      place(kind, n, x + step[0], y + step[1]);
    }

    function drag(event, kind, n) {
      event.preventDefault();
      whileDragging((moved) => {
        const box = plane.getBoundingClientRect();
        place(kind, n, ((moved.clientX - box.left) / box.width) * 4.8 - 2.4,
          2.4 - ((moved.clientY - box.top) / box.height) * 4.8);
      });
    }

    const set = (name) => (value) => {
      options[name] = value;
      for (const type of Attention.TYPES) delete notices[type];
      draw();
    };
    root.replaceChildren(
      element("div", { class: "explorer-columns" },
        element("div", {}, plane,
          element("p", { class: "explorer-legend" },
            "Blue discs are queries, orange squares keys; drag them, or choose one and use the arrow keys."),
          element("p", { class: "explorer-legend" },
            "Weights: a row is a query, a column a key; the bluer, the more weight. " +
            "The last score has a table for each of the two features.")),
        rows),
      element("p", { class: "explorer-buttons" },
        Object.keys(MOVES).map((name) => button(name, () => move(name))),
        button("Start again", () => {
          state = { queries: copied(START.queries), keys: copied(START.keys) };
          for (const type of Attention.TYPES) delete notices[type];
          draw();
        }),
        saveButton(together, "vectors")),
      told,
      slider("Scale of all six: a factor on top of each one's own", { min: 0, max: 4, step: 0.1, value: 1 }, set("factor")),
      slider("λ of the last two: the factor of the earlier pair", { min: -2, max: 2, step: 0.1, value: -1 }, set("coefficient")),
      slider("Lag of the last two: how many tokens earlier",
        { min: 1, max: 3, step: 1, value: 1, format: String }, set("lag")));
    draw();
  }

  // ---- Step ---------------------------------------------------------------------

  const TOKENS = ["not", "good", "but", "fun"];

  function step(root) {
    const queries = [[1, 0], [0, 2], [1, 1], [2, -1]];
    const keys = [[2, 0], [0, 1], [2, 2], [1, -1]];
    let coefficient = -1;
    let chosen = [2, 2];
    const size = 54;
    const svg = shape("svg", {
      viewBox: `0 0 ${size * 5 + 8} ${size * 5}`, class: "explorer-step", role: "group",
      "aria-label": "Table of products of queries and keys",
    });
    const told = element("p", { class: "explorer-told", "aria-live": "polite" });
    const product = (i, j) => (i < 0 || j < 0 ? 0 : Attention.dot(queries[i], keys[j]));
    const number = (x) => (x < 0 ? `−${Math.abs(x)}` : String(x));

    function draw() {
      const [i, j] = chosen;
      const had = svg.contains(document.activeElement);
      svg.replaceChildren(
        ...TOKENS.map((word, n) => inscription(size * (n + 1.5), size * 0.7, word, { "text-anchor": "middle" })),
        ...TOKENS.map((word, n) => inscription(size * 0.9, size * (n + 1.6), word, { "text-anchor": "end" })),
        ...TOKENS.flatMap((_, a) => TOKENS.map((_, b) => square(a, b))));
      if (i > 0 && j > 0)
        svg.append(shape("path", {
          d: `M${size * (j + 0.72)} ${size * (i + 0.72)}L${size * (j + 1.22)} ${size * (i + 1.22)}`,
          stroke: "#D55E00", "stroke-width": 4, "pointer-events": "none",
        }));
      const old = product(i - 1, j - 1);
      const score = product(i, j) + coefficient * old;
      told.textContent = i > 0 && j > 0
        ? `“${TOKENS[i]}” with “${TOKENS[j]}”: ${number(product(i, j))}, and ${signed(coefficient)} times ` +
          `the pair one step back, “${TOKENS[i - 1]}” with “${TOKENS[j - 1]}”, which is ${number(old)}: ` +
          `the score is ${signed(score)}.`
        : `“${TOKENS[i]}” with “${TOKENS[j]}”: nothing came before, so the score is the product, ${signed(score)}.`;
      if (had) svg.querySelector("[tabindex='0']").focus();
    }

    function square(i, j) {
      const is = (a, b) => chosen[0] === a && chosen[1] === b;
      const fill = is(i, j) ? "#0072B2" : is(i + 1, j + 1) ? "#D55E00" : "currentColor";
      const strong = is(i, j) || is(i + 1, j + 1);
      return shape("g", {
        tabindex: is(i, j) ? 0 : -1, role: "button", class: "explorer-point",
        "aria-label": `${TOKENS[i]} with ${TOKENS[j]}: ${number(product(i, j))}`,
        // Only where the pointer itself moves: under a resting one, the keyboard rules.
        onpointermove: (event) => {
          if (event.movementX || event.movementY) choose(i, j);
        },
        onclick: () => choose(i, j),
        onkeydown: (event) => {
          const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
          if (!by) return;
          event.preventDefault();
          const limited = (n) => Math.max(0, Math.min(3, n));
          choose(limited(i + by[0]), limited(j + by[1]));
        },
      },
      shape("rect", {
        x: size * (j + 1), y: size * (i + 1), width: size - 4, height: size - 4, rx: 4,
        fill, "fill-opacity": strong ? 1 : 0.08,
      }),
      inscription(size * (j + 1.46), size * (i + 1.55), number(product(i, j)), {
        "font-size": 18, "text-anchor": "middle", "pointer-events": "none",
        fill: strong ? "#fff" : "currentColor",
      }));
    }

    function choose(i, j) {
      if (chosen[0] === i && chosen[1] === j) return;
      chosen = [i, j];
      draw();
    }

    root.replaceChildren(
      svg, told,
      slider("λ, the factor of the pair one step back", { min: -2, max: 2, step: 0.5, value: -1 }, (value) => {
        coefficient = value;
        draw();
      }),
      element("p", { class: "explorer-buttons" }, saveButton(() => svg, "step")));
    draw();
  }

  // ---- Recall -------------------------------------------------------------------

  const KEYS = ["cat", "dog", "owl", "fox", "hen", "bee", "cow", "ant"];
  const VALUES = ["red", "blue", "pink", "gold", "gray", "teal", "plum", "mint"];

  /**
   * The weights at the slot of one layer that is set by hand: keys are −β times queries.
   * There is a feature for each word. `differential` has weights for each feature; here
   * are those of the feature of the word that is asked for, which stands before the slot.
   */
  function recallWeights(tokens, type, beta, coefficient) {
    const names = [...new Set(tokens)];
    const x = tokens.map((token) => names.map((name) => Number(name === token)));
    const keys = x.map((row) => row.map((value) => -beta * value));
    const tables = Attention.weights(type, x, keys, { scale: 1, coefficient });
    const slot = tokens.length - 1;
    return tables[tables.length > 1 ? names.indexOf(tokens[slot - 1]) : 0][slot];
  }

  function recall(root) {
    const state = { pairs: 4, type: "differentialSum", beta: 8, question: "owl", order: null };
    const svg = shape("svg", { class: "explorer-recall", role: "img" });
    const told = element("p", { class: "explorer-told", "aria-live": "polite" });
    const questions = element("p", { class: "explorer-buttons" });

    function shuffle() {
      state.order = VALUES.map((value) => [Math.random(), value])
        .sort(([a], [b]) => a - b).map(([, value]) => value);
    }

    function draw() {
      const keys = KEYS.slice(0, state.pairs);
      if (!keys.includes(state.question)) state.question = keys[0];
      const values = state.order.filter((value) => VALUES.indexOf(value) < state.pairs);
      const tokens = [...keys.flatMap((key, n) => [key, values[n]]), state.question, "?"];
      const weights = recallWeights(tokens, state.type, state.beta, -1);
      const width = 52;
      svg.setAttribute("viewBox", `0 0 ${width * tokens.length} 120`);
      svg.replaceChildren(...tokens.flatMap((token, n) => [
        shape("rect", { x: width * n + 8, y: 80 - 70 * weights[n], width: width - 16,
          height: 70 * weights[n] + 1, fill: "#0072B2" }),
        inscription(width * (n + 0.5), 100, token, { "text-anchor": "middle", "font-size": 15 }),
      ]));
      const right = values[keys.indexOf(state.question)];
      const weightOf = (value) => weights[tokens.indexOf(value)];
      const share = weightOf(right);
      const others = values.reduce((sum, value) => sum + weightOf(value), 0) - share;
      const answered = share > 1.01 * others; // of two that are equal, rounding prefers none
      const feature = state.type === "differential" ? `, in the feature of ${state.question},` : "";
      told.textContent = `${state.question} is followed by ${right}. At the slot (the question mark), ` +
        `${state.type}${feature} gives ${right} ${percent(share)} of its weight, and all other ` +
        `colours together ${percent(others)}: ` +
        (answered ? "one layer has looked it up." : "it does not know.");
      svg.setAttribute("aria-label", tokens.map((token, n) =>
        `${token} ${percent(weights[n])}`).join(", "));
      questions.replaceChildren(element("span", {}, "Ask for: "),
        ...keys.map((key) => {
          const made = button(key, () => {
            state.question = key;
            draw();
            questions.querySelector("[aria-pressed='true']").focus();
          });
          made.setAttribute("aria-pressed", String(key === state.question));
          return made;
        }));
    }

    const set = (name) => (value) => {
      state[name] = value;
      draw();
    };
    state.order = [...VALUES];
    root.replaceChildren(
      svg, told, questions,
      choice("Score", Attention.TYPES, state.type, set("type")),
      slider("Pairs", { min: 2, max: 8, step: 1, value: 4, format: String }, set("pairs")),
      slider("β: each key is −β times its query", { min: 0, max: 12, step: 0.5, value: 8 }, set("beta")),
      element("p", { class: "explorer-buttons" },
        button("Shuffle the values", () => {
          shuffle();
          draw();
        }),
        saveButton(() => svg, "recall")));
    draw();
  }

  // ---- Sentence -----------------------------------------------------------------

  /** Numbers of half precision, as base64 has them. */
  function unpackHalves(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 2 }, (_, n) => {
      const bits = view.getUint16(2 * n, true);
      const [sign, exponent, rest] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
      return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest);
    });
  }

  /** A classifier as results/export_classifiers.py has packed it. */
  function unpackClassifier({ heads, features: [inner, outer], weights }, words) {
    const numbers = unpackHalves(weights);
    let at = 0;
    const matrix = (rows, columns) =>
      Array.from({ length: rows }, () => numbers.slice(at, (at += columns)));
    const dense = (rows, columns) => ({
      kernel: matrix(rows, columns), bias: numbers.slice(at, (at += columns)),
    });
    return {
      heads,
      embedding: matrix(words, inner),
      query: dense(inner, outer),
      key: dense(inner, outer),
      value: dense(inner, outer),
      output: dense(outer, outer),
      logit: dense(outer, 1),
    };
  }

  const project = (rows, { kernel, bias }) => rows.map((row) =>
    bias.map((b, c) => row.reduce((sum, x, n) => sum + x * kernel[n][c], b)));

  /** How probably positive a text is, and the weights of each head. */
  function classify(type, model, tokens) {
    const embedded = tokens.map((token) => model.embedding[token]);
    const [q, k, v] = ["query", "key", "value"].map((name) => project(embedded, model[name]));
    const dim = q[0].length / model.heads;
    const ofHead = (rows, h) => rows.map((row) => row.slice(h * dim, (h + 1) * dim));
    const maps = [];
    const outputs = tokens.map(() => []);
    for (let h = 0; h < model.heads; h += 1) {
      const tables = Attention.weights(type, ofHead(q, h), ofHead(k, h));
      maps.push(tables);
      const values = ofHead(v, h);
      for (let i = 0; i < tokens.length; i += 1)
        for (let c = 0; c < dim; c += 1)
          outputs[i].push(tables[tables.length > 1 ? c : 0][i].reduce(
            (sum, weight, j) => sum + weight * values[j][c], 0));
    }
    const attended = project(outputs, model.output);
    const mean = attended[0].map((_, c) =>
      attended.reduce((sum, row) => sum + row[c], 0) / attended.length);
    const [[logit]] = project([mean], model.logit);
    return { probability: 1 / (1 + Math.exp(-logit)), maps };
  }

  const FIRST = "The plot was not good, but fun.";
  const INVITATION = "Drag the words into another order: which answers move?";
  const MOST_WORDS = 32;
  const MOST_LETTERS = 400; // enough for 32 words of the reviews
  /** As the package standardizes plain words: no capitals, no punctuation. */
  const splitWords = (text) => text.slice(0, MOST_LETTERS).toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, "").split(/\s+/).filter(Boolean).slice(0, MOST_WORDS);

  function sentence(root) {
    const stored = window.diffattnClassifiers;
    if (!stored) return;
    const places = new Map(stored.vocabulary.map((word, n) => [word, n]));
    const models = Object.fromEntries(Object.entries(stored.classifiers).map(
      ([type, packed]) => [type, unpackClassifier(packed, stored.vocabulary.length)]));
    let words = splitWords(FIRST);
    let before = {};
    let shown = "differentialSum";
    const id = `explorer-${(count += 1)}`;
    const input = element("input", {
      type: "text", id, value: FIRST, maxlength: MOST_LETTERS, autocomplete: "off",
      oninput: () => take(input.value),
    });
    // The first two are padding and the unknown word.
    const offered = element("select", { id: `${id}-word` },
      stored.vocabulary.slice(2).sort().map((word) => element("option", {}, word)));
    const chips = element("p", { class: "explorer-buttons", role: "group",
      "aria-label": "The words; move the chosen one with the left and right arrow keys" });
    const rows = element("div", { class: "explorer-answers" });
    const map = shape("svg", { class: "explorer-map", role: "img" });
    const told = element("p", { class: "explorer-told", "aria-live": "polite" }, INVITATION);

    function take(text, message = INVITATION) {
      words = splitWords(text);
      before = {};
      if (told.textContent !== message) told.textContent = message; // not said at every letter
      draw();
    }

    /** Puts the chosen word at the end. */
    function add() {
      const word = offered.value;
      const text = [...words, word].join(" ");
      if (words.length >= MOST_WORDS || text.length > MOST_LETTERS) {
        told.textContent = "The sentence is as long as it can be.";
        return;
      }
      input.value = text;
      take(text, `“${word}” was added at the end.`);
    }

    const answers = () => Object.fromEntries(Attention.TYPES.map((type) => [
      type, classify(type, models[type], words.map((word) => places.get(word) ?? 1))]));

    function reorder(change) {
      if (!words.length) return;
      const old = answers();
      before = Object.fromEntries(Object.entries(old).map(([t, a]) => [t, a.probability]));
      change();
      input.value = words.join(" ");
      const still = Attention.TYPES.filter((type) =>
        Math.abs(answers()[type].probability - before[type]) < 1e-9);
      told.textContent = still.length
        ? `${still.join(", ")} did not move: to them it is the same text.`
        : "All answers moved.";
      draw();
    }

    function move(from, to) {
      if (from === to || to < 0 || to >= words.length) return;
      reorder(() => words.splice(to, 0, ...words.splice(from, 1)));
    }

    function draw() {
      chips.replaceChildren(...words.map(chip));
      if (!words.length) {
        rows.replaceChildren("Type a few words, or add some.");
        map.replaceChildren();
        map.setAttribute("aria-label", "No words, no weights");
        return;
      }
      const now = answers();
      rows.replaceChildren(
        element("p", {}, "Probability of “positive”"),
        ...Attention.TYPES.map((type) => row(type, now[type].probability)));
      drawMap(now[shown].maps);
    }

    function chip(word, n) {
      const made = element("button", {
        type: "button", class: "explorer-chip", "data-place": n,
        title: places.has(word) ? "" : "a word that the reviews do not have",
        onpointerdown: (event) => drag(event, n),
        onkeydown: (event) => {
          const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
          if (!by) return;
          event.preventDefault();
          move(n, n + by);
          chips.children[Math.max(0, Math.min(words.length - 1, n + by))].focus();
        },
      }, word);
      if (!places.has(word)) made.classList.add("explorer-unknown");
      return made;
    }

    function drag(event, n) {
      event.preventDefault();
      let at = n;
      chips.children[n].focus();
      whileDragging((moved) => {
        const under = document.elementFromPoint(moved.clientX, moved.clientY)
          ?.closest(".explorer-chip");
        if (!under || !chips.contains(under)) return;
        const to = Number(under.dataset.place);
        if (to === at) return;
        move(at, to);
        at = to;
      });
    }

    function row(type, probability) {
      const share = percent(probability, 1);
      const moved = type in before ? Math.abs(probability - before[type]) : null;
      const note = moved === null ? ""
        : moved < 1e-9 ? "did not move" : `moved by ${(100 * moved).toFixed(1)} points`;
      const label = `${type}: ${share} positive`;
      return element("div", { class: "explorer-row", "data-type": type },
        element("div", {},
          element("code", {}, type), element("div", { class: "explorer-notice" }, note)),
        shape("svg", { viewBox: "0 0 200 18", width: 200, height: 18, role: "img", "aria-label": label },
          shape("rect", { width: 200, height: 18, fill: "currentColor", "fill-opacity": 0.1 }),
          shape("rect", { width: 200 * probability, height: 18, fill: "#0072B2" })),
        element("span", {}, share));
    }

    function drawMap(maps) {
      const size = Math.min(26, 150 / words.length);
      const side = size * words.length;
      const tables = maps.map((tables) => tables[0].map((row, i) => row.map((_, j) =>
        tables.reduce((sum, table) => sum + table[i][j], 0) / tables.length)));
      map.setAttribute("viewBox", `0 0 ${2 * (side + 12) + 70} ${2 * (side + 24)}`);
      map.setAttribute("aria-label", `Weights of the ${tables.length} heads of ${shown}: ` +
        "each word, the word that it looks at most, and with which weight. " +
        tables.map((table, h) => `Head ${h}: ${table.map(strongest).join("; ")}.`).join(" "));
      map.replaceChildren(...tables.flatMap((table, h) => {
        const [left, top] = [70 + (h % 2) * (side + 12), 16 + Math.floor(h / 2) * (side + 24)];
        return [
          mapText(left, top - 4, `head ${h}`),
          ...(h % 2 ? [] : words.map((word, i) => mapText(66, top + size * (i + 0.75),
            word.slice(0, 9), { "text-anchor": "end" }))),
          ...table.flatMap((line, i) => line.map((weight, j) =>
            cell(left + j * size, top + i * size, size, weight,
              `${words[i]} looks at ${words[j]}: ${weight.toFixed(2)}`))),
        ];
      }));
    }
    /** For whom the map cannot be seen: where the word in place i looks most. */
    function strongest(line, i) {
      const most = Math.max(...line);
      return `“${words[i]}” at “${words[line.indexOf(most)]}”, ${most.toFixed(2)}`;
    }
    const mapText = (x, y, text, attributes = {}) =>
      inscription(x, y, text, { "font-size": 11, ...attributes });

    root.replaceChildren(
      element("p", { class: "explorer-slider" },
        element("label", { for: id }, "Your sentence"), input),
      element("p", { class: "explorer-slider" },
        element("label", { for: offered.id }, "Add a word from the reviews"), offered,
        button("Add", add)),
      chips,
      element("p", { class: "explorer-buttons" },
        button("Shuffle the words", () => reorder(() => {
          words = words.map((word) => [Math.random(), word])
            .sort(([a], [b]) => a - b).map(([, word]) => word);
        })),
        button("Start again", () => {
          input.value = FIRST;
          take(FIRST);
        })),
      told,
      element("div", { class: "explorer-columns" }, rows,
        element("div", {}, choice("Weights of", Attention.TYPES, shown, (type) => {
          shown = type;
          draw();
        }), map,
        element("p", { class: "explorer-legend" },
          "Row: the word that looks; column: the word it looks at, in the same order; " +
          "the bluer, the more weight."))),
      element("p", { class: "explorer-buttons" }, saveButton(() => map, "sentence")));
    draw();
  }

  const PARTS = { vectors, step, recall, sentence };

  function mountAll() {
    for (const root of document.querySelectorAll(".explorer[data-part]"))
      PARTS[root.dataset.part](root);
  }

  return { mountAll, recallWeights, unpackClassifier, classify };
})();

// For the tests, which compare it with the package.
window.diffattn = { Attention, ...Explorer };

if (document.readyState === "loading")
  document.addEventListener("DOMContentLoaded", Explorer.mountAll);
else Explorer.mountAll();
