"""The settings of a run: names, defaults, bounds and help texts, in one place."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from functools import partial
from typing import Any, get_args

from diffattn.checks import (
    check_choice,
    check_heads,
    check_int,
    check_number,
    check_scale,
    check_validation_split,
)
from diffattn.data import DATASETS
from diffattn.data.datasets import Dataset, get_dataset
from diffattn.names import BASELINE, MODEL_TYPES

#: A setting that is not given: the data set's own value, or else the documented one.
FITTING = None

#: The settings that make a model, a row of a table: runs of one table may differ in
#: these and the seed alone.
MODEL_SETTINGS = (
    "attention_type",
    "positional_encoding",
    "causal",
    "convolution",
    "layers",
    "block",
)


def _setting(default: Any, help: str, check: Callable | None = None) -> Any:
    """A field of `Config`: its documented default, its help text and its bounds."""
    return field(
        default=FITTING, metadata={"default": default, "help": help, "check": check}
    )


def setting_type(setting: Field) -> Any:
    """Return the type of a field of `Config`, of ``float | None`` the float."""
    return (*get_args(setting.type), setting.type)[0]


def _check_attention_type(name, value):
    """Allow the types of this book, the baseline, and what has been registered."""
    if value not in MODEL_TYPES:
        # Here, not above: the command line's --help does not wait for Keras.
        from diffattn.attention.scores import REGISTRY, get_score

        if "(" not in str(value):
            check_choice(name, value, (*REGISTRY, BASELINE))
        get_score(value)


def _check_spread(name, value):
    """Allow a standard deviation, or None for Keras's own initial embedding."""
    if value is not None:
        check_number(name, value, low=0)


def _check_target(name, value):
    """Allow an accuracy, or None for no such stop."""
    if value is not None:
        check_number(name, value, low=0)
        if value > 1:
            raise ValueError(f"{name} must be at most 1. Received: {name}={value!r}")


def _describe_data():
    """The help text of `Config.data`, with the data sets that there are by then."""
    names = "; ".join(f"'{d.name}' ({d.help})" for d in DATASETS.values())
    return f"{names}; or the path of an aclImdb folder or archive"


#: The largest number that tokens, shapes and TensorFlow's counters have room for.
_MOST = 2**31 - 1
_at_least_1 = partial(check_int, high=_MOST)
_is_share = partial(check_number, low=0, high=1)
_is_positive = partial(check_number, low=0)
_is_seed = partial(check_int, low=0, high=2**31)
_is_flag = partial(check_choice, choices=(True, False))


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that decides a run, besides the machine and the versions.

    What is not given has the value that fits the data set (`diffattn.data.DATASETS`),
    or else the documented one. ``diffattn train --help`` says what each setting is.

    Raises:
        ValueError: on a value out of its bounds; the message names it.

    Example:
        >>> Config().embed_dim, Config(data="imdb").embed_dim
        (32, 512)
    """

    data: str = field(
        default="sample",
        metadata={
            "help": _describe_data,
            "default": "sample",
            "check": None,
        },
    )
    attention_type: str = _setting(
        "scaled_dot_product",
        f"one of {', '.join(MODEL_TYPES)}; none is the mean-pooled baseline",
        _check_attention_type,
    )
    embed_dim: int = _setting(512, "features of the attention layer", _at_least_1)
    num_heads: int = _setting(8, "heads of the attention layer", _at_least_1)
    attention_dropout: float = _setting(
        0.0, "dropout of the attention weights", _is_share
    )
    scale: float | None = _setting(
        None,
        "factor of the scores, instead of the attention type's own",
        lambda name, value: check_scale(value),
    )
    vocabulary_size: int = _setting(
        10_000,
        "tokens, padding and unknown among them",
        # Padding, the unknown word, and one that is known.
        partial(check_int, low=3, high=_MOST),
    )
    sequence_length: int = _setting(
        250, "tokens of a review, cut or padded", _at_least_1
    )
    embedding_dim: int = _setting(16, "features of a token's embedding", _at_least_1)
    positional_encoding: bool = _setting(
        False, "add sines and cosines of its position to a token's embedding", _is_flag
    )
    embedding_spread: float | None = _setting(
        None,
        "standard deviation of the normal numbers that the embedding starts from, "
        "instead of Keras's uniform ones within 0.05",
        _check_spread,
    )
    causal: bool = _setting(
        False, "let each token attend to itself and those before it alone", _is_flag
    )
    convolution: int = _setting(
        1, "tokens that a convolution before the attention sees; 1 is none", _at_least_1
    )
    layers: int = _setting(1, "attention layers, one after the other", _at_least_1)
    block: bool = _setting(
        False, "put each attention layer into a pre-norm Transformer block", _is_flag
    )
    mask_padding: bool = _setting(
        False, "leave padding out of attention and mean", _is_flag
    )
    dropout: float = _setting(0.2, "dropout before the last layer", _is_share)
    batch_size: int = _setting(32, "reviews in a training step", _at_least_1)
    learning_rate: float = _setting(0.001, "Adam's", _is_positive)
    epochs: int = _setting(10, "epochs at most", _at_least_1)
    early_stopping: bool = _setting(
        True,
        "stop when the validation loss falls no more, and keep the best epoch",
        _is_flag,
    )
    min_delta: float = _setting(
        0.001, "a smaller fall of the loss does not count", _is_positive
    )
    patience: int = _setting(5, "epochs without a fall before it stops", _at_least_1)
    target_accuracy: float | None = _setting(
        None, "stop as well once the validation accuracy is as high", _check_target
    )
    validation_split: float = _setting(
        0.2,
        "share of the training reviews set aside",
        lambda name, value: check_validation_split(value),
    )
    split_seed: int = _setting(42, "decides which those are", _is_seed)
    distance: int = _setting(
        1,
        "from the one token to the other: of the pair in 'order', of the swapped words "
        "in 'sentences'",
        _at_least_1,
    )
    repeats: int = _setting(
        1, "how often the deciding pair stands in a text of 'order'", _at_least_1
    )
    pairs: int = _setting(
        8, "pairs of key and value in a text of 'recall'", _at_least_1
    )
    seed: int = _setting(
        0, "of initial weights, order of reviews and dropout", _is_seed
    )
    order_seed: int | None = _setting(
        None, "of the order of reviews alone, instead of the seed", _is_seed
    )

    def __post_init__(self):
        dataset = self.dataset
        for setting in fields(self):
            value = getattr(self, setting.name)
            if value is FITTING:
                usual = setting.metadata["default"]
                value = dataset.settings.get(setting.name, usual)
            elif check := setting.metadata["check"]:
                check(setting.name, value)
            # Paths and NumPy's numbers have no place in a JSON file, and 1 for True
            # none on a command line.
            if value is not None:
                value = setting_type(setting)(value)
            object.__setattr__(self, setting.name, value)
        check_heads(self.embed_dim, self.num_heads)
        check_model(
            attention_type=self.attention_type,
            causal=self.causal,
            layers=self.layers,
            block=self.block,
            embedding_dim=self.embedding_dim,
            embed_dim=self.embed_dim,
        )
        if dataset.check:
            dataset.check(self)

    @property
    def dataset(self) -> Dataset:
        """The entry of `diffattn.data.DATASETS` that `data` names, IMDB for a path."""
        return get_dataset(str(self.data))

    @property
    def label(self) -> str:
        """The model's name in tables, such as "scaled_dot_product + positions".

        It says the attention type, and what of positions, mask, convolution, layers and
        block comes with it.
        """
        parts = {
            self.attention_type: True,
            "positions": self.positional_encoding,
            "causal": self.causal,
            f"convolution {self.convolution}": self.convolution > 1,
            f"{self.layers} layers": self.layers > 1,
            "block": self.block,
        }
        return " + ".join(part for part, is_there in parts.items() if is_there)

    def for_data(self) -> "Config":
        """Its settings that decide the tokens, and the usual ones of all else."""
        names = (
            "data",
            "vocabulary_size",
            "sequence_length",
            "validation_split",
            "split_seed",
            "distance",
            "repeats",
            "pairs",
        )
        return Config(**{name: getattr(self, name) for name in names})

    def command(self) -> list[str]:
        """The command line that repeats the run, as a list of str."""
        usual = Config(data=self.data)
        words = ["diffattn", "train"]
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.name != "data" and value == getattr(usual, setting.name):
                continue
            flag = setting.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            elif str(value).startswith("-"):  # by itself it would be an option
                words.append(f"--{flag}={value}")
            else:
                words += [f"--{flag}", str(value)]
        return words


def check_model(
    *,
    attention_type: str,
    causal: bool,
    layers: int,
    block: bool,
    embedding_dim: int,
    embed_dim: int,
) -> None:
    """Check that the settings of a classifier go together.

    Raises:
        ValueError: if the baseline has what only attention can have, or if a block
            cannot add its input, of `embedding_dim` features, to its output, of
            `embed_dim`.
    """
    if attention_type == BASELINE:
        usual = {
            "causal": (causal, False),
            "layers": (layers, 1),
            "block": (block, False),
        }
        for name, (value, default) in usual.items():
            if value != default:
                raise ValueError(
                    f"{name} is of the attention, which attention_type={BASELINE!r} "
                    f"leaves out. Received: {name}={value!r}"
                )
    if block and embedding_dim != embed_dim:
        raise ValueError(
            "block=True needs as many features before the attention as after it. "
            f"Received: embedding_dim={embedding_dim}, embed_dim={embed_dim}"
        )


def check_settings(**settings: Any) -> None:
    """Check some settings against the bounds that `Config` has for them.

    Raises:
        ValueError: on an unknown setting or a value out of its bounds.
    """
    known = {setting.name: setting for setting in fields(Config)}
    for name, value in settings.items():
        check_choice("setting", name, known)
        if check := known[name].metadata["check"]:
            check(name, value)
