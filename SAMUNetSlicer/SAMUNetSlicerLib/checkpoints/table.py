"""The README's table of models, made from the catalogue: `python -m SAMUNetSlicerLib.checkpoints.table`."""

from __future__ import annotations

import sys

from .catalogue import CatalogueEntry, read_catalogue

_HEADINGS = ("Model", "Name", "Input", "Trained for", "File", "Licence of the weights", "Comes")


def models_table() -> str:
    """GitHub Markdown, one line a model."""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS), *map(_row, read_catalogue().models)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(entry: CatalogueEntry) -> tuple[str, ...]:
    size = f"{entry.file.size / 1e6:,.0f} MB" if entry.file.size else "-"
    prompts = ", ".join(entry.trained_prompts) or "no prompts: classes"
    elsewhere = "by download" if entry.file.url else "from your file"
    comes = "with the program" if entry.file.shipped else elsewhere
    return entry.title, f"`{entry.name}`", f"{entry.input_size} px", prompts, size, entry.licence, comes


if __name__ == "__main__":
    sys.stdout.write(models_table())
