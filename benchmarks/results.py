"""Timings collected over several rounds, and the ratios between them."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.programs import Timing


@dataclass(frozen=True)
class Target:
    """A bound on a ratio or on an absolute figure; without either, it is only shown.

    Attributes:
        at_most: The figure may not be larger; None if it is the other way round.
        at_least: The figure may not be smaller; None if it is the other way round.
    """

    at_most: float | None = None
    at_least: float | None = None

    def met(self, figure: float) -> bool | None:
        if self.at_most is not None:
            return figure <= self.at_most
        return None if self.at_least is None else figure >= self.at_least

    def __str__(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"


class Results:
    """Everything measured in one run."""

    def __init__(self) -> None:
        self.timings: dict[str, list[Timing]] = defaultdict(list)
        self.rows: list[dict[str, Any]] = []

    def add(self, name: str, timing: Timing) -> Timing:
        self.timings[name].append(timing)
        load = os.getloadavg()[0]
        print(f"  {name:34} {timing.wall_s:8.2f} s   cpu {timing.cpu_s:7.2f} s   load {load:.1f}")
        return timing

    def ratio(self, what: str, over: str, under: str, target: Target) -> None:
        """Compare two timings by their minima and by their medians."""
        above, below = self.timings.get(over), self.timings.get(under)
        if not above or not below:
            self.rows.append({"what": what, "target": str(target), "min": None})
            return
        by_wall = [sorted(t.wall_s for t in side) for side in (above, below)]
        by_cpu = [min(t.cpu_s for t in side) for side in (above, below)]
        smallest = by_wall[0][0] / by_wall[1][0]
        self.rows.append(
            {
                "what": what,
                "target": str(target),
                "min": round(smallest, 2),
                "median": round(median(by_wall[0]) / median(by_wall[1]), 2),
                "cpu": round(by_cpu[0] / by_cpu[1], 2),
                "rounds": f"{len(above)}/{len(below)}",
                "met": target.met(smallest),
            }
        )

    def figure(self, what: str, values: list[float], unit: str, target: Target) -> None:
        """Record an absolute figure; the smallest one counts, memory excepted."""
        worst = unit == "MiB"
        best = max(values) if worst else min(values)
        self.rows.append(
            {
                "what": f"{what} ({unit})",
                "target": str(target),
                "min": round(best, 2),
                "median": round(median(values), 2),
                "rounds": str(len(values)),
                "met": target.met(best),
            }
        )

    def table(self) -> str:
        """Return all figures as a Markdown table."""
        lines = ["| what | target | min | median | cpu | rounds | met |", "|---" * 7 + "|"]
        for row in self.rows:
            missing = "not measured" if row["min"] is None else ""
            met = {True: "yes", False: "**no**", None: missing}[row.get("met")]
            cells = [row.get(key, "") for key in ("what", "target", "min", "median", "cpu")]
            cells += [row.get("rounds", ""), met]
            lines.append("| " + " | ".join("" if c is None else str(c) for c in cells) + " |")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        times = {k: [[t.wall_s, t.cpu_s] for t in v] for k, v in self.timings.items()}
        return {"rows": self.rows, "wall_and_cpu_s": times}
