"""Getting, installing and deleting models from the panel: questions to ask first, and work in short steps."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ModelError, UserError
from .model_list import in_megabytes
from .propagation_run import in_words
from .texts import _

if TYPE_CHECKING:  # brings packages that Slicer gets only later
    from ...checkpoints.catalogue import CatalogueEntry
    from ...checkpoints.listing import ListedModel
    from ...checkpoints.steps import Progress

STEP_S = 0.03  # of work at a time; the window has the rest


@dataclass(frozen=True)
class FamilyQuestion:
    """A file whose family only the user can tell. choices: (title, family)."""

    path: Path
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Outcome:
    """How a job ended. name: the model that is installed now, "" if none; error: why not, "" if cancelled."""

    text: str
    name: str = ""
    error: str = ""
    question: FamilyQuestion | None = None


class ModelStore:
    """At most one job at a time. Nothing is downloaded or deleted by the questions: the panel asks, then calls."""

    def __init__(self) -> None:
        self._steps: Generator[Progress, None, object] | None = None
        self._path: Path | None = None
        self._name = self._title = ""
        self._last: Progress | None = None
        self._began: tuple[float, int] | None = None  # when receiving began, and what was there already

    @property
    def busy(self) -> bool:
        return self._steps is not None

    # -- what to ask

    def download_question(self, name: str) -> str:
        """Size, licence, source and target of a download. Raises ModelError for an unknown model."""
        from ...checkpoints.places import user_models_folder

        entry = self._entry(name)
        there = self._listed(name).partial_bytes
        size = in_megabytes(entry.file.size) if entry.file.size else _("unknown size")
        resumed = _("{arrived} of it have arrived earlier.").format(arrived=in_megabytes(there)) + "\n" if there else ""
        return _(
            "Download {title}?\n\nSize: {size}\n{resumed}Licence: {licence}\nOrigin: {source}\n"
            "From: {url}\nTo: {folder}"
        ).format(
            title=entry.title,
            size=size,
            resumed=resumed,
            licence=entry.licence,
            source=entry.source,
            url=entry.file.url,
            folder=user_models_folder(),
        )

    def delete_question(self, name: str) -> str:
        """Raises ModelError where there is nothing to delete."""
        model = self._listed(name)
        if model.path is not None:
            return _("Delete the model {name}?\n\nFile: {path}").format(name=name, path=model.path)
        return _("Delete what has been downloaded of {name} ({arrived})?").format(
            name=name, arrived=in_megabytes(model.partial_bytes)
        )

    def install_question(self, path: Path) -> str:
        """What must be confirmed before a file is installed; "" where nothing is replaced."""
        from ...checkpoints.installed import find_user_model

        name = self.name_for(path)
        if find_user_model(name) is None:
            return ""
        return _("There is a model called {name} already. Replace it by {path}?").format(name=name, path=path)

    @staticmethod
    def name_for(path: Path) -> str:
        """A name for a file of the user's own: the file's, unless it is kept for a published model."""
        from ...checkpoints.catalogue import read_catalogue
        from ...checkpoints.installed import suggest_name

        catalogue = read_catalogue()
        name = catalogue.spelled(suggest_name(path))
        entry = catalogue.get(name)
        return f"{name}_own" if entry is not None and entry.file.digest is not None else name

    # -- what to do

    def start_download(self, name: str) -> None:
        """Begin, or go on with what has arrived. The user has been asked."""
        from ...checkpoints.download import PATIENCE_OF_A_WINDOW
        from ...checkpoints.store import download_model

        self._start(download_model(name, PATIENCE_OF_A_WINDOW), name, self._entry(name).title)

    def start_install(self, path: Path, family: str | None = None) -> None:
        """Begin to copy a checkpoint file into the user's models. family: the answer to a `FamilyQuestion`."""
        from ...checkpoints.store import install_in_steps

        self._start(install_in_steps(path, self.name_for(path), family), "", path.name, path)

    def delete(self, name: str) -> str:
        """Delete an installed model, or what a download has left of it. Returns a sentence."""
        from ...checkpoints.store import delete_model

        delete_model(name)
        return _("{name} was deleted.").format(name=name)

    def step(self, budget_s: float = STEP_S) -> Outcome | None:
        """Work for so long; None while there is more to do."""
        end = time.monotonic() + budget_s
        try:
            while True:
                self._note(next(self._steps))
                if time.monotonic() >= end:
                    return None
        except StopIteration as finished:
            name = self._name or finished.value.name
            self._finish()
            return Outcome(_("{title} is installed.").format(title=self._title), name)
        except UserError as error:
            self._finish()
            return Outcome(str(error), error=str(error), question=self._question(error))
        except BaseException:
            self._finish()
            raise

    def cancel(self) -> Outcome:
        """End the job now. What a download has received is kept, of an installation nothing."""
        resumable = self._name != "" and self._last is not None and self._last.done_bytes > 0
        self._finish()
        if resumable:
            return Outcome(_("Cancelled. What has arrived is kept: Download goes on from there, Delete removes it."))
        return Outcome(_("Cancelled. Nothing was installed."))

    def progress(self) -> tuple[int, int]:
        """Per mille that are done and 1000, or (0, 0) while it cannot be told."""
        last = self._last
        if last is None or not last.total_bytes:
            return 0, 0
        return round(1000 * last.done_bytes / last.total_bytes), 1000

    def text(self) -> str:
        """For example "LiteMedSAM: receiving, 12 MB of 40 MB, about 30 s left"."""
        from ...checkpoints.steps import Phase

        last = self._last
        if last is None:
            return _("{title}: beginning").format(title=self._title)
        phase = {
            Phase.CONNECTING: _("connecting"),
            Phase.RECEIVING: _("receiving"),
            Phase.WAITING: _("the connection broke; trying again soon"),
            Phase.VERIFYING: _("verifying"),
            Phase.STORING: _("storing"),
            Phase.DONE: _("done"),
        }[last.phase]
        parts = [f"{self._title}: {phase}"]
        if last.total_bytes:
            parts.append(
                _("{done} of {total}").format(done=in_megabytes(last.done_bytes), total=in_megabytes(last.total_bytes))
            )
        if (left_s := self._remaining_s()) is not None:
            parts.append(_("about {time} left").format(time=in_words(left_s)))
        return ", ".join(parts)

    # -- within

    def _start(self, steps, name: str, title: str, path: Path | None = None) -> None:
        if self.busy:
            raise ModelError(_("Another model is being installed. Wait for it, or cancel it."))
        self._steps, self._name, self._title, self._path = steps, name, title, path
        self._last = self._began = None

    def _finish(self) -> None:
        if self._steps is not None:
            self._steps.close()
        self._steps = None

    def _note(self, progress: Progress) -> None:
        from ...checkpoints.steps import Phase

        if progress.phase is not Phase.RECEIVING:
            self._began = None
        elif self._began is None:
            self._began = (time.monotonic(), progress.done_bytes)
        self._last = progress

    def _remaining_s(self) -> float | None:
        if self._began is None or not self._last.total_bytes:
            return None
        since, before = self._began
        seconds, received = time.monotonic() - since, self._last.done_bytes - before
        if seconds < 1 or not received:
            return None
        return seconds / received * (self._last.total_bytes - self._last.done_bytes)

    def _question(self, error: UserError) -> FamilyQuestion | None:
        from ...checkpoints.catalogue import read_catalogue
        from ...checkpoints.loading import AmbiguousFamilyError

        if not isinstance(error, AmbiguousFamilyError) or self._path is None:
            return None
        titles = {entry.family: entry.title for entry in reversed(read_catalogue().models)}
        return FamilyQuestion(self._path, tuple((titles.get(family, family), family) for family in error.families))

    def _entry(self, name: str) -> CatalogueEntry:
        from ...checkpoints.catalogue import read_catalogue

        entry = read_catalogue().get(name)
        if entry is None:
            raise ModelError(_("There is no model called {name}.").format(name=name))
        return entry

    def _listed(self, name: str) -> ListedModel:
        from ...checkpoints.listing import list_models

        model = next((model for model in list_models() if model.name == name), None)
        if model is None:
            raise ModelError(_("There is no model called {name}.").format(name=name))
        return model
