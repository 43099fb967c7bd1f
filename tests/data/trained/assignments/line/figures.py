"""Drawn for the feedback."""


def fit(Line, trained, points):
    """Twenty-one points on a line and the line that was learned."""
    from matplotlib.figure import Figure

    model = Line()
    model.load_state_dict(trained)
    x, y = points
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot(x, y, ".")
    axes.plot(x, model(x).detach())
    return figure
