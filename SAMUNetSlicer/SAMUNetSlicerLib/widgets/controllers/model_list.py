"""The table of models: what can be chosen, downloaded, deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .texts import _

if TYPE_CHECKING:  # brings packages that Slicer gets only later
    from ...checkpoints.catalogue import Catalogue, CatalogueEntry
    from ...checkpoints.listing import ListedModel


@dataclass(frozen=True)
class ModelRow:
    """One line, with its texts. The flags say what may be done with the model."""

    name: str
    title: str
    size: str
    licence: str
    prompts: str
    state: str
    can_be_chosen: bool
    can_be_downloaded: bool
    can_be_deleted: bool


def model_rows() -> list[ModelRow]:
    """All known models. Raises ModuleNotFoundError before the requirements are installed."""
    from ...checkpoints.catalogue import read_catalogue
    from ...checkpoints.listing import list_models

    catalogue = read_catalogue()
    return [_row(model, catalogue) for model in list_models()]


def _row(model: ListedModel, catalogue: Catalogue) -> ModelRow:
    from ...checkpoints.listing import ModelState as State

    entry, state = model.entry, model.state
    on_the_disk = model.path is not None
    size_bytes = entry.file.size if entry is not None else model.path.stat().st_size
    without_prompts = {e.family for e in catalogue.models if not e.trained_prompts}
    prompted = model.family not in without_prompts
    return ModelRow(
        name=model.name,
        title=entry.title if entry is not None else model.name,
        size=in_megabytes(size_bytes) if size_bytes else _("unknown"),
        licence=model.licence,
        prompts=_prompts_text(entry) if prompted else _("none: segments by itself"),
        state=_state_text(model) if prompted or not on_the_disk else _("installed, for the command line"),
        can_be_chosen=prompted and state in (State.SHIPPED, State.INSTALLED),
        can_be_downloaded=bool(entry and entry.file.url) and state not in (State.SHIPPED, State.INSTALLED),
        can_be_deleted=not (entry and entry.file.shipped) and (on_the_disk or state is State.PARTIAL),
    )


def _prompts_text(entry: CatalogueEntry | None) -> str:
    return ", ".join(entry.trained_prompts) if entry is not None else _("as its family")


def _state_text(model: ListedModel) -> str:
    from ...checkpoints.listing import ModelState as State

    if model.state is State.PARTIAL:
        return _("partly downloaded ({arrived})").format(arrived=in_megabytes(model.partial_bytes))
    if model.state is State.DAMAGED and model.entry is not None and model.entry.file.shipped:
        return _("damaged: install the extension again")
    return {
        State.SHIPPED: _("installed with the extension"),
        State.INSTALLED: _("installed"),
        State.DAMAGED: _("damaged"),
        State.DOWNLOADABLE: _("can be downloaded"),
        State.FROM_FILE: _("can be installed from a file"),
    }[model.state]


def in_megabytes(count: int) -> str:
    """For example "375 MB"."""
    return f"{count / 1e6:,.0f} MB"
