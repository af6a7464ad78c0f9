"""The table of models in the section Set-up, with the buttons that get, install and delete them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import UserError
from .controllers.model_list import ModelRow, model_rows
from .controllers.model_store import FamilyQuestion, ModelStore
from .controllers.work import Tone, Work

_TABLE_HEIGHT_PX = 140
_ROW_HEIGHT_PX = 22
_TICK_MS = 10


class ModelTable:
    """offered: called with the (title, name) pairs that can be chosen and the name of a new one, or ""."""

    def __init__(self, ui, work: Work, offered: Callable[[list[tuple[str, str]], str], None]) -> None:
        self._ui, self._work, self._offered = ui, work, offered
        self._store = ModelStore()
        self._rows: list[ModelRow] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._advance)
        table = ui.modelTable
        headings = [_("Model"), _("State"), _("Size"), _("Licence"), _("Trained prompts")]
        table.columnCount = len(headings)
        table.setHorizontalHeaderLabels(headings)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT_PX)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setFixedHeight(_TABLE_HEIGHT_PX)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.connect("itemSelectionChanged()", self.refresh)
        ui.downloadModelButton.connect("clicked()", lambda: self._attempt(self._download))
        ui.installModelButton.connect("clicked()", lambda: self._attempt(self._install))
        ui.deleteModelButton.connect("clicked()", lambda: self._attempt(self._delete))
        ui.cancelModelButton.connect("clicked()", self.cancel)

    # -- what there is

    def look(self, new: str = "") -> None:
        """Read the list anew. new: a model that has just been installed."""
        try:
            self._rows = model_rows()
        except ModuleNotFoundError:  # before the requirements are installed
            self._rows = []
        chosen = self._ui.modelTable.currentRow()
        table = self._ui.modelTable
        table.rowCount = len(self._rows)
        for number, row in enumerate(self._rows):
            for column, text in enumerate((row.title, row.state, row.size, row.licence, row.prompts)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(number, column, item)
        if 0 <= chosen < len(self._rows):
            table.selectRow(chosen)
        self._offered([(row.title, row.name) for row in self._rows if row.can_be_chosen], new)
        self.refresh()

    def refresh(self) -> None:
        ui, row, busy = self._ui, self._selected(), self._store.busy
        ui.downloadModelButton.enabled = not busy and row is not None and row.can_be_downloaded
        ui.installModelButton.enabled = not busy and bool(self._rows)
        ui.deleteModelButton.enabled = not busy and not self._work.busy and row is not None and row.can_be_deleted
        for widget in (ui.modelProgressBar, ui.modelProgressLabel, ui.cancelModelButton):
            widget.visible = busy
        if busy:
            ui.modelProgressLabel.text = self._store.text()
            done, total = self._store.progress()
            ui.modelProgressBar.maximum = total
            ui.modelProgressBar.value = done

    def _selected(self) -> ModelRow | None:
        chosen = self._ui.modelTable.selectedItems()
        return self._rows[chosen[0].row()] if chosen else None

    # -- what the user does

    def _attempt(self, action: Callable[[], None]) -> None:
        def act() -> None:
            try:
                action()
            except ModuleNotFoundError as error:
                raise UserError(
                    _("The Python package '{name}' is missing. Press 'Install what is missing' first.").format(
                        name=error.name
                    )
                ) from error
            except UserError:
                self.look()  # another program may have changed the files since the list was read
                raise

        self._work.attempt(act)

    def _download(self) -> None:
        row = self._selected()
        if slicer.util.confirmOkCancelDisplay(self._store.download_question(row.name)):
            self._store.start_download(row.name)
            self._begin()

    def _install(self) -> None:
        files = _("Checkpoints") + " (*.safetensors *.pth *.pt)"
        chosen = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Install a model from a file"), "", files)
        if not chosen:
            return
        path = Path(chosen)
        question = self._store.install_question(path)
        if not question or slicer.util.confirmOkCancelDisplay(question):
            self._work.let_go_of(self._store.name_for(path))
            self._store.start_install(path)
            self._begin()

    def _delete(self) -> None:
        row = self._selected()
        if slicer.util.confirmOkCancelDisplay(self._store.delete_question(row.name)):
            self._work.let_go_of(row.name)
            text = self._store.delete(row.name)
            self.look()
            self._work.say(text)

    def cancel(self) -> None:
        """End what is under way, at once."""
        if self._store.busy:
            self._timer.stop()
            self._end(self._store.cancel().text)

    # -- work in the background

    def _begin(self) -> None:
        self._timer.start()
        self.refresh()

    def _advance(self) -> None:
        try:
            outcome = self._store.step()
        finally:
            if not self._store.busy:
                self._timer.stop()
        if outcome is None:
            self.refresh()
        elif outcome.question is not None:
            self._install_as(outcome.question, _ask_family(outcome.question))
        else:
            self._end(outcome.text, Tone.ERROR if outcome.error else Tone.PLAIN, outcome.name)

    def _install_as(self, question: FamilyQuestion, family: str) -> None:
        if not family:
            self._end(_("Nothing was installed."))
            return
        self._store.start_install(question.path, family)
        self._begin()

    def _end(self, text: str, tone: Tone = Tone.PLAIN, new: str = "") -> None:
        self.look(new)
        self._work.say(text, tone)
        self._work.notify()


def _ask_family(question: FamilyQuestion) -> str:
    """The family that the user names, or "" where he does not."""
    dialog = qt.QInputDialog(slicer.util.mainWindow())
    dialog.setWindowTitle(_("Which model is it?"))
    dialog.setLabelText(
        _(
            "The files of these models look alike, but the models want the picture prepared in different ways.\n"
            "Of which one is {name}?"
        ).format(name=question.path.name)
    )
    dialog.setComboBoxItems([title for title, _family in question.choices])
    dialog.setComboBoxEditable(False)
    family = dict(question.choices)[dialog.textValue()] if is_accepted(dialog) else ""
    dialog.deleteLater()
    return family


def is_accepted(dialog) -> bool:
    """Show a dialog; whether the user closes it by OK. Qt 6 calls that `exec`, PythonQt of Qt 5 only `exec_`."""
    show = getattr(dialog, "exec", None) or dialog.exec_
    return bool(show())
