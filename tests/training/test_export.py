"""Exported models: loaded by their own runtimes, they compute what Keras does."""

import importlib
import subprocess
import sys
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from tools import selected, weekly_but, weekly_unless

from diffattn import build_classifier, make_vectorizer
from diffattn.names import MODEL_TYPES

# Keras 3.15.1 still patches np.object for old versions of tf2onnx, which makes NumPy
# warn (keras-team/keras#23095); TensorFlow announces that LiteRT moves to a package.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter:UserWarning"),
]

# More than 65,536 terms. The 37 features of a head go through a loop whose last step is
# padded, and exceed the embedding's 16.
LARGE = {"embed_dim": 74, "num_heads": 2}
# Tokens and whether padding is masked: any number for every type, and where the kernels
# have ways of their own for few terms and for many, both lengths.
CASES = weekly_unless(
    lambda name, tokens, _: (
        (name, tokens)
        in {
            ("scaled_dot_product", None),
            ("differentialSum", None),
            ("differential", None),
            ("differential", 10),
        }
    ),
    [
        *((name, None, True) for name in MODEL_TYPES),
        *((name, 10, False) for name in ("l1_norm", "differential")),
        *((name, 250, True) for name in ("l1_norm", "l2_norm", "differential")),
    ],
)


def classifier(attention_type, tokens, masked=False, **settings):
    """Build a classifier with random biases, and call it: ONNX export requires that."""
    model = build_classifier(
        attention_type,
        sequence_length=tokens,
        mask_padding=masked,
        positional_encoding=masked,
        vocabulary_size=30,
        seed=0,
        **{**LARGE, **settings},
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.normal(size=weight.shape))
    model(batches(tokens)[0])
    return model


def batches(tokens):
    """Make padded tokens of several batch sizes and lengths; the last text is empty."""
    shapes = [(1, 1), (2, 7), (3, 100), (2, 260), (0, 5)]
    if tokens is not None:
        shapes = [(1, tokens), (3, tokens), (0, tokens)]
    rng = np.random.default_rng(0)
    batches = []
    for texts, length in shapes:
        batch = rng.integers(1, 31, (texts, length)).astype("int32")
        for n, text in enumerate(batch):
            text[length - n * length // max(1, texts - 1) :] = 0
        batches.append(batch)
    return batches


@cache
def case(*arguments):
    """Return the model of one of `CASES` and the logits that Keras computes."""
    model = classifier(*arguments)
    return model, [model(batch) for batch in batches(arguments[1])]


def check(run, expected, tokens, empty=True):
    """Compare the logits of all batches, empty ones if the converter allows them."""
    for batch, logits in zip(batches(tokens), expected, strict=True):
        if empty or len(batch):
            np.testing.assert_allclose(run(batch), logits, rtol=1e-5, atol=2e-6)


def onnx_session(path):
    session = importlib.import_module("onnxruntime").InferenceSession(path)
    (tokens,) = session.get_inputs()
    return lambda batch: session.run(None, {tokens.name: batch})[0]


def litert_interpreter(path):
    interpreter = tf.lite.Interpreter(str(path))
    (tokens,) = interpreter.get_input_details()

    def run(batch):
        interpreter.resize_tensor_input(tokens["index"], batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(tokens["index"], batch)
        interpreter.invoke()
        (logit,) = interpreter.get_output_details()
        return interpreter.get_tensor(logit["index"])

    return run


def needs_onnx():
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def saved(request, tmp_path_factory):
    """A folder with the logits of SavedModels in a process that lacks this package."""
    folder = tmp_path_factory.mktemp("saved")
    wanted = [test for test in selected(request) if "masked" in test]
    for attention_type, tokens, masked in {tuple(test.values()) for test in wanted}:
        name = f"{attention_type}-{tokens}"
        model, _ = case(attention_type, tokens, masked)
        model.export(folder / name, verbose=False)
        np.savez(folder / f"{name}.npz", *batches(tokens))
    program = """
import pathlib, sys
import numpy as np
import tensorflow as tf
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.npz")):
    model = tf.saved_model.load(str(path.with_suffix("")))
    answers = [model.serve(tf.constant(x)) for x in np.load(path).values()]
    np.savez(str(path.with_suffix(".answers")), *answers)
assert "diffattn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, folder], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(("attention_type", "tokens", "masked"), CASES)
def test_a_saved_model_gives_the_same_logits_in_another_process(
    saved, attention_type, tokens, masked
):
    _, expected = case(attention_type, tokens, masked)
    answers = np.load(saved / f"{attention_type}-{tokens}.answers.npz").values()
    for answer, logits in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer, logits, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("attention_type", "tokens", "masked"), CASES)
def test_onnx_gives_the_same_logits(tmp_path, attention_type, tokens, masked):
    needs_onnx()
    model, expected = case(attention_type, tokens, masked)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    check(onnx_session(tmp_path / "model.onnx"), expected, tokens)


@pytest.mark.parametrize(("attention_type", "tokens", "masked"), CASES)
def test_litert_gives_the_same_logits(tmp_path, attention_type, tokens, masked):
    model, expected = case(attention_type, tokens, masked)
    path = tmp_path / "model.tflite"
    model.export(path, format="litert", verbose=False)
    check(litert_interpreter(path), expected, tokens, empty=False)


# tf2onnx (1.17.0) confuses the shape of a projection with that of its matrix product,
# and moves reshapes past an axis of length 1.
@pytest.mark.parametrize(
    "attention_type",
    weekly_but(["scaled_dot_product", "differential"], "scaled_dot_product"),
)
@pytest.mark.parametrize(
    ("heads", "head_dim", "features"), [(8, 8, 16), (4, 16, 16), (1, 16, 8), (1, 1, 1)]
)
def test_onnx_gives_the_same_logits_for_any_heads(
    tmp_path, attention_type, heads, head_dim, features
):
    needs_onnx()
    sizes = {"embed_dim": heads * head_dim, "num_heads": heads}
    model = classifier(attention_type, None, embedding_dim=features, **sizes)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    expected = [model(batch) for batch in batches(None)]
    check(onnx_session(tmp_path / "model.onnx"), expected, None, empty=False)


@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_xla_compiles_only_what_is_not_exported(attention_type):
    """Every way to export begins with a concrete function."""

    def functions_for_xla(graph):
        library = graph.as_graph_def().library.function
        return [f for f in library if f.attr["_XlaMustCompile"].b]

    model, _ = case(attention_type, 250, True)
    signature = tf.TensorSpec((None, 250), "int32")
    assert not functions_for_xla(
        tf.function(model).get_concrete_function(signature).graph
    )
    graphs = []

    @tf.function
    def run(tokens):
        graphs.append(tf.compat.v1.get_default_graph())
        return model(tokens)

    run(batches(250)[0])
    compiled = {"cosine_similarity", "l1_norm", "l2_norm", "differential"}
    assert bool(functions_for_xla(graphs[0])) == (attention_type in compiled)


@pytest.mark.parametrize("attention_type", ["l1_norm", "differential"])
def test_a_saved_model_can_be_trained_further(tmp_path, attention_type):
    model = classifier(attention_type, 100)
    model.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "model"))
    _, tokens, _ = batches(100)
    gradients = []
    for run, weights in [
        (served.serve, list(served.trainable_variables)),
        (model, [weight.value for weight in model.trainable_weights]),
    ]:
        with tf.GradientTape() as tape:
            logits = run(tf.constant(tokens))
        gradients.append(tape.gradient(logits, weights))
    for saved, original in zip(*gradients, strict=True):
        saved, original = map(tf.convert_to_tensor, (saved, original))
        np.testing.assert_allclose(saved, original, rtol=1e-4, atol=1e-5)


def text_model():
    """Build a model from raw strings to probabilities, like a run's."""
    vectorizer = make_vectorizer(["good fun film", "dull bad film"], 10, 6)
    text = keras.Input((), dtype="string", name="text")
    logit = classifier("l1_norm", 6)(vectorizer(text))
    return keras.Model(text, keras.layers.Activation("sigmoid")(logit))


def test_the_model_of_texts_can_be_exported(tmp_path):
    model = text_model()
    model.export(tmp_path / "model", verbose=False)
    texts = tf.constant(["Good fun!", "dull <br /> BAD film", ""])
    served = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(served.serve(texts), model(texts), rtol=1e-6)


@pytest.mark.parametrize(("kind", "name"), [("onnx", "m.onnx"), ("litert", "m.tflite")])
def test_other_formats_refuse_texts_and_take_tokens(tmp_path, kind, name):
    if kind == "onnx":
        needs_onnx()
    model, path = text_model(), tmp_path / name
    model(tf.constant(["film"]))
    with pytest.raises(ValueError, match=r"cannot process text: export .*layers\[2\]"):
        model.export(path, format=kind, verbose=False)
    assert not path.exists()
    model.layers[2].export(path, format=kind, verbose=False)
    load = onnx_session if kind == "onnx" else litert_interpreter
    expected = [model.layers[2](batch) for batch in batches(6)]
    check(load(path), expected, 6, empty=False)
