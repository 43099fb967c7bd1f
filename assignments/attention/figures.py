"""The figures of the feedback on `attention`."""


def attention_map(maps):
    """Two heat maps of attention weights, yours and the right one: rows are queries, columns are keys."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (title, weights) in zip(
        panels, [("yours", maps["found"]), ("right", maps["right"])], strict=True
    ):
        image = axes.imshow(weights, vmin=0, vmax=1, cmap="Blues")
        axes.set(title=title, xlabel="key", xticks=range(7), yticks=range(7))
    panels[0].set_ylabel("query")
    figure.colorbar(image, ax=panels, label="weight", shrink=0.8)
    return figure
