"""Figures that commands and chapters share."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: One colour an attention type throughout: the palette of Okabe and Ito, which
#: the colour-blind can tell apart.
COLORS = {
    "scaled_dot_product": "#0072B2",
    "cosine_similarity": "#56B4E9",
    "l1_norm": "#009E73",
    "l2_norm": "#CC79A7",
    "differentialSum": "#E69F00",
    "differential": "#D55E00",
    "none": "#555555",
}


def plot_history(history, attention_type):
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
