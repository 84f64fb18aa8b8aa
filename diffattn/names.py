"""Names that the whole project shares; they need no Keras."""

#: The six attention types that this book measures, spelled as everywhere. What the
#: package offers besides is in ``diffattn.scores.REGISTRY``.
ATTENTION_TYPES = (
    "scaled_dot_product",
    "cosine_similarity",
    "l1_norm",
    "l2_norm",
    "differentialSum",
    "differential",
)

#: The mean-pooled model without an attention layer, which the published table measured.
BASELINE = "none"

#: What a classifier of this book can have between embedding and mean.
MODEL_TYPES = (*ATTENTION_TYPES, BASELINE)

#: The figures of a run; the published table has these columns.
METRICS = ("validation_loss", "validation_accuracy", "test_loss", "test_accuracy")

#: What a run keeps besides these, where there is any of it.
KEPT = ("right", "tests", "parameters")
