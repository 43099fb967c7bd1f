"""Pictures of a submission's training and of its model, for the feedback. Drawn from plain data alone."""

import matplotlib.pyplot as plt
import torch


def perplexity_over_training(history):
    """Perplexity of the held-out answers against the number of training steps, on a logarithmic axis."""
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    ax.semilogy(history["step"], history["perplexity"], label="held-out answers: perplexity")
    ax.semilogy(history["step"], torch.tensor(history["loss"]).exp(), alpha=0.6, label="training: exp(loss)")
    ax.axhline(1.5, color="0.4", ls="--", lw=1, label="the goal: below 1.5")
    ax.set(xlabel="steps", ylabel="perplexity")
    ax.legend()
    return figure


def embedding_over_training(history):
    """The singular values of the embedding of the symbols against the number of training steps, one line each."""
    values = torch.tensor(history["singular_values"])
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    colours = plt.get_cmap("viridis")(torch.linspace(0, 0.9, values.shape[1]).numpy())
    for number, colour in enumerate(colours):
        ax.plot(history["step"], values[:, number], color=colour)
    ax.set(xlabel="steps", ylabel="singular values of the embedding, largest first")
    return figure


def what_heads_look_at(example_maps):
    """A heat map for each head of each layer: which symbols of 27+38=65; each position looks at."""
    text = "27+38=65;"
    figure, axes = plt.subplots(*example_maps.shape[:2], figsize=(11, 6), layout="constrained", squeeze=False)
    for layer, row in enumerate(axes):
        for head, ax in enumerate(row):
            image = ax.imshow(example_maps[layer, head], cmap="Blues", vmin=0, vmax=1)
            ax.set(xticks=range(9), yticks=range(9), title=f"layer {layer + 1}, head {head + 1}")
            ax.set_xticklabels(text)
            ax.set_yticklabels(text)
    figure.supxlabel("looked at")
    figure.supylabel("looking")
    figure.colorbar(image, ax=axes, label="weight")
    return figure
