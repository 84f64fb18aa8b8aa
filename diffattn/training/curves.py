"""Plot the learning curves of a run."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from diffattn.figures import color, new_figure, with_defaults


@with_defaults
def plot_history(
    history: dict[str, list[float]], attention_type: str, kept_epoch: int
) -> Figure:
    """Plot loss and accuracy over the epochs.

    Args:
        history: dict with ``loss``, ``val_loss``, ``accuracy`` and
            ``val_accuracy``, one number an epoch.
        attention_type: decides the colour.
        kept_epoch: int, the epoch whose weights the model has, counted from 1.

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    figure, panels = new_figure(8, 3.2, 2)
    epochs = range(1, len(history["loss"]) + 1)
    shade = color(attention_type)
    labels = {"loss": "binary cross-entropy", "accuracy": "accuracy"}
    for axes, (metric, label) in zip(panels, labels.items(), strict=True):
        axes.plot(epochs, history[metric], "o--", color=shade, mfc="white")
        axes.plot(epochs, history[f"val_{metric}"], "o-", color=shade)
        axes.axvline(kept_epoch, color="#333333", linestyle=":", zorder=0)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Opaque: the line of the kept epoch may run behind it.
    axes.legend(["training", "validation", "kept epoch"], framealpha=1)
    figure.suptitle(f"attention type: {attention_type}")
    return figure
