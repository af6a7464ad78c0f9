"""The table of models in the README, made from the catalogue.

python -m SAMUNetSlicerLib.checkpoints.table            prints it
python -m SAMUNetSlicerLib.checkpoints.table README.md  puts it between the marks in that file
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..atomic_file import written_whole
from .catalogue import CatalogueEntry, read_catalogue

BEGIN = "<!-- models: made by `python -m SAMUNetSlicerLib.checkpoints.table README.md` -->\n"
END = "<!-- end of the models -->\n"
_HEADINGS = ("model", "name", "input", "trained for", "file", "licence of the weights", "comes")


def models_table() -> str:
    """GitHub Markdown, one line a model."""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS), *map(_row, read_catalogue().models)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def with_table(text: str) -> str:
    """A text with today's table between its marks. Raises ValueError for a text without them."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError("the marks between which the table stands are missing")
    return before + BEGIN + models_table() + END + after


def _row(entry: CatalogueEntry) -> tuple[str, ...]:
    size = f"{entry.file.size / 1e6:,.0f} MB" if entry.file.size else "-"
    prompts = ", ".join(entry.trained_prompts) or "no prompts: classes"
    elsewhere = "by download" if entry.file.url else "from your file"
    comes = "with the program" if entry.file.shipped else elsewhere
    return entry.title, f"`{entry.name}`", f"{entry.input_size} px", prompts, size, entry.licence, comes


def main(arguments: list[str]) -> None:
    """Print the table, or write it into the files that are named."""
    if not arguments:
        sys.stdout.write(models_table())
    for name in arguments:
        path = Path(name)
        text = with_table(path.read_text(encoding="utf-8"))
        with written_whole(path) as stream:
            stream.write(text.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
