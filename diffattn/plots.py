"""Figures that commands and chapters share."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: One colour an attention type throughout: the palette of Okabe and Ito, which
#: the colour-blind can tell apart.
COLORS = {
    "none": "#555555",
    "scaled_dot_product": "#0072B2",
    "cosine_similarity": "#56B4E9",
    "l1_norm": "#009E73",
    "l2_norm": "#CC79A7",
    "differentialSum": "#E69F00",
    "differential": "#D55E00",
}


def plot_accuracies(accuracies: dict[str, list[float]], ceiling: float) -> Figure:
    """Accuracies by attention type, under the ceiling for models blind to order.

    Args:
        accuracies: dict from attention type to a list of accuracies in [0, 1],
            one a seed.
        ceiling: the ceiling, in [0, 1].

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained", facecolor="white")
    axes = figure.subplots()
    names = sorted(accuracies, key=list(COLORS).index, reverse=True)
    for row, name in enumerate(names):
        values = accuracies[name]
        axes.plot([0.5, max(values)], [row, row], color="#dddddd", zorder=1)
        axes.scatter(values, [row] * len(values), s=60, color=COLORS[name], zorder=3)
    axes.axvline(ceiling, color="#333333", linestyle="--", linewidth=1, zorder=2)
    axes.annotate(
        "ceiling for what\nis blind to order",
        (ceiling, len(names) - 1.3),
        xytext=(6, 0),
        textcoords="offset points",
        color="#333333",
        va="center",
    )
    labels = ["none (baseline)" if name == "none" else name for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlim=(0.5, 1.02), xlabel="test accuracy")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def plot_history(history: dict[str, list[float]], attention_type: str) -> Figure:
    """Learning curves: loss and accuracy over the epochs.

    Args:
        history: dict with ``loss``, ``val_loss``, ``accuracy`` and
            ``val_accuracy``, one number an epoch.
        attention_type: decides the colour.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained", facecolor="white")
    epochs = range(1, len(history["loss"]) + 1)
    color = COLORS[attention_type]
    panels = zip(
        figure.subplots(1, 2),
        ("loss", "accuracy"),
        ("binary cross-entropy", "accuracy"),
        strict=True,
    )
    for axes, metric, label in panels:
        axes.plot(epochs, history[metric], "o--", color=color, mfc="white")
        axes.plot(epochs, history[f"val_{metric}"], "o-", color=color)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(["training", "validation"], frameon=False)
    figure.suptitle(f"attention type: {attention_type}")
    return figure
