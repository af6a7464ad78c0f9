"""The confidence strip: a table of one row, one coloured cell per plane, that can be clicked and walked with keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt

from .controllers.strip import COLOURS, Cell, status_names

_HEIGHT_PX = 22
_NARROWEST_PX = 4
_WIDEST_PX = 32
_MARK = "|"


class ConfidenceStrip:
    """chosen: called with the number of the plane that the user clicks or goes to with the arrow keys."""

    def __init__(self, table, chosen: Callable[[int], None]) -> None:
        self._table, self._chosen = table, chosen
        self._cells: tuple[Cell, ...] = ()
        self._marked: int | None = None
        table.rowCount = 1
        table.horizontalHeader().hide()
        table.verticalHeader().hide()
        table.horizontalHeader().setMinimumSectionSize(_NARROWEST_PX)
        table.verticalHeader().setMinimumSectionSize(_HEIGHT_PX)  # else styles make the row higher than the table
        table.verticalHeader().setDefaultSectionSize(_HEIGHT_PX)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        table.setSelectionMode(qt.QAbstractItemView.NoSelection)
        table.showGrid = False
        table.setFixedHeight(_HEIGHT_PX + 18)
        table.connect("cellClicked(int,int)", lambda _row, column: chosen(column))
        table.connect("currentCellChanged(int,int,int,int)", self._walked)

    def show(self, cells: Sequence[Cell], marked: int | None) -> None:
        """Show these planes. marked: the plane that is worked on. Only cells that differ are touched."""
        blocked = self._table.blockSignals(True)
        fresh = len(cells) != len(self._cells)
        if fresh:
            self._table.columnCount = len(cells)
        self._fit_width(len(cells))
        for number, cell in enumerate(cells):
            if fresh or cell != self._cells[number] or number in (marked, self._marked):
                self._show_cell(number, cell, number == marked)
        if (fresh or marked != self._marked) and marked is not None and marked < len(cells):
            self._table.setCurrentCell(0, marked)  # the arrow keys go on from here
            self._table.scrollToItem(self._table.item(0, marked))
        self._cells, self._marked = tuple(cells), marked
        self._table.blockSignals(blocked)

    def _walked(self, _row: int, column: int, _old_row: int, _old_column: int) -> None:
        if column >= 0 and self._table.focus:
            self._chosen(column)

    def _fit_width(self, count: int) -> None:
        room = max(1, self._table.viewport().width)
        width = min(_WIDEST_PX, max(_NARROWEST_PX, room // max(1, count)))
        self._table.horizontalHeader().setDefaultSectionSize(width)

    def _show_cell(self, number: int, cell: Cell, marked: bool) -> None:
        item = self._table.item(0, number)
        if item is None:
            item = qt.QTableWidgetItem()
            item.setTextAlignment(qt.Qt.AlignCenter)
            item.setForeground(qt.QBrush(qt.QColor("black")))  # also in dark styles: the cells are pale
            self._table.setItem(0, number, item)
        item.setBackground(qt.QBrush(qt.QColor(*cell.colour_rgb)))
        item.setToolTip(cell.text)
        item.setText(_MARK if marked else "")


def legend() -> str:
    """Rich text that explains the colours."""
    names = status_names()
    return "&nbsp; ".join(
        f'<span style="background-color: rgb{colour}">&nbsp;&nbsp;&nbsp;</span>&nbsp;{names[status]}'
        for status, colour in COLOURS.items()
    )
