"""A score as one object, and the registry of those that have a name."""

import ast
import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from diffattn.checks import check_choice

#: What may be done to query and key, in self-attention without positional
#: encoding, and be invisible in the weights.
SYMMETRIES = {
    "permutation": "shuffling the tokens shuffles the weights with them",
    "key_translation": "adding one vector to every key",
    "joint_translation": "adding one vector to every query and every key",
    "rotation": "rotating all queries and keys together",
    "rescaling": "stretching single queries and keys by positive factors",
}


@dataclass(frozen=True)
class Parameter:
    """A trainable parameter of a score.

    Attributes:
        shape: of its variable.
        initializer: whatever Keras's ``add_weight`` takes.
    """

    shape: tuple[int, ...]
    initializer: Any


class Score:
    """A scoring function, and all that is known about it.

    A score of one's own is a subclass: its name, formula and symmetries as class
    attributes, and `__call__`. With `register`, it is an attention type like the six.
    One that takes options has them as arguments of its ``__init__``, each kept as the
    attribute of the same name.

    Attributes:
        name: the attention type.
        formula: the score in LaTeX, without its scale.
        plain_formula: the same in plain text, for tables.
        cost: the number of multiplications or exponentials that dominate.
        symmetries: the keys of `SYMMETRIES` that hold. What is not named there does
            change the weights; the tests hold each score to both.
        per_feature: whether each feature has a score, and so weights, of its own.
        reach: how many tokens before the query and the key the score looks at: the
            layer keeps as many queries when it decodes with a cache. Before the first
            token it must count on zeros. None, where nothing is declared, does for a
            score that is blind to order.
        uses_places: whether `__call__` and `attend` take one more keyword argument,
            ``places``: None, or the `diffattn.attention.places.Places` of queries and
            keys. A score needs it whose scores change with a query's place, or that
            looks back and shall do so within packed segments.
    """

    name: ClassVar[str]
    formula: str
    plain_formula: str
    cost: ClassVar[str]
    symmetries: frozenset[str] | set[str] = frozenset()
    per_feature: ClassVar[bool] = False
    reach: int | None = None
    uses_places: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        # A new formula does not attend as the old one did.
        if "__call__" in vars(cls) and not vars(cls).keys() & {"attend", "as_product"}:
            cls.attend = Score.attend  # type: ignore[method-assign]

    def default_scale(self, dim: int) -> float:
        """Return the scale where none is given, for heads of ``dim`` features."""
        return 1.0

    def parameters(self, num_heads: int, head_dim: int) -> dict[str, Parameter]:
        """Return the score's trainable parameters by name; as a rule none.

        Each is handed to `__call__` and `attend` as a keyword argument.

        Raises:
            ValueError: if the score cannot have that many heads, or heads of this size.
        """
        return {}

    def __call__(self, query: Any, key: Any, scale: float, **parameters: Any) -> Any:
        """Compute the scores of every query against every key.

        Args:
            query: tensor of shape (B, H, T, d), float32 or float64.
            key: tensor of shape (B, H, S, d) and the same dtype.
            scale: multiplies the scores.
            **parameters: the values of `parameters`.

        Returns:
            A tensor of shape (B, H, T, S), or (B, H, T, S, d) if `per_feature`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no __call__")

    def attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        *,
        scale: float,
        mask: Any,
        dropout_mask: Any,
        **parameters: Any,
    ) -> Any:
        """Compute the attention's output without its weights, if there is a lean way.

        Args:
            query, key, scale, parameters: as for `__call__`.
            value: tensor of shape (B, H, S, e).
            mask: None, or a boolean tensor that broadcasts to (B, H, T, S).
            dropout_mask: None, or a tensor of shape (B, H, T, S) that multiplies the
                weights.

        Returns:
            A tensor of shape (B, H, T, e); None where there is no such way, and the
            output goes through the weights.
        """
        return None

    @property
    def order_aware(self) -> bool:
        """Whether it sees the order of tokens without positional encoding."""
        return "permutation" not in self.symmetries

    def look_back(self) -> int:
        """Return `reach`, which is 0 for a score that is blind to order.

        Raises:
            ValueError: if the score sees order and does not declare how.
        """
        if self.reach is None and self.order_aware:
            raise ValueError(
                f"{type(self).__name__} sees the order of tokens and must declare how "
                "far back it looks, as its attribute reach, before it can be used "
                "with a cache or segment_ids"
            )
        return self.reach or 0

    def check_segments(self) -> None:
        """Raise a ValueError if the score would look across the border of segments."""
        if self.look_back() and not self.uses_places:
            raise ValueError(
                f"{type(self).__name__} looks {self.reach} tokens back, across the "
                "border of segments: to be used with segment_ids it must declare "
                "uses_places and look within places.segment_ids"
            )

    def get_config(self) -> dict:
        """Return the options that it was made with, by name."""
        names = [*inspect.signature(type(self)).parameters]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict) -> "Score":
        return cls(**config)

    def __str__(self) -> str:
        """Spell it as `get_score` reads it: name(option=value), without the usual."""
        usual = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self)).parameters.items()
        }
        options = [
            f"{name}={value!r}"
            for name, value in self.get_config().items()
            if value != usual[name]
        ]
        return self.name + (f"({', '.join(options)})" if options else "")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash(str(self))


#: The scores that have a name, by name.
REGISTRY: dict[str, Score] = {}


def register(score: type[Score]) -> type[Score]:
    """Enter a score into `REGISTRY` under its name: a decorator of its class.

    Keras, too, knows the class from then on and loads layers that have it.

    Raises:
        ValueError: if the name is taken or a symmetry is not in `SYMMETRIES`.

    Example:
        >>> @register
        ... class HalfDotProduct(Score):
        ...     name = "half_dot_product"
        ...     formula = plain_formula = "q_i k_j / 2"
        ...     cost = "one matrix product"
        ...     symmetries = frozenset({"permutation", "key_translation", "rotation"})
        ...
        ...     def __call__(self, query, key, scale):
        ...         return scale / 2 * keras.ops.einsum("bhtd,bhsd->bhts", query, key)
        >>> get_score("half_dot_product").order_aware
        False
        >>> _ = REGISTRY.pop("half_dot_product")
    """
    if score.name in REGISTRY:
        raise ValueError(f"attention type {score.name!r} is registered already")
    instance = score()
    if unknown := set(instance.symmetries) - set(SYMMETRIES):
        raise ValueError(f"{score.name}: unknown symmetries {sorted(unknown)}")
    REGISTRY[score.name] = instance
    return keras.saving.register_keras_serializable(package="diffattn")(score)


def get_score(attention_type: str | Score) -> Score:
    """Return the score that a name, with options or without, stands for.

    Args:
        attention_type: a `Score`; a name in `REGISTRY`; or a name with options, as
            in "differentialSum(lag=2)".

    Raises:
        ValueError: if there is no such score, or it does not take these options.
    """
    if isinstance(attention_type, Score):
        return attention_type
    name, options = _parse(attention_type)
    check_choice("attention_type", name, REGISTRY)
    if not options:
        return REGISTRY[name]
    try:
        return type(REGISTRY[name])(**options)
    except TypeError as error:
        raise ValueError(f"attention_type={attention_type!r}: {error}") from error


def _parse(text):
    """Split "name(option=value)" in the name and a dict of options."""
    if not isinstance(text, str) or not text.endswith(")"):
        return text, {}
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("options are written name(option=value)")
        options = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except (MemoryError, RecursionError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"attention_type={text!r:.80} cannot be read: {error}"
        ) from error
    return ast.unparse(call.func), options
