"""Draw a training from its log: losses, gradient norm, learning rate over tokens, and every way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.trainer.records import Curve, Record, curve, read_log

# Told apart by people who do not see red or green (Okabe and Ito, 2008).
_COURSE, _ABANDONED, _SKIPPED, _POINTS = "#0072B2", "#D55E00", "#E69F00", "#9ecae1"
_PANELS: Final = (
    ("loss", "loss, nats a token", 4.0),
    ("bits_per_character", "bits a character", 2.0),
    ("gradient_norm", "gradient norm", 1.5),
    ("learning_rate", "learning rate", 1.0),
)
_MOST_POINTS: Final = 4_000  # more are a solid band and megabytes
_LABELLED: Final = 8  # rewinds; of more only the last ones are told in words
Floats = NDArray[np.float64]


def draw(log: Path, target: Path) -> None:
    """Draw the log of a training into a PNG, which is replaced whole. Needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    found = curve(read_log(log))
    figure = Figure(figsize=(10, 9), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [height for *_, height in _PANELS]
    panels = figure.subplots(len(_PANELS), sharex=True, height_ratios=heights)
    unit = next((record["tokens"] / (record["step"] + 1) for record in found.steps), 1.0)  # tokens a step
    for axes, (name, label, _) in zip(panels, _PANELS, strict=True):
        _panel(axes, found, name=name, unit=unit)
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    _mark_rewinds(panels[0], found, unit=unit)
    panels[-1].set_xlabel("tokens" if found.steps else "no step was taken yet")
    panels[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    handles = {label: handle for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=4, frameon=False)
    fresh = target.with_name(f".{target.name}.fresh")
    figure.savefig(fresh, format="png", dpi=120)
    fresh.replace(target)


def _panel(axes: Any, found: Curve, *, name: str, unit: float) -> None:
    """Draw one figure: points and medians of the present course, lines for what was taken back."""
    x, y = _series(found.steps, name=name, unit=unit)
    if name != "learning_rate":
        stride, size = -(-max(1, len(x)) // _MOST_POINTS), 6 if len(x) <= 100 else 2
        axes.plot(x[::stride], y[::stride], ".", color=_POINTS, markersize=size, zorder=1, label="a step")
    middle = _medians(y)
    axes.plot(_medians(x), middle, color=_COURSE, linewidth=1.5, zorder=3, label="median of steps")
    for branch in found.abandoned:
        left, spike = _series(branch[:-1], name=name, unit=unit), _series(branch[-1:], name=name, unit=unit)
        line = [np.append(_medians(values), end) for values, end in zip(left, spike, strict=True)]
        axes.plot(*line, color=_ABANDONED, linewidth=1.2, zorder=2, label="taken back")
    if name == "gradient_norm" and (y > 0).any():
        axes.set_yscale("log")
    elif name != "learning_rate" and len(y):
        low, high = y.min(), max(middle.max(), np.quantile(y, 0.995))
        room = max(high - low, 0.02) * 0.25
        axes.set_ylim(low - room / 4, high + room)  # a spike of 40 nats must not flatten the rest


def _mark_rewinds(axes: Any, found: Curve, *, unit: float) -> None:
    """Shade the steps whose data is skipped, draw an arrow back from each spike, say the last in words."""
    bottom, top = axes.get_ylim()
    arrow = {"arrowstyle": "->", "color": _ABANDONED, "connectionstyle": "arc3,rad=0.2", "shrinkB": 0}
    words = []
    for number, (rewind, branch) in enumerate(zip(found.rewinds, found.abandoned, strict=True), start=1):
        spike, back, loss = (rewind["step"] + 1) * unit, rewind["to_step"] * unit, branch[-1].get("loss")
        ceiling = top - (top - bottom) * 0.02  # where a spike beyond the panel, or of no number, is drawn
        height = ceiling if loss is None else min(loss, ceiling)
        begin, end = rewind["skipped_steps"]
        axes.axvspan(
            begin * unit, end * unit, color=_SKIPPED, alpha=0.25, lw=0, zorder=0, label="data skipped"
        )
        axes.annotate("", (back, height - (top - bottom) * 0.08), (spike, height), arrowprops=arrow)
        axes.plot(spike, height, "x", color=_ABANDONED, markersize=7, zorder=4)
        told = "not a number" if loss is None else f"{loss:.2f}"
        words.append(f"{number}: {told} at step {rewind['step']:,}, back to {rewind['to_step']:,}")
    if words:
        left_out = [f"{len(words)} rewinds, the last of them:"] if len(words) > _LABELLED else []
        text, white = (
            "\n".join([*left_out, *words[-_LABELLED:]]),
            {"facecolor": "white", "alpha": 0.8, "lw": 0},
        )
        place: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "top", "zorder": 5}
        axes.annotate(text, (0.995, 0.98), fontsize=8, color=_ABANDONED, bbox=white, **place)


def _series(records: Sequence[Record], *, name: str, unit: float) -> tuple[Floats, Floats]:
    """Return tokens and values of the records that have this figure."""
    pairs = [((one["step"] + 1) * unit, one[name]) for one in records if one.get(name) is not None]
    x, y = np.array(pairs, np.float64).reshape(-1, 2).T
    return x, y


def _medians(values: Floats) -> Floats:
    """Return the medians of up to 200 equal blocks, of 8 values each where there are enough for 20."""
    blocks = min(len(values), max(20, min(200, len(values) // 8)))
    return np.array([np.median(block) for block in np.array_split(values, blocks)] if blocks else [])
