"""Results as files: one CSV line an answer, and tables in Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..atomic_file import written_whole
from .metrics import Scores
from .running import MILLIMETRES, PIXELS, Result
from .statistics import Estimate, mean_over_sources, source_estimate

_NONE = "–"
_SCORES = [field.name for field in fields(Scores)]
_COLUMNS = ["source", "case", "target", "prompt", "method", *_SCORES, "unit"]


@dataclass(frozen=True)
class ReportFacts:
    """What is said above the tables.

    lines: how the figures came to be. groups: sources that means are also given without, by the group's name.
    """

    title: str
    lines: tuple[str, ...]
    groups: Mapping[str, Sequence[str]]
    seed: int


def write_csv(path: Path, results: Sequence[Result]) -> None:
    """One line an answer. Raises OutputError where `path` cannot be written."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for r in results:
        scores = [f"{value:.6g}" for value in asdict(r.scores).values()]
        writer.writerow([r.source, r.case, r.target, r.prompt, r.method, *scores, r.unit])
    with written_whole(path) as stream:
        stream.write(text.getvalue().encode())


def write_markdown(path: Path, results: Sequence[Result], facts: ReportFacts) -> None:
    """All tables of `markdown`. Raises OutputError where `path` cannot be written."""
    with written_whole(path) as stream:
        stream.write(markdown(results, facts).encode())


def markdown(results: Sequence[Result], facts: ReportFacts) -> str:
    """An overview of means over sources, then for each prompt the Dice of each method on each source."""
    parts = [f"# {facts.title}", "\n".join(f"- {line}" for line in facts.lines)]
    parts += ["## Means over sources", _overview(results, facts)]
    for prompt in _in_order(r.prompt for r in results):
        parts += [f"## Dice: {prompt}", _by_source([r for r in results if r.prompt == prompt], facts)]
    return "\n\n".join(parts) + "\n"


def _overview(results: Sequence[Result], facts: ReportFacts) -> str:
    present = {r.source for r in results}
    groups = {name: s for name, s in facts.groups.items() if present & set(s) and present - set(s)}
    header = ["prompt", "method", "sources", "targets", "Dice", *(f"Dice without {name}" for name in groups)]
    header += ["IoU", "NSD", "HD95 mm", "HD95 px"]
    rows = []
    for prompt in _in_order(r.prompt for r in results):
        asked = [r for r in results if r.prompt == prompt]
        for method in _in_order(r.method for r in asked):
            own = [r for r in asked if r.method == method]
            row = [prompt, method, str(len({r.source for r in own})), str(len(own)), _mean(own, _dice, facts)]
            row += [_mean([r for r in own if r.source not in left_out], _dice, facts) for left_out in groups.values()]
            row += [_mean(own, lambda r: r.scores.iou, facts), _mean(own, lambda r: r.scores.nsd, facts)]
            for unit in (MILLIMETRES, PIXELS):
                row.append(_mean([r for r in own if r.unit == unit], lambda r: r.scores.hd95, facts, _plain))
            rows.append(row)
    return _table(header, rows)


def _by_source(results: Sequence[Result], facts: ReportFacts) -> str:
    methods = _in_order(r.method for r in results)
    rows = []
    for source in _in_order(r.source for r in results):
        own = [r for r in results if r.source == source]
        row = [source, str(len({(r.case, r.target) for r in own}))]
        for method in methods:
            values = [(r.case, r.scores.dice) for r in own if r.method == method]
            row.append(_fraction(source_estimate(source, values, facts.seed)) if values else _NONE)
        rows.append(row)
    means = [_mean([r for r in results if r.method == method], _dice, facts) for method in methods]
    total = len({(r.source, r.case, r.target) for r in results})
    rows.append(["**mean over sources**", str(total), *means])
    for name, left_out in facts.groups.items():
        kept = [r for r in results if r.source not in left_out]
        if kept and len(kept) < len(results):
            total = len({(r.source, r.case, r.target) for r in kept})
            means = [_mean([r for r in kept if r.method == method], _dice, facts) for method in methods]
            rows.append([f"**without {name}**", str(total), *means])
    return _table(["source", "n", *methods], rows)


def _mean(
    results: Sequence[Result],
    value: Callable[[Result], float],
    facts: ReportFacts,
    written: Callable[[Estimate], str] | None = None,
) -> str:
    by_source: dict[str, list[tuple[str, float]]] = {}
    for r in results:
        by_source.setdefault(r.source, []).append((r.case, value(r)))
    if not by_source:
        return _NONE
    return (written or _fraction)(mean_over_sources(by_source, facts.seed))


def _dice(result: Result) -> float:
    return result.scores.dice


def _fraction(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ({estimate.lower:.3f} to {estimate.upper:.3f})"


def _plain(estimate: Estimate) -> str:
    return f"{estimate.mean:.1f}"


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
