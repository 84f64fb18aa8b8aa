// Exercises that grade themselves: the reader writes a score in Python, and the page runs
// it. Plain JavaScript, which asks nothing of any server and works from a file.
//
// Each is an element with class="exercise-code" data-score="l1_norm". What the reader's
// code returns is compared with `Attention` of explorer.js, and where it is wrong, with the
// answers that likely mistakes give; tests/test_exercises.py holds all of it to the package.
//
// The reader's code runs in MicroPython (python/micropython.js, loaded on the first run), in
// a worker of a frame that belongs to no site and may load nothing. Neither the page nor a
// network is in its reach, and an endless loop ends with the frame.

"use strict";

const Exercises = (() => {
  const SECONDS = 5; // for the reader's code
  const LONGEST = 20000; // letters of it; a browser stands still over a million lines
  const SECONDS_TO_START = 60; // for Python itself, on a slow machine
  const PYTHON = new URL("../python/micropython.js", document.currentScript.src).href;

  // ---- What is asked ------------------------------------------------------------

  /** What the reader begins with: every score is 0. */
  const stub = (type) => `def score(q, k):
    # q has T rows, and k has S rows, of d numbers each.
    return [[${type === "differential" ? "[0.0] * len(key)" : "0.0"} for key in k] for query in q]
`;

  const DOT = `def dot(x, y):
    return sum(a * b for a, b in zip(x, y))
`;

  const SOLUTIONS = {
    scaled_dot_product: `import math


${DOT}

def score(q, k):
    root = math.sqrt(len(q[0]))
    return [[dot(query, key) / root for key in k] for query in q]
`,
    cosine_similarity: `import math


${DOT}

def cosine(x, y):
    lengths = math.sqrt(dot(x, x)) * math.sqrt(dot(y, y))
    return dot(x, y) / lengths if lengths > 0 else 0.0


def score(q, k):
    return [[cosine(query, key) for key in k] for query in q]
`,
    l1_norm: `def distance(x, y):
    return sum(abs(a - b) for a, b in zip(x, y))


def score(q, k):
    return [[-distance(query, key) for key in k] for query in q]
`,
    l2_norm: `import math


def distance(x, y):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y)))


def score(q, k):
    return [[-distance(query, key) for key in k] for query in q]
`,
    differentialSum: `${DOT}

def before(x):
    return [[0.0] * len(x[0])] + x[:-1]


def score(q, k):
    old_q, old_k = before(q), before(k)
    return [
        [dot(q[i], k[j]) - dot(old_q[i], old_k[j]) for j in range(len(k))]
        for i in range(len(q))
    ]
`,
    differential: `def before(x):
    return [[0.0] * len(x[0])] + x[:-1]


def change(x, y, old_x, old_y):
    return [a * b - c * d for a, b, c, d in zip(x, y, old_x, old_y)]


def score(q, k):
    old_q, old_k = before(q), before(k)
    return [
        [change(q[i], k[j], old_q[i], old_k[j]) for j in range(len(k))]
        for i in range(len(q))
    ]
`,
  };

  const DIFFERENTIAL = ["differentialSum", "differential"];

  /** The right answer: (T, S), and for `differential` (T, S, d). */
  function answer(type, q, k) {
    const tables = window.diffattn.Attention.scores(type, q, k);
    if (type !== "differential") return tables[0];
    return q.map((_, i) => k.map((_, j) => tables.map((table) => table[i][j])));
  }

  // ---- Likely mistakes ----------------------------------------------------------

  const sum = (x) => x.reduce((total, value) => total + value, 0);
  const dot = (x, y) => sum(x.map((value, c) => value * y[c]));
  const minus = (x, y) => x.map((value, c) => value - y[c]);
  const length = (x) => Math.sqrt(dot(x, x));
  const norm1 = (x) => sum(x.map(Math.abs));

  /** A table from a function of a query and a key. */
  const pairs = (score) => (q, k) => q.map((x) => k.map((y) => score(x, y, q, k)));

  /**
   * A table from a function of a feature of query and key (a, b), of those before (c, d)
   * and of those after (e, f). At the ends there is zero, or with `wrap` the other end.
   */
  const steps = (type, change, wrap = false) => (q, k) => {
    const zero = q[0].map(() => 0);
    const at = (x, n) => x[wrap ? (n + x.length) % x.length : n] ?? zero;
    const total = type === "differential" ? (x) => x : sum;
    return q.map((_, i) => k.map((_, j) => total(q[0].map((_, c) => change(
      q[i][c], k[j][c], at(q, i - 1)[c], at(k, j - 1)[c], at(q, i + 1)[c], at(k, j + 1)[c])))));
  };

  const MISTAKES = {
    scaled_dot_product: [
      ["These are the dot products: the scale is missing. Divide by √d.", pairs(dot)],
      ["You divide by d. The scale is its square root.", pairs((x, y) => dot(x, y) / x.length)],
      ["You multiply by √d: divide by it.", pairs((x, y) => dot(x, y) * Math.sqrt(x.length))],
      ["You divide by the root of the number of queries. d is the number of features, len(q[0]).",
        pairs((x, y, q) => dot(x, y) / Math.sqrt(q.length))],
      ["You divide by the root of the number of keys. d is the number of features, len(k[0]).",
        pairs((x, y, q, k) => dot(x, y) / Math.sqrt(k.length))],
      ["These are the cosines. Divide by √d, not by the lengths of the vectors.",
        pairs((x, y) => dot(x, y) / length(x) / length(y))],
    ],
    cosine_similarity: [
      ["These are the dot products: divide by the lengths of both vectors.", pairs(dot)],
      ["You divide by the length of the query alone: divide by that of the key as well.",
        pairs((x, y) => dot(x, y) / length(x))],
      ["You divide by the length of the key alone: divide by that of the query as well.",
        pairs((x, y) => dot(x, y) / length(y))],
      ["You divide by the squared lengths: take their square roots.",
        pairs((x, y) => dot(x, y) / dot(x, x) / dot(y, y))],
      ["You divide by the sum of the two lengths: divide by their product.",
        pairs((x, y) => dot(x, y) / (length(x) + length(y)))],
      ["This is the cosine distance, 1 − cos. The score is the cosine itself.",
        pairs((x, y) => 1 - dot(x, y) / length(x) / length(y))],
    ],
    l1_norm: [
      ["The absolute value is missing: features that are too large and too small cancel.",
        pairs((x, y) => -sum(minus(x, y)))],
      ["The absolute value is missing: features that are too large and too small cancel.",
        pairs((x, y) => sum(minus(x, y)))],
      ["You take the absolute value of the sum: take it of each feature.",
        pairs((x, y) => -Math.abs(sum(minus(x, y))))],
      ["These are the L2 distances: L1 has no squares and no root.",
        pairs((x, y) => -length(minus(x, y)))],
      ["You square the differences: take their absolute values.",
        pairs((x, y) => -(length(minus(x, y)) ** 2))],
      ["This is the mean over the features: take the sum.",
        pairs((x, y) => -norm1(minus(x, y)) / x.length)],
      ["This is the largest difference alone: add up those of all features.",
        pairs((x, y) => -Math.max(...minus(x, y).map(Math.abs)))],
    ],
    l2_norm: [
      ["The square root is missing: these are the squared distances.",
        pairs((x, y) => -(length(minus(x, y)) ** 2))],
      ["The square root is missing, and the minus sign too.",
        pairs((x, y) => length(minus(x, y)) ** 2)],
      ["This is minus half the squared distance: take the square root, and not the half.",
        pairs((x, y) => -(length(minus(x, y)) ** 2) / 2)],
      ["These are the L1 distances. Add up the squares first, then take one root of the sum.",
        pairs((x, y) => -norm1(minus(x, y)))],
      ["This is the difference of the two lengths: take the length of the difference.",
        pairs((x, y) => -Math.abs(length(x) - length(y)))],
      ["This is the root of the mean: take the root of the sum.",
        pairs((x, y) => -length(minus(x, y)) / Math.sqrt(x.length))],
    ],
  };

  for (const type of DIFFERENTIAL)
    MISTAKES[type] = [
      ["These are the products alone: subtract the product of the two tokens before.",
        steps(type, (a, b) => a * b)],
      ["The first token gets the last one as its predecessor: in Python, q[-1] is the last " +
        "row. Before the first token there is nothing, a vector of zeros.",
      steps(type, (a, b, c, d) => a * b - c * d, true)],
      ["You add the product of the tokens before: subtract it.",
        steps(type, (a, b, c, d) => a * b + c * d)],
      ["Only the query steps back: subtract the product of the query and the key before.",
        steps(type, (a, b, c) => a * b - c * b)],
      ["Only the key steps back: subtract the product of the query and the key before.",
        steps(type, (a, b, c, d) => a * b - a * d)],
      ["This is the product of the two changes. The score is the change of the product.",
        steps(type, (a, b, c, d) => (a - c) * (b - d))],
      ["You subtract the product of the tokens after: take those before.",
        steps(type, (a, b, c, d, e, f) => a * b - e * f)],
      ["You subtract the product of the tokens after: take those before.",
        steps(type, (a, b, c, d, e, f) => a * b - e * f, true)],
      ["This is one half of the product rule: the change of the query times the key is missing.",
        steps(type, (a, b, c, d) => c * (b - d))],
      ["Both halves of your product rule take the old token. One of them takes the new one.",
        steps(type, (a, b, c, d) => c * (b - d) + (a - c) * d)],
      ["Both halves of your product rule take the new token. One of them takes the old one.",
        steps(type, (a, b, c, d) => a * (b - d) + (a - c) * b)],
    ];

  const SIGN = {
    l1_norm: "The minus sign is missing. These are the distances: the nearest key would " +
      "get the smallest score.",
    differentialSum: "The sign is wrong: the product now, minus the product before.",
  };
  SIGN.l2_norm = SIGN.l1_norm;
  SIGN.differential = SIGN.differentialSum;

  // ---- Grading ------------------------------------------------------------------

  /** A standard normal number. */
  const normal = () =>
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

  const draw = (rows, columns) =>
    Array.from({ length: rows }, () => Array.from({ length: columns }, normal));

  /** Queries and keys to try; all sizes differ, so that no mistake can hide. */
  function makeCases(type) {
    const cases = [[3, 4, 2], [5, 2, 3]].map(([T, S, d]) => ({ q: draw(T, d), k: draw(S, d) }));
    if (type === "cosine_similarity") {
      const [q, k] = [draw(2, 4), draw(3, 4)];
      q[1] = k[0] = [0, 0, 0, 0];
      cases.push({ q, k, zero: true });
    }
    return cases;
  }

  const close = (x, y) => Math.abs(x - y) <= 1e-6 * Math.max(1, Math.abs(y));
  const same = (x, y) => Array.isArray(y)
    ? Array.isArray(x) && x.length === y.length && x.every((value, n) => same(value, y[n]))
    : close(x, y);

  /** The lengths of nested lists, or null where they are ragged. */
  function shapeOf(x) {
    if (!Array.isArray(x)) return [];
    const inner = x.map(shapeOf);
    const first = inner[0] ?? [];
    if (inner.some((shape) => String(shape) !== String(first) || shape === null)) return null;
    return [x.length, ...first];
  }

  const spelled = (shape) => shape.join(" × ");
  const transposed = (x) => x[0].map((_, j) => x.map((row) => row[j]));
  const flat = (x) => (Array.isArray(x) ? x.flatMap(flat) : [x]);

  /** What is wrong with the shape or the kind of an answer; nothing if it is right. */
  function wrongShape(type, { q, k }, found) {
    const [T, S, d] = [q.length, k.length, q[0].length];
    const wanted = type === "differential" ? [T, S, d] : [T, S];
    const need = `For ${T} queries and ${S} keys of ${d} features, score has to return a ` +
      `list of ${T} lists, with ${type === "differential"
        ? `${S} lists of ${d} numbers in each` : `${S} numbers in each`}`;
    if (found === "NoneType") return "score returned None: is there a return?";
    if (!Array.isArray(found))
      return `${need}. It returned ${typeof found === "number" ? "one number" : `a ${found}`}.`;
    const other = flat(found).find((x) => typeof x !== "number" && !["nan", "inf"].includes(x));
    if (other !== undefined) return `${need}. Among its numbers is a ${other}.`;
    const shape = shapeOf(found);
    if (shape === null) return `${need}. Its lists differ in length.`;
    if (String(shape) === String(wanted)) return "";
    if (same(found, transposed(answer(type, q, k))))
      return "Rows and columns are exchanged: each query needs a row, and each key a column.";
    if (type === "differential" && String(shape) === String([T, S]))
      return "There is one number for each pair. Each pair needs a list with a number for " +
        "each feature: leave out the sum.";
    if (type === "differential" && String(shape) === String([d, T, S]))
      return "The features come last: a list of d numbers for each pair.";
    if (type !== "differential" && String(shape) === String([T, S, d]))
      return "There is one number for each feature: add them up for each pair.";
    return `${need}. What it returned has the shape ${spelled(shape)}.`;
  }

  const number = (x) => (typeof x === "number" ? x.toFixed(4).replace("-", "−") : String(x));

  /** The first place where two tables differ, in words. */
  function example(found, right, place = []) {
    if (!Array.isArray(right))
      return close(found, right) ? "" :
        `the score of query ${place[0]} and key ${place[1]}` +
        `${place.length > 2 ? ` for feature ${place[2]}` : ""} ` +
        `should be ${number(right)}, and yours is ${number(found)}`;
    for (const [n, value] of right.entries()) {
      const text = example(found[n], value, [...place, n]);
      if (text) return text;
    }
    return "";
  }

  /** The number by which all answers are too large, or nothing. */
  function commonFactor(found, right) {
    const [x, y] = [flat(found), flat(right)];
    const factor = x[0] / y[0];
    return Number.isFinite(factor) && x.every((value, n) => close(value, factor * y[n]))
      ? factor : undefined;
  }

  /** What is wrong with the numbers of an answer whose shape is right. */
  function wrongNumbers(type, cases, found) {
    const right = cases.map(({ q, k }) => answer(type, q, k));
    const gives = (mistake) => cases.every(({ q, k }, n) => same(found[n], mistake(q, k)));
    const bad = flat(found).find((x) => typeof x !== "number");
    if (bad) return `Some scores are ${bad === "nan" ? "not a number (nan)" : "infinite"}.`;
    const known = MISTAKES[type].find(([, mistake]) => gives(mistake));
    if (known) return known[0];
    const factor = commonFactor(found, right);
    if (factor !== undefined && close(factor, -1))
      return SIGN[type] ?? "The sign is wrong: these are the scores times −1.";
    if (factor !== undefined && close(factor, 0)) return "All scores are 0.";
    if (factor !== undefined)
      return `Every score is ${number(factor)} times what it should be.`;
    const wrong = found.findIndex((x, n) => !same(x, right[n]));
    const told = example(found[wrong], right[wrong]);
    const inside = (x) => x.slice(1).map((row) => row.slice(1));
    if (DIFFERENTIAL.includes(type) && found.every((x, n) => same(inside(x), inside(right[n]))))
      return "Only the first row or column is wrong. The first token has none before it: " +
        `count that one as zeros, and keep the product. Here ${told}.`;
    if (wrong > 0) {
      const { q, k } = cases[wrong];
      return `Right for some sizes, but not for ${q.length} queries and ${k.length} keys of ` +
        `${q[0].length} features: ${told}.`;
    }
    return `Not yet: ${told}.`;
  }

  /**
   * Grade what the reader's code returned.
   *
   * @param {string} type - one of the six scores.
   * @param {{q: number[][], k: number[][], zero?: boolean}[]} cases
   * @param {object} result - of the worker: `answers`, one for each case as far as it got,
   *   and `error` of the case at which it stopped, if it did.
   * @returns {{right: boolean, message: string}}
   */
  function grade(type, cases, { answers = [], error }) {
    const ZERO = "Right, except where a vector is zero: there is no angle, and the score is 0.";
    const usual = cases.filter((one) => !one.zero);
    for (const [n, found] of answers.entries()) {
      const message = wrongShape(type, cases[n], found);
      if (message) return { right: false, message };
    }
    if (error && answers.length < usual.length) return { right: false, message: explain(error) };
    const found = answers.slice(0, usual.length);
    if (!usual.every(({ q, k }, n) => same(found[n], answer(type, q, k))))
      return { right: false, message: wrongNumbers(type, usual, found) };
    if (error) return { right: false, message: `${ZERO} ${explain(error)}` };
    if (!cases.every(({ q, k }, n) => same(answers[n], answer(type, q, k))))
      return { right: false, message: ZERO };
    const count = flat(answers).length;
    return { right: true, message: `Right: all ${count} scores of random queries and keys agree.` };
  }

  /** An exception in words: its line, and the last line of its traceback, if long, cut. */
  function explain(text) {
    const whole = text.trim().split("\n").pop();
    const last = whole.length > 1000 ? `${whole.slice(0, 1000)}…` : whole;
    const line = [...text.matchAll(/File "answer\.py", line (\d+)/g)].pop();
    const hint = /no module named 'numpy/.test(last)
      ? " Here is plain Python, with lists and the module math." : "";
    return (line ? `Line ${line[1]}: ${last}` : last) + hint;
  }

  // ---- Running ------------------------------------------------------------------

  /** What the worker does; `loadMicroPython` is in the program before it. */
  function work() {
    const MOST = 10000; // characters of output
    const LARGEST = 100000; // characters of an answer; a right one has some thousand
    const send = self.postMessage.bind(self);
    const define = (name, value) =>
      Object.defineProperty(self, name, { value, configurable: value !== undefined });
    const UNWANTED = ["fetch", "XMLHttpRequest", "WebSocket", "WebSocketStream", "EventSource",
      "WebTransport", "importScripts", "indexedDB", "caches", "BroadcastChannel", "Worker",
      "SharedWorker"];
    // Through these two modules Python would reach JavaScript's objects.
    const BEGIN = `
import sys
for name in ("js", "jsffi"):
    sys.modules[name] = None

def encode(x, depth=0):
    if isinstance(x, (list, tuple)) and depth < 4:
        return "[" + ",".join([encode(y, depth + 1) for y in x]) + "]"
    if isinstance(x, (int, float)) and not isinstance(x, bool):
        x = float(x)
        return repr(x) if x - x == 0 else '"nan"' if x != x else '"inf"'
    return '"' + type(x).__name__ + '"'

space = {"__name__": "__main__"}
`;
    const FIND = `
exec(compile(code, "answer.py", "exec"), space)
if not callable(space.get("score")):
    raise NameError("there is no function score(q, k)")
`;

    self.onmessage = async ({ data: { wasm, code, cases } }) => {
      // Python asks for its own program by fetch: this answers, and nothing else is asked.
      const type = { headers: { "Content-Type": "application/wasm" } };
      define("fetch", async () => new Response(wasm, type));
      const bytes = [];
      const python = await loadMicroPython({
        url: "micropython.wasm",
        linebuffer: false,
        stdout: ([byte]) => bytes.length <= MOST && bytes.push(byte),
        stderr: () => {},
      });
      for (const name of UNWANTED) define(name, undefined);
      const result = { state: "done", answers: [] };
      try {
        python.runPython(BEGIN);
        python.globals.set("code", code);
        send({ state: "ready" });
        python.runPython(FIND);
        for (const { q, k } of cases) {
          const given = `${JSON.stringify(q)}, ${JSON.stringify(k)}`;
          python.runPython(`answer = encode(space["score"](${given}))`);
          const text = python.globals.get("answer");
          if (text.length > LARGEST) throw new Error("score returned far too much");
          result.answers.push(JSON.parse(text));
        }
      } catch (error) {
        result.error = String(error.message);
      }
      const output = new TextDecoder().decode(new Uint8Array(bytes.slice(0, MOST)));
      send({ ...result, output, isCut: bytes.length > MOST });
    };
  }

  // A frame without an origin that may load nothing but blobs; its worker inherits that.
  const FRAME = `<!doctype html><title>Python</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:">
<script>
onmessage = ({ data: { program, ...job } }) => {
  const blob = new Blob([program], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(blob));
  worker.onmessage = ({ data }) => parent.postMessage(data, "*");
  worker.onerror = () => parent.postMessage({ state: "failed" }, "*");
  worker.postMessage(job);
};
parent.postMessage({ state: "loaded" }, "*");
</script>`;

  let python; // a promise of MicroPython's two files

  function loadPython() {
    python ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = PYTHON;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    }).then(async () => {
      const { files } = window.diffattnMicroPython;
      return {
        program: asScript(await unpack(files["micropython.mjs"]).text()),
        wasm: await unpack(files["micropython.wasm"]).arrayBuffer(),
      };
    });
    python.catch(() => (python = undefined)); // the next run tries again
    return python;
  }

  /** The module as a script: a frame without an origin may not start workers of modules. */
  function asScript(module) {
    const text = module
      .replace(/\bexport default \w+;/, "")
      .replace(/\bexport (?=async function loadMicroPython\b)/, "")
      .replaceAll("import.meta.url", '""');
    return `(async () => {\n${text}\n;(${work})();\n})();`;
  }

  /** What base64 and gzip have packed, as a response. */
  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  }

  /** Run the reader's code on the cases, and say what came of it; `started` is called once. */
  async function run(code, cases, started) {
    let files;
    try {
      files = await loadPython();
    } catch {
      return { state: "failed" };
    }
    return new Promise((resolve) => {
      const frame = document.createElement("iframe");
      let timer = setTimeout(() => finish({ state: "failed" }), 1000 * SECONDS_TO_START);
      const finish = (result) => {
        clearTimeout(timer);
        window.removeEventListener("message", listen);
        frame.remove(); // and its worker with it
        resolve(result);
      };
      const listen = ({ source, data }) => {
        if (source !== frame.contentWindow) return;
        if (data?.state === "loaded") source.postMessage({ ...files, code, cases }, "*");
        else if (data?.state === "ready") {
          clearTimeout(timer);
          timer = setTimeout(() => finish({ state: "endless" }), 1000 * SECONDS);
          started();
        } else finish(data);
      };
      window.addEventListener("message", listen);
      frame.setAttribute("sandbox", "allow-scripts");
      frame.title = "Python";
      frame.hidden = true;
      frame.srcdoc = FRAME;
      document.body.append(frame);
    });
  }

  /** The verdict on a run, whatever came of it. */
  function judge(type, cases, result) {
    if (result?.state === "endless")
      return { right: false, message: `Your code did not end within ${SECONDS} seconds.` };
    if (result?.state !== "done")
      return { right: false, message: "Python did not start in this browser." };
    try {
      return grade(type, cases, result);
    } catch { // what a reader has sent past the harness
      return { right: false, message: "The answer cannot be read." };
    }
  }

  // ---- The editor ---------------------------------------------------------------

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  // Browsers may refuse to store anything; then nothing is kept.
  const stored = {
    get(key) {
      try { return localStorage.getItem(key); } catch { return null; }
    },
    set(key, text) {
      try { localStorage.setItem(key, text); } catch { /* not kept */ }
    },
    remove(key) {
      try { localStorage.removeItem(key); } catch { /* was not kept */ }
    },
  };

  /** Put text in the place of what is selected, if it fits, so that it can be undone. */
  function insert(area, text) {
    const replaced = area.selectionEnd - area.selectionStart;
    if (area.value.length - replaced + text.length > LONGEST) return;
    if (text.split("\n").length > 100) { // the command would take seconds, or minutes
      area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
      area.dispatchEvent(new Event("input"));
      return;
    }
    const done = text ? document.execCommand("insertText", false, text)
      : document.execCommand("delete");
    if (!done) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  }

  /** Indent the chosen lines by four spaces, or take up to four away. */
  function indent(area, back) {
    const { selectionStart: start, selectionEnd: end, value } = area;
    if (start === end && !back) return insert(area, "    ");
    // Where a place of −1 would count as 0: an empty first line would be left out.
    const first = start ? value.lastIndexOf("\n", start - 1) + 1 : 0;
    const lines = value.slice(first, end).split("\n");
    const moved = lines.map((line) => (back ? line.replace(/^ {1,4}/, "") : `    ${line}`));
    const text = moved.join("\n");
    if (text === lines.join("\n")) return undefined;
    area.setSelectionRange(first, end);
    insert(area, text);
    if (start === end) {
      const place = Math.max(first, start + moved[0].length - lines[0].length);
      area.setSelectionRange(place, place);
    } else area.setSelectionRange(first, first + text.length);
    return undefined;
  }

  /** A new line, as far in as the one before, and further after a colon. */
  function breakLine(area) {
    const line = area.value.slice(0, area.selectionStart).split("\n").pop();
    insert(area, `\n${/^ */.exec(line)[0]}${/:\s*$/.test(line) ? "    " : ""}`);
  }

  let count = 0;

  function mount(root) {
    const type = root.dataset.score;
    const id = `exercise-code-${(count += 1)}`;
    const key = `diffattn-exercise-${type}`;
    let leaves = false; // Escape was pressed: the next Tab leaves the editor
    let isRunning = false;

    const area = element("textarea", {
      id, rows: 12, maxlength: LONGEST, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
      autocorrect: "off", wrap: "off", "aria-describedby": `${id}-keys`,
      oninput: () => stored.set(key, area.value),
      onblur: () => (leaves = false),
      onkeydown: press,
    });
    area.value = (stored.get(key) ?? stub(type)).slice(0, LONGEST);
    const verdict = element("p", { class: "exercise-verdict", role: "status" });
    const output = element("pre", {
      tabindex: 0, role: "group", "aria-label": "What your code printed", hidden: "",
    });
    const solution = element("pre", {
      id: `${id}-solution`, tabindex: 0, role: "group", "aria-label": "A solution", hidden: "",
    }, SOLUTIONS[type]);
    const runs = element("button", { type: "button", onclick: attempt }, "Run");
    const shows = element("button", {
      type: "button", "aria-expanded": "false", "aria-controls": solution.id, hidden: "",
      onclick: () => showSolution(solution.hidden),
    }, "Show a solution");

    function showSolution(shown) {
      solution.hidden = !shown;
      shows.setAttribute("aria-expanded", String(shown));
      shows.textContent = shown ? "Hide the solution" : "Show a solution";
    }

    function press(event) {
      const leaving = leaves;
      if (event.key !== "Shift") leaves = event.key === "Escape";
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) attempt();
      else if (event.key === "Enter" && !event.isComposing) breakLine(area);
      else if (event.key === "Tab" && !leaving) indent(area, event.shiftKey);
      else return;
      event.preventDefault();
    }

    function say(text, right) {
      verdict.textContent = text;
      verdict.classList.toggle("exercise-right", right === true);
      verdict.classList.toggle("exercise-wrong", right === false);
    }

    async function attempt() {
      if (isRunning) return;
      isRunning = true;
      runs.setAttribute("aria-disabled", "true"); // not disabled: that would lose the focus
      output.hidden = true;
      say("Python is starting.");
      const cases = makeCases(type);
      const result = await run(area.value, cases, () => say("Your code is running."));
      const { right, message } = judge(type, cases, result);
      say(message, right);
      const printed = String(result?.output ?? "");
      output.textContent = printed + (result?.isCut ? "\n… and more." : "");
      output.hidden = !printed;
      shows.hidden = false;
      runs.removeAttribute("aria-disabled");
      isRunning = false;
    }

    function reset() {
      area.focus();
      area.select();
      insert(area, stub(type)); // which can be undone
      stored.remove(key);
      say("");
      output.hidden = true;
      showSolution(false);
    }

    root.replaceChildren(
      element("label", { for: id }, "Your Python"), area,
      element("p", { id: `${id}-keys`, class: "exercise-keys" },
        "Tab indents; Escape and then Tab leaves the editor. Ctrl + Enter runs your code. " +
        "It stays in your browser."),
      element("p", { class: "explorer-buttons" },
        runs, element("button", { type: "button", onclick: reset }, "Reset"), shows),
      verdict, output, solution);
  }

  function mountAll() {
    for (const root of document.querySelectorAll(".exercise-code[data-score]")) mount(root);
  }

  return { mountAll, SOLUTIONS, MISTAKES };
})();

// For the tests, which run the solutions elsewhere.
window.diffattnExercises = Exercises;

if (document.readyState === "loading")
  document.addEventListener("DOMContentLoaded", Exercises.mountAll);
else Exercises.mountAll();
