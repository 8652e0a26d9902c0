"""The NLL bowl over the two temperatures, drawn as rings to click in."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from duo_core.analysis.bowl import Bowl
from duo_core.figures.frame import layout, ticks
from duo_core.figures.screen import LABELS, LIGHT, STYLES, Colours
from duo_core.systems.duo import Temperatures

RINGS = 12


def nll_bowl(
    surface: Bowl,
    marks: Mapping[str, tuple[Temperatures, float]],
    *,
    sliders: Temperatures | None = None,
    names: tuple[str, str] = ("base", "sidekick"),
    colours: Colours = LIGHT,
) -> go.Figure:
    """Draw the NLL over both temperatures as rings around the learned ones.

    Parameters
    ----------
    surface
        NLL on a grid. Every other grid point can be clicked; its temperatures are the point's x and y.
    marks
        Temperatures and exact NLL by variant; that of `duo` is the bottom of the bowl.
    sliders
        Temperatures to mark as the reader's own.
    names
        Of base and sidekick, for the axes.
    """
    figure = go.Figure(layout=layout(*(f"T_{role} · {name}" for role, name in zip(Temperatures._fields, names, strict=True))))
    _rings(figure, surface, marks, colours)
    _grid(figure, surface)
    for key in (key for key in ("unweighted", "sidekick", "base", "duo") if key in marks):
        _mark(figure, key, *marks[key], colours)
    if sliders is not None:
        cross = {"symbol": "cross-thin", "size": 22, "line": {"width": 2.5, "color": colours["neutral"]}}
        figure.add_scatter(x=[sliders.base], y=[sliders.sidekick], name="Sliders", mode="markers", marker=cross, hoverinfo="skip")
    for update, axis in ((figure.update_xaxes, surface.base), (figure.update_yaxes, surface.sidekick)):
        update(range=[-0.04 * axis[-1], 1.04 * axis[-1]], showgrid=False)
    return figure.update_layout(height=520, margin={"b": 24})


def _rings(figure: go.Figure, surface: Bowl, marks: Mapping[str, tuple[Temperatures, float]], colours: Colours) -> None:
    """Rings at equal steps of the root of the excess: a quadratic bowl has them at equal distances."""
    best = min(surface.nll.min(), *(nll for _, nll in marks.values()))
    worst = max((nll for _, nll in marks.values()), default=surface.nll.max()) - best
    height = min(surface.nll.max() - best, 4 * worst) or 1e-6
    top = np.sqrt(height)
    values = _round_values(height)
    figure.add_contour(
        x=surface.base,
        y=surface.sidekick,
        z=np.sqrt(np.maximum(surface.nll - best, 0)).round(5),
        zmin=0,
        zmax=1.2 * top,  # the full shade is never reached, so that marks stand out everywhere
        contours={"start": top / RINGS, "end": top, "size": top / RINGS},
        colorscale=[[0, colours["paper"]], [1, colours["neutral"]]],
        line={"width": 0.8, "color": colours["neutral"], "smoothing": 0.6},
        colorbar={
            "title": {"text": "NLL above the lowest (nats), lower is better", "side": "top"},
            "orientation": "h",
            "y": -0.16,
            "yanchor": "top",
            "thickness": 10,
            "outlinewidth": 0,
            "tickvals": np.sqrt(values),
            "ticktext": [f"{value:g}" for value in values],
        },
        hoverinfo="skip",
    )


def _grid(figure: go.Figure, surface: Bowl) -> None:
    """Every other grid point, not to be seen but to be pointed at and clicked: each takes a node of the page."""
    coarse = Bowl(surface.base[::2], surface.sidekick[::2], surface.nll[::2, ::2], surface.images)
    points = coarse.table()
    figure.add_scatter(
        x=points["T_base"],
        y=points["T_sidekick"],
        customdata=points["nll"].round(5),
        mode="markers",
        marker={"size": 20, "opacity": 0},
        hovertemplate=_hover("Here", "%{customdata:.4f}"),
        showlegend=False,
    )


def _round_values(top: float) -> list[float]:
    """0 and round numbers whose roots divide the root of `top` about evenly.

    >>> _round_values(0.24)
    [0.0, 0.01, 0.05, 0.1, 0.2]
    """
    wanted = top * (np.arange(5) / 4) ** 2
    round_ones = [0.0, *ticks(top / 100, top)]
    return sorted({max(v for v in round_ones if v <= value * (1 + 1e-9)) for value in wanted})


def _mark(figure: go.Figure, key: str, at: Temperatures, nll: float, colours: Colours) -> None:
    name = {"duo": "Duo, fitted", "base": "Base alone", "sidekick": "Sidekick alone"}.get(key, LABELS[key])
    line = {"width": 4 if key == "base" else 2, "color": colours[key if STYLES[key].symbol.startswith("line") else "paper"]}
    figure.add_scatter(
        x=[at.base],
        y=[at.sidekick],
        name=name,
        mode="markers",
        marker={"symbol": STYLES[key].symbol, "size": 16, "color": colours[key], "line": line},
        hovertemplate=_hover(name, f"{nll:.4f}"),
    )


def _hover(name: str, nll: str) -> str:
    return f"<b>{name}</b><br>T_base %{{x:.3f}}<br>T_sidekick %{{y:.3f}}<br>NLL {nll} nats<extra></extra>"
