"""The settings of a run: names, defaults, bounds and help texts, in one place."""

from dataclasses import dataclass, field, fields

from diffattn import ATTENTION_TYPES
from diffattn.checks import check_choice, check_heads, check_number, check_positive_int

#: What a classifier can have between embedding and mean; "none" is nothing at
#: all, the mean-pooled baseline that the published table measured.
MODEL_TYPES = (*ATTENTION_TYPES, "none")


def _setting(default, help):
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that decides a run, besides the machine and the versions.

    The defaults are the documented ones of the published script, for the IMDB
    reviews. `Config.for_data` gives those that fit the data.

    Raises:
        ValueError: on a value out of its bounds; the message names it.
    """

    data: str = _setting(
        "sample",
        "the reviews: 'sample' (built in), 'imdb' (downloaded once) or the path of "
        "an aclImdb folder or archive",
    )
    attention_type: str = _setting(
        "scaled_dot_product", "the score, or 'none' for the mean-pooled baseline"
    )
    embed_dim: int = _setting(512, "features of the attention layer")
    num_heads: int = _setting(8, "heads of the attention layer")
    attention_dropout: float = _setting(0.0, "dropout of the attention weights")
    scale: float | None = _setting(
        None, "factor of the scores, instead of the attention type's own"
    )
    vocabulary_size: int = _setting(10_000, "tokens, with padding and unknown")
    sequence_length: int = _setting(250, "tokens of a review, cut or padded")
    embedding_dim: int = _setting(16, "features of a token's embedding")
    mask_padding: bool = _setting(
        False, "leave padding out of attention and mean (the published script did not)"
    )
    dropout: float = _setting(0.2, "dropout before the last layer")
    batch_size: int = _setting(32, "reviews a training step")
    learning_rate: float = _setting(0.001, "of Adam")
    epochs: int = _setting(10, "epochs at most")
    early_stopping: bool = _setting(
        True, "stop when the validation loss no longer falls; keep the best epoch"
    )
    min_delta: float = _setting(0.001, "a smaller fall of the loss does not count")
    patience: int = _setting(5, "epochs to wait for a fall before stopping")
    validation_split: float = _setting(0.2, "share of the training reviews set aside")
    split_seed: int = _setting(42, "decides which; for the sample, all its reviews")
    seed: int = _setting(0, "of the initial weights, the order of reviews, dropout")

    def __post_init__(self):
        # JSON and the command line may give whole numbers where floats belong.
        for setting in fields(self):
            if setting.type is float and isinstance(getattr(self, setting.name), int):
                self._check_not_bool(setting.name)
                object.__setattr__(
                    self, setting.name, float(getattr(self, setting.name))
                )
        check_choice("attention_type", self.attention_type, MODEL_TYPES)
        check_heads(self.embed_dim, self.num_heads)
        for name in ("vocabulary_size", "sequence_length", "embedding_dim"):
            check_positive_int(name, getattr(self, name))
        for name in ("batch_size", "epochs", "patience"):
            check_positive_int(name, getattr(self, name))
        for name in ("attention_dropout", "dropout", "validation_split"):
            check_number(name, getattr(self, name), 0, 1)


#: What the sample's short reviews need, instead of the documented settings.
SAMPLE_SETTINGS = {
    "embed_dim": 64,
    "num_heads": 4,
    "sequence_length": 32,
    "epochs": 20,
}
