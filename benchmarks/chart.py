"""The bar chart of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .contenders import title

__all__ = ["draw"]

NEEDLE_COLOR, OTHER_COLOR = "#d1495b", "#8d99ae"


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw the median step of every contender, a panel a workload, quartiles as thin lines."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    workloads = results["workloads"]
    heights = [len(workload["contenders"]) for workload in workloads.values()]
    # the same results give the same file; text stays text
    style = {"svg.fonttype": "none", "svg.hashsalt": "needle", "font.size": 9}
    with mpl.rc_context(style):
        figure = Figure(
            figsize=(8, 0.28 * sum(heights) + 0.65 * len(heights)), layout="constrained"
        )
        panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for panel, (name, workload) in zip(panels, workloads.items(), strict=True):
            _draw_panel(panel, name, workload)
        panels[-1].set_xlabel("milliseconds a step (median; thin lines: quartiles)")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_panel(panel: Any, name: str, workload: Mapping[str, Any]) -> None:
    rows = workload["contenders"]
    titles = [title(contender) for contender in rows]
    medians = [row["median_seconds"] * 1e3 for row in rows.values()]
    lows, highs = zip(*(row["quartiles_seconds"] for row in rows.values()), strict=True)
    spread = [
        [median - low * 1e3 for median, low in zip(medians, lows, strict=True)],
        [high * 1e3 - median for median, high in zip(medians, highs, strict=True)],
    ]
    colors = [NEEDLE_COLOR if contender == "needle" else OTHER_COLOR for contender in rows]
    bars = panel.barh(titles, medians, xerr=spread, color=colors, error_kw={"lw": 0.8})
    panel.bar_label(bars, fmt="{:.3g}", padding=4)
    panel.invert_yaxis()
    panel.set_title(f"{name}: {workload['title']}", loc="left", fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    panel.margins(x=0.1)
