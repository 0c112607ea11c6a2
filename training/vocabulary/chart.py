"""Draw tokenizers beside each other: characters per token, a group of bars for each set of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.vocabulary.measure import Measured

# Told apart by people who do not see red or green (Okabe and Ito, 2008); black is left to the letters.
_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_BAR_IN: Final = 0.27  # height of a bar in inches
_FORMATS: Final = ("png", "svg")


def draw(rows: Sequence[Measured], *, folder: Path) -> list[Path]:
    """Write report.png and report.svg: the same rows, the same bytes. Needs no screen."""
    import matplotlib as mpl  # takes half a second, which a report without a plot need not pay
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    texts, names = list(dict.fromkeys(r.texts for r in rows)), list(dict.fromkeys(r.tokenizer for r in rows))
    height = 1.1 + _BAR_IN * len(texts) * (len(names) + 1)
    figure = Figure(figsize=(8, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, name in enumerate(names):
        found = [row for row in rows if row.tokenizer == name]
        values = [row.characters_per_token for row in found]
        places = [texts.index(row.texts) * (len(names) + 1) + i for row in found]
        bars = axes.barh(
            places,
            values,
            height=0.9,
            xerr=[row.plus_minus for row in found],
            color=_COLOURS[i % len(_COLOURS)],
            ecolor="#444444",
            label=f"{name} ({found[0].vocabulary:,})",
        )
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    middles = [i * (len(names) + 1) + (len(names) - 1) / 2 for i in range(len(texts))]
    axes.set_yticks(middles, texts)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("characters per token, ± 95 % over documents")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    paths = [folder / f"report.{kind}" for kind in _FORMATS]
    with mpl.rc_context({"svg.hashsalt": "report", "svg.fonttype": "none"}):
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
