"""The one table that a benchmark prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One figure. baseline: of (a), the straightforward forward; value: ours; ratio: how many times better ours is.

    Texts with their units, since rows differ in them; "" where there is none. target: what is aimed at, as text; met:
    None where nothing is aimed at here.
    """

    what: str
    baseline: str = ""
    value: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


def ratio_row(what: str, baseline_s: float, ours_s: float, target: float | None = None) -> Row:
    """Seconds against seconds; target: the least ratio."""
    ratio = baseline_s / ours_s
    wanted, met = ("", None) if target is None else (f">= {target:g} x", ratio >= target)
    return Row(what, in_ms(baseline_s), in_ms(ours_s), ratio, wanted, met)


def limit_row(what: str, value: float, text: str, limit: float, target: str) -> Row:
    """A figure that must not exceed a limit."""
    return Row(what, value=text, target=target, met=value <= limit)


def in_ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"


def as_markdown(title: str, rows: Sequence[Row]) -> str:
    """A table with the title above it."""
    lines = [
        f"### {title}",
        "",
        "| | (a) fp32 forward | ours | ratio | target | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        met = {None: "", True: "met", False: "missed"}[row.met]
        lines.append(f"| {row.what} | {row.baseline} | {row.value} | {ratio} | {row.target} | {met} |")
    return "\n".join([*lines, ""])


def as_json(rows: Sequence[Row]) -> list[dict]:
    return [asdict(row) for row in rows]
