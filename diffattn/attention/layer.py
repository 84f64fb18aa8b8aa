"""`CustomMultiheadAttention`: any of the scores as one Keras layer."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from diffattn.attention.attend import attend, attend_lean
from diffattn.attention.cache import (
    KEYS,
    VALUES,
    as_index,
    check_cache,
    mask_in_cache,
    queries_before,
    read,
    write,
)
from diffattn.attention.kernels.softmax import weigh
from diffattn.attention.masks import (
    both,
    causal_mask,
    padding_mask,
    pair_bias,
    pair_mask,
    without_padding,
)
from diffattn.attention.places import (
    Places,
    check_even,
    check_segment_ids,
    places_in_segments,
    rotate,
    same_segment,
)
from diffattn.attention.scores import REGISTRY, Score, get_score
from diffattn.attention.shapes import may_equal
from diffattn.checks import (
    check_choice,
    check_heads,
    check_int,
    check_number,
    check_scale,
    check_seed,
)


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

    **Text, token by token.** A cache keeps what was projected of the tokens so far, by
    the convention of KerasHub's ``CachedMultiHeadAttention``, and the earlier queries
    too where the score looks back at them::

        cache = layer.make_cache(batch_size=1, max_length=100)
        output, cache = layer(prompt, cache=cache, cache_update_index=0)
        output, cache = layer(token, cache=cache, cache_update_index=prompt_length)

    These two calls compute what the whole text at once does under a causal mask.
    Without a cache, a query of one token has no predecessor, and the layer warns where
    its score would look at one.

    **Several texts in one row.** With ``segment_ids`` a token attends to its own
    segment alone, and the first tokens of a segment have no predecessor: the result is
    that of the segments apart. ``differential`` then goes through its T·S·d weights.

    **Positions.** With ``rotary_base``, queries and keys are turned by the angles of
    their places before any score sees them, the differential scores' past with them. So
    q_i · k_j − q_{i−1} · k_{j−1} stays relative, R_i and R_{i−1} each meeting its
    partner: it depends on the places through i − j alone, as every score does that a
    common rotation leaves as it is. ``l1_norm`` and ``differential`` are not among
    these: to them, places count absolutely. A bias of the distance inside the
    difference would cancel, b_{i−j} − b_{(i−1)−(j−1)} = 0; ``attention_bias`` is added
    after it.

    Args:
        embed_dim: int, number of features of the projections and the output.
        num_heads: int, number of heads; must divide ``embed_dim``. Without
            effect on ``differential``, where each feature is a head by itself, unless
            rotary positions turn the features of a head in pairs.
        dropout: float in [0, 1), share of the (query, key) pairs that training
            drops after the softmax, each pair with all its features.
        attention_type: one of `diffattn.ATTENTION_TYPES`, another registered name,
            or a `diffattn.scores.Score`.
        scale: the number that multiplies the scores; None for the type's own,
            1/√d for ``scaled_dot_product`` and 1 for the others. The docstring of
            `diffattn.scores.score` says what spread they give.
        rotary_base: None, or the base of rotary positions, a number of at least 1;
            10 000 is usual.
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
            [0, 1), a ``scale`` that is not a finite number, a ``seed`` out of its
            bounds, or rotary positions in heads of an odd number of features.

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
        rotary_base: float | None = None,
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
        if rotary_base is not None:
            check_number("rotary_base", rotary_base, 1)
            check_even(embed_dim // num_heads)
        super().__init__(**kwargs)
        self.supports_masking = True
        # NumPy's numbers have no place in a Dense layer or a JSON file.
        self.embed_dim = int(embed_dim)
        self.num_heads = int(num_heads)
        self.dropout = float(dropout)
        self.score = score
        self.attention_type = str(score)
        self.scale = None if scale is None else float(scale)
        self.rotary_base = None if rotary_base is None else float(rotary_base)
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
        use_causal_mask: bool | str = False,
        attention_bias: Any = None,
        segment_ids: Any = None,
        cache: Any = None,
        cache_update_index: Any = None,
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
            use_causal_mask: True, and query i sees only the keys j ≤ i, as in Keras:
                both texts begin together. "lower_right", and it sees j ≤ i + S − T: the
                queries are the last T of S tokens, the last of them sees all keys, and
                the first T − S, if T is larger, see none. The queries' places follow.
            attention_bias: floating-point tensor of one of the mask's shapes, added to
                the scores. The output then goes through the weights.
            segment_ids: integer tensor of shape (B, T), or (1, T) for the whole batch,
                the segment of each token, which attends to its own segment alone. Each
                segment is one run of tokens. No number is special, 0 neither: padding
                is said by a padding mask. Queries and keys are the same tokens, and
                there is no cache.
            cache: tensor of shape (B, n, S, H, d) from `make_cache` or an earlier call,
                for S tokens at most. The layer then attends to what is in the cache.
            cache_update_index: int or int32 scalar tensor, the number of tokens that
                the cache has. The new tokens are written from there on, and each sees
                itself and all before it. None to attend to all S places of the cache
                as they are: value and key with their masks are then left aside, and
                ``attention_mask`` says which places are filled. An index beyond S − T
                is an error if it is an int; a tensor's value cannot be checked.
            return_attention_scores: whether to return the weights too.
            training: whether to apply dropout.
            mask, query_mask, value_mask, key_mask: boolean (or integer, 0 and 1)
                padding masks of shape (B, T) or (B, S), with 1 for B if the whole
                batch has the same, True at real tokens; ``mask`` is one more
                of the query. Keras fills them in from what the inputs carry
                (``mask``, where the query is the only tensor). All that there
                are count, also of a tensor that is left out: a key may be
                attended to where its mask, the value's and, with the query as
                the value, the query's are True. With a cache they are those of the
                new tokens: later calls do not know them, and name the padding in the
                cache in ``attention_mask``.

        Returns:
            The output, of shape (B, T, embed_dim). With ``return_attention_scores``
            the weights follow it, of shape (B, H, T, S), for ``differential``
            (B, H, T, S, d), before dropout; with a cache, the new cache comes last.

        Raises:
            ValueError: on inputs, masks or a cache whose shapes do not fit, a mask that
                is not boolean, another alignment of the causal mask, or a score of
                one's own that sees order and does not declare how.

        Warns:
            UserWarning: if a score that sees order has one query, several keys and no
                cache that it belongs into.
        """
        check_choice("use_causal_mask", use_causal_mask, (False, True, "lower_right"))
        masks = _checked_masks(
            query,
            value,
            key,
            mask=mask,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
        )
        query_mask = both(masks["query_mask"], masks["mask"])
        value_mask = masks["value_mask"]
        # What stands in for a tensor brings its own mask along.
        if value is None:
            value, value_mask = query, both(value_mask, query_mask)
        if key is None:
            key = value
        key_mask = both(masks["key_mask"], value_mask)
        index = as_index(cache_update_index)
        self._check_call(query, key, segment_ids, cache, index)
        self._warn_without_predecessor(query, key, use_causal_mask, cache, index)
        first = _first_place(query, key, use_causal_mask, cache, index)
        if segment_ids is not None:
            segment_ids = check_segment_ids(segment_ids, query.shape[:2])

        q = self._heads(self.query_projection, query, query_mask)
        q = self._rotated(q, first, segment_ids)
        # Queries before the new ones, for the score to look back at.
        earlier = 0
        if cache is None or index is not None:
            k = self._heads(self.key_projection, key, key_mask)
            k = self._rotated(k, 0 if index is None else index, segment_ids)
            v = self._heads(self.value_projection, value, key_mask)
        else:
            key_mask = None
        if index is not None:
            earlier = self.score.look_back()
            q, cache = self._write(cache, index, q, k, v, earlier)
            key_mask = mask_in_cache(key_mask, index, ops.shape(cache)[2])
            first = first - earlier
        if cache is not None:
            k, v = read(cache, KEYS), read(cache, VALUES)
        pairs = (*q.shape[:2], query.shape[1], k.shape[2])
        mask, bias = _pairs(attention_mask, attention_bias, pairs, earlier)
        if use_causal_mask or index is not None:
            mask = both(mask, causal_mask(ops.shape(q)[2], ops.shape(k)[2], first))
        if key_mask is not None:
            mask = both(ops.expand_dims(key_mask, (1, 2)), mask)
        if segment_ids is not None:
            mask = both(mask, same_segment(segment_ids)[:, None])
        is_usual = isinstance(first, int) and first == 0 and segment_ids is None
        options = {
            "scale": self.scale,
            "mask": mask,
            "bias": bias,
            "parameters": self.score_parameters,
            "places": None if is_usual else Places(first, segment_ids),
        }
        dropout_mask = self._dropout_mask(q, k) if training else None
        if return_attention_scores:
            output, weights = attend(q, k, v, self.score, **options)
            if dropout_mask is not None:
                output = weigh(weights, v, dropout_mask)
            weights = without_padding(_without_earlier(weights, earlier), query_mask)
        else:
            output = attend_lean(
                q, k, v, self.score, dropout_mask=dropout_mask, **options
            )
        # A mask of keys alone leaves the lean paths open that one of pairs closes.
        output = without_padding(_without_earlier(output, earlier), query_mask)
        output = ops.transpose(output, (0, 2, 1, 3))
        output = ops.reshape(output, (*ops.shape(query)[:2], self.embed_dim))
        results = [self.output_projection(output)]
        results += [weights] if return_attention_scores else []
        results += [] if cache is None else [cache]
        return _one_or_all(results)

    def make_cache(self, batch_size: int, max_length: int) -> Any:
        """Make an empty cache, for `call` to decode with.

        Args:
            batch_size: int, B.
            max_length: int, S: how many tokens a text may have.

        Returns:
            A tensor of zeros, of shape (B, n, S, num_heads, head_dim) and the layer's
            compute dtype. n is 2, for keys and values, or 3 with the queries, where
            the score looks back.
        """
        check_int("batch_size", batch_size)
        check_int("max_length", max_length)
        shape = (batch_size, self._cache_parts(), max_length)
        return ops.zeros((*shape, self.num_heads, self.head_dim), self.compute_dtype)

    def _write(self, cache, index, q, k, v, earlier):
        """Write new tokens into the cache; return it, and the queries to compute."""
        cache = write(cache, index, *([k, v, q] if earlier else [k, v]))
        if earlier:
            q = ops.concatenate([queries_before(cache, index, earlier), q], axis=2)
        return q, cache

    def _cache_parts(self):
        return 3 if self.score.look_back() else 2

    def _check_call(self, query, key, segment_ids, cache, index):
        """Raise a ValueError unless segments and cache fit the tokens."""
        new = {"query": query.shape[1], "key": key.shape[1]}
        is_alike = may_equal([new["query"]], [new["key"]])
        if segment_ids is not None:
            self.score.check_segments()
            if cache is not None or not is_alike:
                raise ValueError(
                    "segment_ids need the same tokens as query and key, and no cache. "
                    f"Received: {new['query']} queries, {new['key']} keys"
                )
        if cache is None and index is not None:
            raise ValueError("cache_update_index needs a cache, as from make_cache")
        if cache is None:
            return
        heads = self.num_heads, self.head_dim
        expected = (query.shape[0], self._cache_parts(), None, *heads)
        check_cache(cache, expected, index, new["query"])
        if index is not None and not is_alike:
            raise ValueError(
                "key and value must have as many tokens as the query that they enter "
                f"the cache with. Received: {new['query']} queries, {new['key']} keys"
            )

    def _warn_without_predecessor(self, query, key, use_causal_mask, cache, index):
        """Warn where a lone query counts as the first of its text and hardly is."""
        keys = (key.shape[1] if cache is None else cache.shape[2]) or 1
        has_its_place = index is not None or (
            self.score.reach == 0 and use_causal_mask == "lower_right"
        )
        if not self.score.order_aware or query.shape[1] != 1 or keys == 1:
            return
        if not has_its_place:
            warnings.warn(
                f"{self.name}: a query of one token counts as the first of its text "
                f"and has no predecessor, also in its {self.attention_type} scores "
                f"with {keys} keys. To decode token by token, use a cache: "
                "make_cache, cache and cache_update_index.",
                stacklevel=2,
            )

    def _rotated(self, x, first, segment_ids):
        """Queries or keys (B, H, T, d), turned by their places if so wanted."""
        if self.rotary_base is None:
            return x
        if segment_ids is None:
            places = first + ops.arange(ops.shape(x)[2], dtype="int32")
        else:
            places = places_in_segments(segment_ids)
        return rotate(x, places, self.rotary_base)

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
        use_causal_mask: bool | str = False,
        attention_bias: Any = None,
        segment_ids: Any = None,
        cache: Any = None,
        cache_update_index: Any = None,
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
        self._check_call(query, key, segment_ids, cache, cache_update_index)
        keys = key.shape[1] if cache is None else cache.shape[2]
        pairs = (query.shape[0], self.num_heads, query.shape[1], keys)
        if attention_mask is not None:
            pair_mask(attention_mask, pairs, name="attention_mask")
        if attention_bias is not None:
            pair_bias(attention_bias, pairs, name="attention_bias")
        if segment_ids is not None:
            check_segment_ids(segment_ids, query.shape[:2])
        self._warn_without_predecessor(
            query, key, use_causal_mask, cache, cache_update_index
        )
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        results = [keras.KerasTensor(shape, dtype=self.compute_dtype)]
        if return_attention_scores:
            features = (self.head_dim,) if self.score.per_feature else ()
            shape = (*pairs, *features)
            results.append(keras.KerasTensor(shape, dtype=self.compute_dtype))
        if cache is not None:
            results.append(keras.KerasTensor(cache.shape, dtype=cache.dtype))
        return _one_or_all(results)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "embed_dim": self.embed_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "attention_type": self._attention_type_config(),
            "scale": self.scale,
            "rotary_base": self.rotary_base,
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


def _one_or_all(results):
    """The output alone, or with the weights or cache that follow it."""
    return tuple(results) if len(results) > 1 else results[0]


def _first_place(query, key, use_causal_mask, cache, index):
    """The place of the first query among the keys: an int where it is known."""
    if index is not None:
        return index
    if use_causal_mask != "lower_right":
        return 0
    keys = ops.shape(key)[1] if cache is None else ops.shape(cache)[2]
    return keys - ops.shape(query)[1]


def _pairs(attention_mask, attention_bias, pairs, earlier):
    """Mask and bias with four axes, or None, and with rows for the earlier queries."""
    mask = bias = None
    if attention_mask is not None:
        mask = pair_mask(attention_mask, pairs, name="attention_mask")
        mask = _with_earlier(mask, earlier)
    if attention_bias is not None:
        bias = pair_bias(attention_bias, pairs, name="attention_bias")
        bias = _with_earlier(bias, earlier)
    return mask, bias


def _with_earlier(x, rows):
    """Give a mask or bias (B, H, T, S) as many rows more, for queries nobody asks."""
    if rows == 0 or x.shape[2] == 1:
        return x
    return ops.concatenate([ops.repeat(x[:, :, :1], rows, axis=2), x], axis=2)


def _without_earlier(x, rows):
    """Drop the rows of queries that nobody asked for."""
    return x[:, :, rows:] if rows else x
