"""What came out of a federation, to look at: a table and a figure of the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bundle.statistics import with_interval
from bundle.whole_file import whole_file

Results = Mapping[str, Mapping[str, float]]


def table(results: Results, shown: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Markdown: a row for each training, a column for each figure, in brackets its 95% interval where it has one.

    Args:
        results: training -> metric -> value; ``<metric>_low`` and ``<metric>_high`` are the interval.
        shown: metric -> heading, in order.
        names: training -> what it is called.
    """
    rows = [["", *shown.values()], ["---"] * (len(shown) + 1)]
    for training, metrics in results.items():
        rows.append([names[training], *(_cell(metrics, metric) for metric in shown)])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def draw(results: Results, shown: Mapping[str, str], names: Mapping[str, str], path: Path) -> Path:
    """The table as bars, a panel for each figure, with the intervals as whiskers; see :func:`table`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(shown), 3.0), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (metric, heading) in zip(panels, shown.items(), strict=True):
        values = [metrics[metric] for metrics in results.values()]
        low = [metrics.get(f"{metric}_low", metrics[metric]) for metrics in results.values()]
        panel.bar(range(len(values)), values, width=0.65, color=["#1b6ca8", *["#9aa5b1"] * (len(values) - 1)])
        for place, metrics in enumerate(results.values()):
            value = metrics[metric]
            inside = value > 0.1  # a bar too small for its number has it above
            at = value / 2 if inside else max(value, 0.0) + 0.05
            color = "white" if inside else "black"
            panel.text(place, at, f"{value:.2f}", ha="center", va="center", color=color, fontsize=9)
            if f"{metric}_low" in metrics:
                ends = [[value - metrics[f"{metric}_low"]], [metrics[f"{metric}_high"] - value]]
                panel.errorbar([place], [value], ends, fmt="none", ecolor="black", capsize=3, linewidth=1)
        panel.set_xticks(
            range(len(values)), [names[training].replace(" alone", "\nalone") for training in results], fontsize=8
        )
        panel.set_title(heading, fontsize=10)
        panel.set_ylim(min(0.0, *low), 1.0)
        panel.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=150)
    return path


def _cell(metrics: Mapping[str, float], metric: str) -> str:
    if f"{metric}_low" not in metrics:
        return f"{metrics[metric]:.3f}"
    return with_interval([metrics[f"{metric}{end}"] for end in ("", "_low", "_high")])
