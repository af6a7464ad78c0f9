"""The items of a sequence during the work: whether each has a result of its own, and which of them is worked on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from ...errors import EditError
from ..nodes.item_results import ItemResults, find_item_results, keep_one_per_item, looks_of
from ..nodes.labelmaps import holds_voxels
from ..nodes.names import ITEM_RESULTS
from ..nodes.segmentation_nodes import segment_ids
from ..nodes.volume_nodes import PlacedVolume, frame_of, read_item


class ItemsWork:
    """For one volume node and `shown`, the segmentation node that the user chose.

    A volume that no sequence shows has one item, without a name, and no results of items. shares_result: all items
    share one result, as the user knows.
    """

    def __init__(self, scene, volume_node, shown) -> None:
        self.scene = scene
        self.volume_node = volume_node
        self.shown = shown
        self.shares_result = False
        self._away: tuple[PlacedVolume, object] | None = None
        self._aligned: tuple = ()

    @property
    def away(self) -> PlacedVolume | None:
        """The item that is worked on without being shown."""
        return None if self._away is None else self._away[0]

    @property
    def node(self):
        """The result that is worked on: the node that the user chose, or that of the item `away`."""
        return self.shown if self._away is None else self._away[1]

    @property
    def results(self) -> ItemResults | None:
        """The results of the items, where each has its own."""
        return find_item_results(self.volume_node, self.shown)

    def nodes(self) -> list:
        """All segmentation nodes of the work: the one that is shown, and those of the items."""
        results = self.results
        return [self.shown] if results is None else [self.shown, *map(results.node, results.frames)]

    def node_of(self, frame: str):
        """The segmentation node of an item. Raises EditError where it is not there."""
        results = self.results
        if results is None or frame == frame_of(self.volume_node):
            return self.shown
        return results.node(frame)

    @contextmanager
    def at(self, frame: str, shown: PlacedVolume) -> Iterator[None]:
        """Work on an item as if it were shown; `shown` is the one that is. Raises InputError or EditError."""
        if self._away is not None or frame == shown.frame:
            yield
            return
        if self.results is None:
            raise EditError("All items of this sequence share one result. Move to the item first.")
        self._away = read_item(self.volume_node, frame, shown), self.node_of(frame)
        try:
            yield
        finally:
            self._away = None

    def opened(self, state_node, reading: PlacedVolume) -> list[str]:
        """When the work is opened: look at what the scene holds of results of items. Returns what is to be told."""
        results = self.results
        if results is not None:
            notes = []
            if not results.saves_changes:
                notes.append(
                    f"'Save changes' was off for '{self.shown.GetName()}' in the module Sequences; it is on now, so "
                    "that each item keeps its result."
                )
            results.complete()
            state_node.SetAttribute(ITEM_RESULTS, "yes")
            return notes
        if reading.frame and not _had_results(state_node) and self._holds_voxels(reading):
            self.shares_result = True
            return ["All items of this sequence share one segmentation. 'One result per item' gives each its own."]
        return []

    def lost(self, state_node) -> list[str]:
        """Before a change: where the items' results have gone, all share one from now on. Returns what to tell."""
        if self.results is not None or not _had_results(state_node):
            return []
        state_node.RemoveAttribute(ITEM_RESULTS)
        self.shares_result = True
        return [
            f"'{self.shown.GetName()}' no longer has one result for each item: its sequence, or the browser, was "
            "removed. What the item shown last held is kept, and counts for all items from now on."
        ]

    def begins_anew(self, reading: PlacedVolume) -> bool:
        """Before a change: whether the items have no result yet, so that each can have its own; else all share it."""
        if self.results is not None or not reading.frame or self.shares_result:
            return False
        self.shares_result = self._holds_voxels(reading)
        return not self.shares_result

    def keep_one_each(self, state_node, accepted: Collection[str]) -> None:
        """Give each item a result of its own from now on; the one that is shown, and `accepted`, keep what there is.

        Raises EditError for a volume that no sequence browser shows.
        """
        keep_one_per_item(self.scene, self.volume_node, self.shown, {*accepted, frame_of(self.volume_node)})
        state_node.SetAttribute(ITEM_RESULTS, "yes")

    def moved_on(self, left: str) -> None:
        """The browser has gone to another item from the one that it left."""
        if self.results is not None:
            self.results.complete()
            self.align(left)

    def align(self, frame: str) -> None:
        """Let all items have the segments of one, named and coloured alike."""
        results = self.results
        if results is None or frame not in results.frames:
            return
        looks = looks_of(results.node(frame))
        if looks != self._aligned or looks != looks_of(self.shown):
            results.align(frame)
            self._aligned = looks

    def _holds_voxels(self, reading: PlacedVolume) -> bool:
        return any(holds_voxels(self.shown, segment_id, reading.local) for segment_id in segment_ids(self.shown))


def _had_results(state_node) -> bool:
    return state_node.GetAttribute(ITEM_RESULTS) is not None
