"""The settings of a run: names, defaults, bounds and help texts, in one place."""

from dataclasses import dataclass, field, fields

from diffattn import ATTENTION_TYPES
from diffattn.checks import (
    check_choice,
    check_heads,
    check_int,
    check_number,
    check_scale,
    check_validation_split,
)

#: What a classifier can have between embedding and mean; "none" is nothing at
#: all, the mean-pooled baseline that the published table measured.
MODEL_TYPES = (*ATTENTION_TYPES, "none")

#: What the generated data need, where the documented setting differs.
DATA_SETTINGS = {
    "sample": {
        "embed_dim": 32,
        "num_heads": 4,
        "sequence_length": 32,
        "mask_padding": True,
        "learning_rate": 0.003,
        "patience": 3,
    },
    "order": {
        "embed_dim": 64,
        "num_heads": 4,
        "vocabulary_size": 21,
        "sequence_length": 24,
        "epochs": 15,
        "early_stopping": False,
    },
}


def _setting(default, help):
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that decides a run, besides the machine and the versions.

    The defaults are the documented ones, for the IMDB reviews; `Config.make`
    takes those that fit the data. ``diffattn train --help`` says what each is.

    Raises:
        ValueError: on a value out of its bounds; the message names it.
    """

    data: str = _setting(
        "sample",
        "'sample' (built-in reviews), 'order' (which of two tokens comes first), "
        "'imdb' (downloaded once) or the path of an aclImdb folder or archive",
    )
    attention_type: str = _setting(
        "scaled_dot_product",
        f"one of {', '.join(MODEL_TYPES)}; none is the mean-pooled baseline",
    )
    embed_dim: int = _setting(512, "features of the attention layer")
    num_heads: int = _setting(8, "heads of the attention layer")
    attention_dropout: float = _setting(0.0, "dropout of the attention weights")
    scale: float | None = _setting(
        None, "factor of the scores, instead of the attention type's own"
    )
    vocabulary_size: int = _setting(10_000, "tokens, padding and unknown among them")
    sequence_length: int = _setting(250, "tokens of a review, cut or padded")
    embedding_dim: int = _setting(16, "features of a token's embedding")
    positional_encoding: bool = _setting(
        False, "add sines and cosines of its position to a token's embedding"
    )
    mask_padding: bool = _setting(False, "leave padding out of attention and mean")
    dropout: float = _setting(0.2, "dropout before the last layer")
    batch_size: int = _setting(32, "reviews in a training step")
    learning_rate: float = _setting(0.001, "Adam's")
    epochs: int = _setting(10, "epochs at most")
    early_stopping: bool = _setting(
        True, "stop when the validation loss falls no more, and keep the best epoch"
    )
    min_delta: float = _setting(0.001, "a smaller fall of the loss does not count")
    patience: int = _setting(5, "epochs without a fall before it stops")
    validation_split: float = _setting(0.2, "share of the training reviews set aside")
    split_seed: int = _setting(42, "decides which those are")
    distance: int = _setting(1, "from the one token to the other, in 'order'")
    seed: int = _setting(0, "of initial weights, order of reviews and dropout")

    @classmethod
    def make(cls, **given) -> "Config":
        """The settings given, and for the others those that fit the data.

        Raises:
            ValueError: on a value out of its bounds, or an unknown setting.
        """
        names = [setting.name for setting in fields(cls)]
        for name in given:
            check_choice("setting", name, names)
        fitting = DATA_SETTINGS.get(given.get("data", "sample"), {})
        return cls(**{**fitting, **given})

    def __post_init__(self):
        check_choice("attention_type", self.attention_type, MODEL_TYPES)
        check_heads(self.embed_dim, self.num_heads)
        # Padding, the unknown word, and one that is known.
        check_int("vocabulary_size", self.vocabulary_size, 3)
        of_order = self.data == "order"
        check_int("sequence_length", self.sequence_length, 2 if of_order else 1)
        for name in (
            "embedding_dim",
            "batch_size",
            "epochs",
            "patience",
        ):
            check_int(name, getattr(self, name))
        for name in ("attention_dropout", "dropout"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("learning_rate", "min_delta"):
            check_number(name, getattr(self, name), 0)
        for name in ("split_seed", "seed"):
            check_int(name, getattr(self, name), 0, 2**31)
        for name in ("positional_encoding", "mask_padding", "early_stopping"):
            check_choice(name, getattr(self, name), (True, False))
        check_scale(self.scale)
        check_validation_split(self.validation_split)
        check_int(
            "distance", self.distance, 1, self.sequence_length if of_order else 2**31
        )
        # Paths and NumPy's numbers have no place in a JSON file, and 1 for True
        # none on a command line.
        for setting in fields(self):
            value = getattr(self, setting.name)
            kind = float if setting.name == "scale" else setting.type
            if setting.name != "scale" or value is not None:
                object.__setattr__(self, setting.name, kind(value))

    @property
    def label(self) -> str:
        """The attention type, with "+ positions" if it has them, as tables have it."""
        return self.attention_type + " + positions" * self.positional_encoding

    def of_data(self) -> "Config":
        """Its settings that decide the tokens, and the documented ones of all else."""
        names = (
            "data",
            "vocabulary_size",
            "sequence_length",
            "validation_split",
            "split_seed",
            "distance",
        )
        return Config(**{name: getattr(self, name) for name in names})

    def command(self) -> list[str]:
        """The command line that repeats the run, as a list of str."""
        usual = Config.make(data=self.data)
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
