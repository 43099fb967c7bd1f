"""Pictures of a submission's trainings and of its models, for the feedback. Drawn from plain data alone."""

import matplotlib.pyplot as plt

LABELS = ("entailment", "neutral", "contradiction")


def _scores(vanilla_scores, sparse_scores, moe_scores):
    return {"vanilla": vanilla_scores, "sparse": sparse_scores, "moe": moe_scores}


def confusion_matrices(vanilla_scores, sparse_scores, moe_scores):
    """For each variant, how many held-out pairs of each true label were predicted as each label."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for ax, (name, scores) in zip(
        axes, _scores(vanilla_scores, sparse_scores, moe_scores).items(), strict=True
    ):
        matrix = scores["confusion"]
        ax.imshow(matrix.tolist(), cmap="Blues")
        for row, counts in enumerate(matrix.tolist()):
            for column, count in enumerate(counts):
                colour = "white" if count > matrix.max() / 2 else "black"
                ax.text(column, row, str(count), ha="center", va="center", color=colour)
        ax.set(title=f"{name}: {scores['accuracy']:.1%} right", xlabel="predicted label", ylabel="true label")
        ax.set_xticks(range(3), LABELS)
        ax.set_yticks(range(3), LABELS)
    return figure


def accuracy_time_and_parameters(vanilla_scores, sparse_scores, moe_scores):
    """Held-out accuracy of each variant against the seconds for 2000 pairs, with its number of parameters."""
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, scores in _scores(vanilla_scores, sparse_scores, moe_scores).items():
        point = scores["seconds"], scores["accuracy"]
        ax.scatter(*point, s=60)
        text = f"{name}\n{scores['parameters']:,} parameters"
        ax.annotate(text, point, xytext=(8, -6), textcoords="offset points", va="top")
    ax.axhline(0.80, color="0.4", ls="--", lw=1, label="the goal: 80 %")
    ax.axhline(1 / 3, color="0.4", ls=":", lw=1, label="without the premise: 33 %")
    ax.set(xlabel="seconds for 2000 pairs", ylabel="accuracy", ylim=(0, 1.02))
    ax.margins(x=0.3)
    ax.legend(loc="center right")
    return figure


def losses_over_training(histories):
    """The training loss of each variant against the number of steps."""
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, history in histories.items():
        ax.plot(history["step"], history["loss"], label=name)
    ax.set(xlabel="steps", ylabel="loss on a training batch", ylim=(0, None))
    ax.legend()
    return figure
