"""`CustomMultiheadAttention`: any of the scores as one Keras layer."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from diffattn.attention.attend import attend, attend_lean
from diffattn.attention.kernels.softmax import weigh
from diffattn.attention.masks import both, padding_mask, pair_mask, without_padding
from diffattn.attention.scores import REGISTRY, Score, get_score
from diffattn.attention.shapes import may_equal
from diffattn.checks import check_heads, check_number, check_scale, check_seed


@keras.saving.register_keras_serializable(package="diffattn")
class CustomMultiheadAttention(keras.layers.Layer):
    """Multi-head attention whose score can be chosen.

    Query, key and value are each projected to ``embed_dim`` features and split
    into ``num_heads`` heads of d = embed_dim / num_heads features; each head
    attends with the chosen score (see `diffattn.scores.score`), and the heads, side by
    side again, are projected once more:

        output = concat_h(attend(Q W_q, K W_k, V W_v)_h) W_o

    with a bias after each product. With ``scaled_dot_product`` this is the
    layer of Vaswani et al. (2017) and computes what
    `keras.layers.MultiHeadAttention` with ``key_dim = d`` computes.

    A padding mask that the inputs carry is used, also when the layer is called
    with one tensor. A padded position counts as nothing: nobody attends to it,
    it attends to nobody, and to the differential scores the first token after
    it has no predecessor. Whatever stands there, NaN too, has no part in output and
    gradients.

    A query of one token has no predecessor, so that the differential scores of one
    query and several keys are plain products: the layer warns of it.

    Args:
        embed_dim: int, number of features of the projections and the output.
        num_heads: int, number of heads; must divide ``embed_dim``. Without
            effect on ``differential``, where each feature is a head by itself.
        dropout: float in [0, 1), share of the (query, key) pairs that training
            drops after the softmax, each pair with all its features.
        attention_type: one of `diffattn.ATTENTION_TYPES`, another registered name,
            or a `diffattn.scores.Score`.
        scale: the number that multiplies the scores; None for the type's own,
            1/√d for ``scaled_dot_product`` and 1 for the others.
        use_bias: bool, whether the projections have a bias.
        kernel_initializer, bias_initializer: for the projections, whatever
            `keras.layers.Dense` takes; where one draws random numbers, each
            projection draws its own, counting on from a seed that is an int.
        kernel_regularizer, bias_regularizer: for the projections.
        kernel_constraint, bias_constraint: for the projections.
        seed: int in [0, 2**31) or None, seed of the dropout.
        **kwargs: those of `keras.layers.Layer`, as ``name`` and ``dtype``.

    Raises:
        ValueError: on an unknown type, numbers that are not positive integers,
            ``embed_dim`` not divisible by ``num_heads``, ``dropout`` outside
            [0, 1), a ``scale`` that is not a finite number, or a ``seed`` out of
            its bounds.

    Gradients are given by hand where there are many pairs, and can be differentiated
    again, for a gradient penalty or a Hessian's products; that takes the memory of
    all T·S·d terms for ``l1_norm``, ``l2_norm`` and ``differential``.

    Example:
        >>> layer = CustomMultiheadAttention(64, 4, attention_type="differential")
        >>> tuple(layer(keras.random.normal((2, 10, 16))).shape)
        (2, 10, 64)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        attention_type: str | Score = "scaled_dot_product",
        *,
        scale: float | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_heads(embed_dim, num_heads)
        check_number("dropout", dropout, 0, 1)
        score = get_score(attention_type)
        check_scale(scale)
        check_seed(seed)
        super().__init__(**kwargs)
        self.supports_masking = True
        # NumPy's numbers have no place in a Dense layer or a JSON file.
        self.embed_dim = int(embed_dim)
        self.num_heads = int(num_heads)
        self.dropout = float(dropout)
        self.score = score
        self.attention_type = str(score)
        self.scale = None if scale is None else float(scale)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.seed = None if seed is None else int(seed)
        self.query_projection = self._projection("query", 0)
        self.key_projection = self._projection("key", 1)
        self.value_projection = self._projection("value", 2)
        self.output_projection = self._projection("output", 3)
        self.pair_dropout = (
            keras.layers.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
            if self.dropout > 0
            else None
        )

    def _projection(self, name, number):
        return keras.layers.Dense(
            self.embed_dim,
            use_bias=self.use_bias,
            kernel_initializer=_of_its_own(self.kernel_initializer, number),
            bias_initializer=_of_its_own(self.bias_initializer, number),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )

    def build(
        self,
        query_shape: Sequence,
        value_shape: Sequence | None = None,
        key_shape: Sequence | None = None,
    ) -> None:
        value_shape = value_shape or query_shape
        key_shape = key_shape or value_shape
        _check_inputs(query_shape, value_shape, key_shape)
        self.query_projection.build(query_shape)
        self.key_projection.build(key_shape)
        self.value_projection.build(value_shape)
        self.output_projection.build((*query_shape[:-1], self.embed_dim))
        parameters = self.score.parameters(self.num_heads, self.head_dim)
        self.score_parameters = {
            name: self.add_weight(
                shape=parameter.shape,
                initializer=parameter.initializer,
                # Scores are computed in float32 at least, and so are these.
                autocast=False,
                name=name,
            )
            for name, parameter in parameters.items()
        }
        if self.pair_dropout is not None:
            self.pair_dropout.build(
                (query_shape[0], self.num_heads, query_shape[1], key_shape[1])
            )

    @property
    def head_dim(self) -> int:
        """The features of a head, d = embed_dim / num_heads."""
        return self.embed_dim // self.num_heads

    def call(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        *,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
        mask: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
    ) -> Any:
        """Attend from query to key and carry the values.

        Args:
            query: tensor of shape (B, T, F).
            value: tensor of shape (B, S, F'); by default the query.
            key: tensor of shape (B, S, F''); by default the value.
            attention_mask: boolean tensor of shape (B, T, S), (B, H, T, S) or
                one that broadcasts to it, True where a pair may attend.
            use_causal_mask: whether token i sees only tokens j ≤ i.
            return_attention_scores: whether to return the weights too.
            training: whether to apply dropout.
            mask, query_mask, value_mask, key_mask: boolean (or integer, 0 and 1)
                padding masks of shape (B, T) or (B, S), with 1 for B if the whole
                batch has the same, True at real tokens; ``mask`` is one more
                of the query. Keras fills them in from what the inputs carry
                (``mask``, where the query is the only tensor). All that there
                are count, also of a tensor that is left out: a key may be
                attended to where its mask, the value's and, with the query as
                the value, the query's are True.

        Returns:
            The output, of shape (B, T, embed_dim); with
            ``return_attention_scores`` the pair (output, weights), weights of
            shape (B, H, T, S), for ``differential`` (B, H, T, S, d), before
            dropout.

        Raises:
            ValueError: on inputs or masks whose shapes do not fit, or a mask that is
                not boolean.

        Warns:
            UserWarning: if a differential score has one query and several keys.
        """
        masks = _checked_masks(
            query,
            value,
            key,
            mask=mask,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
        )
        query_mask, value_mask = masks["query_mask"], masks["value_mask"]
        query_mask = both(query_mask, masks["mask"])
        # What stands in for a tensor brings its own mask along.
        if value is None:
            value, value_mask = query, both(value_mask, query_mask)
        if key is None:
            key = value
        key_mask = both(masks["key_mask"], value_mask)
        self._warn_without_predecessor(query, key)

        q = self._heads(self.query_projection, query, query_mask)
        k = self._heads(self.key_projection, key, key_mask)
        v = self._heads(self.value_projection, value, key_mask)
        options = {
            "scale": self.scale,
            "mask": _pairs(q, k, key_mask, attention_mask, use_causal_mask),
            "parameters": self.score_parameters,
        }
        dropout_mask = self._dropout_mask(q, k) if training else None
        if return_attention_scores:
            output, weights = attend(q, k, v, self.score, **options)
            if dropout_mask is not None:
                output = weigh(weights, v, dropout_mask)
        else:
            output = attend_lean(
                q, k, v, self.score, dropout_mask=dropout_mask, **options
            )
        # A mask of keys alone leaves the lean paths open that one of pairs closes.
        output = without_padding(output, query_mask)
        output = ops.transpose(output, (0, 2, 1, 3))
        output = ops.reshape(output, (*ops.shape(query)[:2], self.embed_dim))
        output = self.output_projection(output)
        if not return_attention_scores:
            return output
        return output, without_padding(weights, query_mask)

    def _warn_without_predecessor(self, query, key):
        queries, keys = query.shape[1], key.shape[1]
        if self.score.order_aware and queries == 1 and keys is not None and keys > 1:
            warnings.warn(
                f"{self.name}: a query of one token has no predecessor, so its "
                f"{self.attention_type} scores with {keys} keys are plain products. "
                "To decode token by token, pass the whole text so far as the query "
                "and take the last output.",
                stacklevel=2,
            )

    def _heads(self, projection, x, mask):
        """(B, T, F) to (B, H, T, d), projected, and padding set to 0.

        Before the projection, so that NaN in padding does not reach the gradients of
        the kernels: 0 · NaN is NaN. And behind it, where the bias would be: the mask
        of pairs alone would not do, since a differential score looks at the
        predecessor of a token, and that may be padding.
        """
        x = without_padding(x, mask, axis=1)
        heads, head_dim = self.num_heads, self.head_dim
        if heads == 1:
            # Not as below: with one head, TensorFlow on oneDNN gets that product
            # wrong, and ONNX converters the reshape.
            x = ops.expand_dims(projection(x), 1)
        elif x.shape[-1] < head_dim and projection.quantization_mode is None:
            # Straight to the heads: no copy turns tokens and heads about, and the
            # bias is the weight of one more feature, which is 1 for all tokens.
            x, kernel = ops.cast(x, self.compute_dtype), projection.kernel
            if self.use_bias:
                x = ops.pad(x, [[0, 0], [0, 0], [0, 1]], constant_values=1)
                kernel = ops.concatenate([kernel, projection.bias[None]])
            kernel = ops.reshape(kernel, (-1, heads, head_dim))
            x = ops.matmul(x[:, None], ops.transpose(kernel, (1, 0, 2))[None])
        else:
            # The input's shape, here and for the output: ONNX's converter mistakes
            # the projection's for that of its matrix product, which has two axes.
            shape = (*ops.shape(x)[:2], heads, head_dim)
            x = ops.reshape(projection(x), shape)
            x = ops.transpose(x, (0, 2, 1, 3))
        return without_padding(x, mask)

    def _dropout_mask(self, q, k):
        """What dropout multiplies the weights with, (B, H, T, S), or None."""
        if self.pair_dropout is None:
            return None
        pairs = (*ops.shape(q)[:3], ops.shape(k)[2])
        return self.pair_dropout(ops.ones(pairs, q.dtype), training=True)

    def compute_mask(self, query: Any, previous_mask: Any) -> Any:
        # Keras hands on the mask of the first input, the query.
        return previous_mask

    def compute_output_shape(
        self,
        query_shape: Sequence,
        value_shape: Sequence | None = None,
        key_shape: Sequence | None = None,
    ) -> tuple:
        value_shape = value_shape or query_shape
        _check_inputs(query_shape, value_shape, key_shape or value_shape)
        return (*query_shape[:-1], self.embed_dim)

    def compute_output_spec(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        *,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        mask: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        **kwargs: Any,
    ) -> Any:
        _checked_masks(
            query,
            value,
            key,
            mask=mask,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
        )
        value = query if value is None else value
        key = value if key is None else key
        pairs = (query.shape[0], self.num_heads, query.shape[1], key.shape[1])
        if attention_mask is not None:
            pair_mask(attention_mask, pairs, name="attention_mask")
        self._warn_without_predecessor(query, key)
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        features = (self.head_dim,) if self.score.per_feature else ()
        weights = keras.KerasTensor((*pairs, *features), dtype=self.compute_dtype)
        return output, weights

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "embed_dim": self.embed_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "attention_type": self._attention_type_config(),
            "scale": self.scale,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "seed": self.seed,
        }

    def _attention_type_config(self):
        """The name of a registered score; another one as Keras stores objects."""
        if type(REGISTRY.get(self.score.name)) is type(self.score):
            return self.attention_type
        return keras.saving.serialize_keras_object(self.score)

    @classmethod
    def from_config(cls, config: dict) -> "CustomMultiheadAttention":
        if isinstance(config["attention_type"], dict):
            score = keras.saving.deserialize_keras_object(config["attention_type"])
            config = {**config, "attention_type": score}
        return super().from_config(config)


def _of_its_own(initializer, number):
    """The initializer for the projection of that number.

    With a seed, or one drawn by chance, an initializer draws the same numbers at
    every call with one shape, and so would a copy with the same seed: query, key and
    value would begin as one. A `SeedGenerator` goes on from call to call; a function,
    None (Keras's default) and what draws nothing are used as they are.
    """
    config = getattr(initializer, "get_config", dict)()
    draws_the_same = isinstance(getattr(initializer, "seed", None), int)
    if not draws_the_same or "seed" not in config:
        return initializer
    if config["seed"] is not None:
        config["seed"] += number
    return type(initializer).from_config(config)


def _checked_masks(query, value, key, **masks):
    """The padding masks as boolean tensors, or an error that names one."""
    value = query if value is None else value
    key = value if key is None else key
    tensors = {
        "mask": query, "query_mask": query, "value_mask": value, "key_mask": key,
    }  # fmt: skip
    return {
        name: padding_mask(mask, tensors[name].shape[:2], name)
        for name, mask in masks.items()
    }


def _check_inputs(query_shape, value_shape, key_shape):
    shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
    for name, shape in shapes.items():
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(
                f"{name} must have shape (batch, tokens, features) with a known "
                f"number of features. Received: {name} of shape {tuple(shape)}"
            )
    if not may_equal(key_shape[:2], value_shape[:2]):
        raise ValueError(
            "key and value must have the same batch and number of tokens. "
            f"Received: key of shape {tuple(key_shape)}, value of shape "
            f"{tuple(value_shape)}"
        )


def _pairs(q, k, key_mask, attention_mask, use_causal_mask):
    """All masks ANDed into one that broadcasts to (B, H, T, S), or None."""
    mask = None
    if key_mask is not None:
        mask = ops.expand_dims(key_mask, (1, 2))
    if attention_mask is not None:
        pairs = (*q.shape[:3], k.shape[2])
        mask = both(mask, pair_mask(attention_mask, pairs, name="attention_mask"))
    if use_causal_mask:
        i = ops.arange(ops.shape(q)[2], dtype="int32")[:, None]
        j = ops.arange(ops.shape(k)[2], dtype="int32")[None, :]
        mask = both(mask, (j <= i)[None, None])
    return mask
