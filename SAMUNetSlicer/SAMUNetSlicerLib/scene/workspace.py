"""One volume and one segmentation, with all that belongs to the work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import EditError, InputError
from ..volumes.planes import Plane
from ..volumes.windows import Window, default_window
from .document import PlaneKey, changed_planes
from .following import bring_to_grid, grid_move, move_markups, move_segmentations
from .history_parts import PlanesPart
from .item_results import ItemResults, find_item_results, keep_one_per_item, looks_of
from .kept_pictures import KeptPictures
from .labelmaps import check_grid, holds_voxels
from .markups_nodes import PromptStore
from .names import FRAME, ITEM_RESULTS, REFERENCE_VOLUME, ROLE, ROLE_RESULT, SEGMENT
from .placed_prompts import PromptSet
from .placement import follow, require_present
from .proposals import ProposalStore
from .recorder import Recorder
from .recovering import recover_proposals
from .segmentation_nodes import check_fits, segment_ids, segment_name
from .stacks import Stack, StackKey, build_stack
from .state_node import create_state_node, find_state_node, read_document, write_document
from .volume_nodes import PlacedVolume, VolumeReader, frame_of, read_item

if TYPE_CHECKING:  # these bring packages that Slicer gets only later
    from ..volumes.plane_source import VolumePlanes
    from .history import History
    from .segmenting import CorrectionBase


class Workspace:
    """Opens what the scene holds of earlier work on a segmentation, or begins anew.

    `notes` collects what the user must be told; whoever tells it empties the list. Raises InputError where a node is
    missing or the volume cannot be used, EditError where the two nodes lie under different transforms.
    """

    def __init__(self, scene, volume_node, segmentation_node) -> None:
        self.scene = scene
        self.volume_node = volume_node
        self.shown_segmentation = segmentation_node
        self._away: tuple[PlacedVolume, object] | None = None
        self._aligned: tuple = ()
        # All items of a sequence share one result, as the user knows.
        self.shares_result = False
        self.notes: list[str] = []
        require_present(scene, volume_node, "volume")
        self._reader = VolumeReader(volume_node)
        self._known_reading: PlacedVolume | None = None
        self._history: History | None = None
        # Before anything is made, so that what cannot be used leaves the scene as it is.
        reading = self._usable_reading()
        self.state_node = find_state_node(scene, segmentation_node) or create_state_node(
            scene, volume_node, segmentation_node
        )
        self.state_node.SetNodeReferenceID(REFERENCE_VOLUME, volume_node.GetID())
        self.document, note = read_document(self.state_node)
        if note:
            self.notes.append(note)
        self.prompts = PromptStore(scene, volume_node, segmentation_node, self.state_node)
        self.proposals = ProposalStore(scene, volume_node, segmentation_node, self.state_node)
        self._recorder: Recorder | None = None
        self._stacks: dict[StackKey, Stack] = {}
        self._pictures = KeptPictures()
        self._default_window: Window | None = None
        self._names: dict[str, str] = {}
        self.seen_prompts = self._read_all_prompts()
        self.correction_bases: dict[PlaneKey, CorrectionBase] = {}  # kept by `segmenting`
        self._look_at_item_results(reading)
        self._take_note_of(reading)
        if not self.document.planes:
            recover_proposals(self)

    def check(self) -> PlacedVolume:
        """The volume as it is now. Raises InputError or EditError where the work cannot go on; nothing is lost then."""
        if self._away is not None:
            return self._away[0]
        reading = self._usable_reading()
        if not self.scene.IsNodePresent(self.state_node):
            self._revive_record()
        self._take_note_of(reading)
        return reading

    def _usable_reading(self) -> PlacedVolume:
        require_present(self.scene, self.volume_node, "volume")
        require_present(self.scene, self.segmentation_node, "segmentation")
        reading = self._reader.read()
        if self.segmentation_node.GetAttribute(ROLE) == ROLE_RESULT:
            follow(self.segmentation_node, self.volume_node)
        check_fits(self.segmentation_node, self.volume_node)
        if reading is not self._known_reading:
            self._move_along(reading)
            if self.item_results is not None and self.segmentation_node.GetAttribute(ROLE) == ROLE_RESULT:
                bring_to_grid(self.segmentation_node, reading.local)
            check_grid(self.segmentation_node, reading.local)
        return reading

    def _move_along(self, reading: PlacedVolume) -> None:
        """Where the volume's own grid has moved since it was seen last, let what is ours follow."""
        known = self._known_reading
        move = grid_move(known and known.local, reading.local)
        if move is None:
            return
        ours = [self.proposals.node] if self.proposals.node is not None else []
        if self.segmentation_node.GetAttribute(ROLE) == ROLE_RESULT:
            ours.append(self.segmentation_node)
        move_segmentations(ours, known.local, move)
        if all(self.prompts.read(*place).is_close_to(seen) for place, seen in self.seen_prompts.items()):
            move_markups(self.prompts.nodes(), move)
            self.look_at_prompts()
        # Its steps are told in the old coordinates.
        if self._history is not None:
            self._history.clear()

    def is_alive(self) -> bool:
        """Whether volume and segmentation still stand in the scene."""
        return all(self.scene.IsNodePresent(node) for node in (self.volume_node, self.shown_segmentation))

    # One result for each item of a sequence

    @property
    def segmentation_node(self):
        """The result: the node that the user chose, or that of an item which is worked on without being shown."""
        return self.shown_segmentation if self._away is None else self._away[1]

    @property
    def item_results(self) -> ItemResults | None:
        """The results of the items of a sequence, where each has its own."""
        return find_item_results(self.volume_node, self.shown_segmentation)

    def result_frames(self) -> list[str]:
        """The items that have a result of their own; only the one that is shown where all share one."""
        results = self.item_results
        return [self.frame] if results is None else results.frames

    def result_of(self, frame: str):
        """The segmentation node of an item. Raises EditError where it is not there."""
        results = self.item_results
        if results is None or frame == frame_of(self.volume_node):
            return self.shown_segmentation
        return results.node(frame)

    @contextmanager
    def at_item(self, frame: str) -> Iterator[None]:
        """Work on an item of the sequence as if it were shown. Raises InputError or EditError where it cannot be."""
        shown = self.check()
        if self._away is not None or frame == shown.frame:
            yield
            return
        if self.item_results is None:
            raise EditError("All items of this sequence share one result. Move to the item first.")
        self._away = read_item(self.volume_node, frame, shown), self.result_of(frame)
        try:
            yield
        finally:
            self._away = None

    def keep_one_per_item(self) -> None:
        """Give each item of the sequence a result of its own from now on.

        The item that is shown keeps what there is, and so do items in which something was accepted; the others begin
        empty. Earlier steps cannot be undone any more. Raises EditError for a volume that no sequence browser shows.
        """
        if self.item_results is not None:
            return
        accepted = {key.frame for key, state in self.document.planes.items() if state.accepted is not None}
        begins_with = accepted | {frame_of(self.volume_node)}
        keep_one_per_item(self.scene, self.volume_node, self.shown_segmentation, begins_with)
        self.state_node.SetAttribute(ITEM_RESULTS, "yes")
        if self._history is not None:
            self._history.clear()

    def _look_at_item_results(self, reading: PlacedVolume) -> None:
        """What a scene holds of results of items, when the work is opened."""
        results = self.item_results
        if results is not None:
            if not results.saves_changes:
                self.notes.append(
                    f"'Save changes' was off for '{self.shown_segmentation.GetName()}' in the module Sequences; it is "
                    "on now, so that each item keeps its result."
                )
            results.complete()
            self.state_node.SetAttribute(ITEM_RESULTS, "yes")
        elif reading.frame and not self._had_item_results() and self._holds_voxels(reading):
            self.shares_result = True
            self.notes.append(
                "All items of this sequence share one segmentation. 'One result per item' gives each its own."
            )

    def _had_item_results(self) -> bool:
        return self.state_node.GetAttribute(ITEM_RESULTS) is not None

    def _item_changed(self, left: str) -> None:
        """The browser has gone from one item to another."""
        if self.item_results is not None:
            self.item_results.complete()
            self._align_items(left)

    def _follow_item_results(self, reading: PlacedVolume) -> None:
        """Before a change: a result without voxels becomes one for each item; where they have gone, it is told."""
        if self.item_results is not None:
            return
        if self._had_item_results():
            self.state_node.RemoveAttribute(ITEM_RESULTS)
            self.shares_result = True
            self.notes.append(
                f"'{self.shown_segmentation.GetName()}' no longer has one result for each item: its sequence, or the "
                "browser, was removed. What the item shown last held is kept, and counts for all items from now on."
            )
        elif reading.frame and not self.shares_result:
            self.shares_result = self._holds_voxels(reading)
            if not self.shares_result:
                self.keep_one_per_item()

    def _holds_voxels(self, reading: PlacedVolume) -> bool:
        node = self.shown_segmentation
        return any(holds_voxels(node, segment_id, reading.local) for segment_id in segment_ids(node))

    def _align_items(self, frame: str) -> None:
        """Let all items have the segments of one, named and coloured alike."""
        results = self.item_results
        if results is None or frame not in results.frames:
            return
        looks = looks_of(results.node(frame))
        if looks != self._aligned or looks != looks_of(self.shown_segmentation):
            results.align(frame)
            self._aligned = looks

    def _revive_record(self) -> None:
        """Someone has deleted the state node: make it again from memory."""
        self.state_node = create_state_node(self.scene, self.volume_node, self.segmentation_node)
        self.prompts.state_node = self.proposals.state_node = self.state_node
        self.save()

    def _take_note_of(self, reading: PlacedVolume) -> None:
        if reading is self._known_reading:
            return
        left, self._known_reading = self._known_reading, reading
        if left is not None and left.frame != reading.frame:
            self._item_changed(left.frame)
        self._stacks.clear()
        self._pictures.clear()
        self._default_window = None
        known = self.document.fingerprints.get(reading.frame)
        if known == reading.fingerprint:
            return
        if known is not None:
            self.notes.append(
                f"The volume '{self.volume_node.GetName()}' is no longer as it was when this work was done. Segments, "
                "prompts and accepted planes were kept; check whether they still fit."
            )
        self.document.fingerprints[reading.frame] = reading.fingerprint
        self.save()

    def _read_all_prompts(self) -> dict[tuple[str, str], PromptSet]:
        """The prompts of all segments, by segment ID and frame."""
        nodes = self.prompts.nodes()
        places = {(node.GetAttribute(SEGMENT), node.GetAttribute(FRAME) or "") for node in nodes}
        return {place: self.prompts.read(*place) for place in places}

    def look_at_prompts(self) -> None:
        """Take the prompts as they are in the scene for the known ones."""
        self.seen_prompts = self._read_all_prompts()

    @property
    def history(self) -> History:
        """Raises InputError where the package that it needs is not installed."""
        if self._history is None:
            try:
                from .history import History
            except ModuleNotFoundError as error:
                raise InputError(
                    f"The Python package '{error.name}' is missing. Install the module's requirements first."
                ) from error
            self._history = History()
        return self._history

    @property
    def frame(self) -> str:
        return self.check().frame

    def stack(self, key: StackKey) -> Stack:
        reading = self.check()
        if key not in self._stacks:
            self._stacks[key] = build_stack(key, reading.geometry, reading.to_world)
        return self._stacks[key]

    def plane(self, key: PlaneKey) -> Plane:
        """Raises EditError for a plane that the volume does not have (any more)."""
        try:
            return self.stack(StackKey(key.stack))[key.index]
        except IndexError as error:
            raise EditError(f"{error} Choose the volume that this work was done on.") from error

    def stack_keys(self) -> list[StackKey]:
        """The stacks in use."""
        return [StackKey(text) for text in self.document.stacks()]

    @property
    def window(self) -> Window | None:
        """What intensities become 8 bit by: the user's choice, else the volume's default; None for colours."""
        reading = self.check()
        if reading.volume.is_rgb:
            return None
        if self.document.window is not None:
            return self.document.window
        if self._default_window is None:
            self._default_window = default_window(reading.volume)
        return self._default_window

    def set_window(self, window: Window | None) -> None:
        """None goes back to the volume's default."""
        self.document.window = window
        self.save()

    def pictures(self, key: StackKey) -> VolumePlanes:
        """The planes of a stack as 8-bit pictures."""
        return self._pictures.of(self.check().volume, key, self.stack(key), self.window)

    def name_of(self, segment_id: str) -> str:
        """The segment's name. Raises EditError where it is gone."""
        return segment_name(self.segmentation_node, segment_id)

    def follow_names(self) -> None:
        """Let prompts and proposals carry the names and colours that segments have now."""
        for segment_id in self.segmentation_node.GetSegmentation().GetSegmentIDs():
            name = self.name_of(segment_id)
            if self._names.get(segment_id, name) != name:
                self.prompts.rename(segment_id, name)
            self._names[segment_id] = name
        self.proposals.refresh_looks()

    def result_target(self, segment_id: str) -> Callable[[], tuple[object, str]]:
        """Finds a segment of the result again, later; of the item's result that is worked on now, if it has one."""
        frame, per_item = self.frame, self.item_results is not None

        def find() -> tuple[object, str]:
            require_present(self.scene, self.shown_segmentation, "segmentation")
            if per_item and self.item_results is None:
                raise EditError("The result of the item in which this was done is not there any more.")
            node = self.result_of(frame) if per_item else self.shown_segmentation
            segment_name(node, segment_id)
            return node, segment_id

        return find

    def proposal_target(self, key: PlaneKey) -> Callable[[], tuple[object, str]]:
        """Finds the proposals on the key's stack again, later; made anew where they are gone."""

        def find() -> tuple[object, str]:
            proposal_id = self.proposals.made_segment(key)
            return self.proposals.node, proposal_id

        return find

    def save(self) -> None:
        """Put the record into the scene, and let Slicer know that the items' results are to be saved."""
        write_document(self.state_node, self.document)
        results = self.item_results
        if results is not None:
            results.sequence.StorableModified()

    @contextmanager
    def recording(self, text: str) -> Iterator[Recorder]:
        """One step of the history; steps inside a step belong to it. What was done before an error can be undone."""
        reading = self.check()
        if self._recorder is not None:
            yield self._recorder
            return
        self._follow_item_results(reading)
        history = self.history
        self.follow_names()
        before = dict(self.document.planes)
        recorder = self._recorder = Recorder(self)
        try:
            yield recorder
        finally:
            self._recorder = None
            old, new = changed_planes(before, self.document.planes)
            if new:
                recorder.parts.append(PlanesPart(lambda: self.document, old, new))
            history.push(text, recorder.parts)
            if self.is_alive():
                self._align_items(frame_of(self.volume_node))
                self.save()


def require_segment(workspace: Workspace, segment_id: str) -> str:
    """The segment's name. Raises EditError where it is gone."""
    if not segment_id:
        raise EditError("Choose a segment, or add one.")
    return workspace.name_of(segment_id)
