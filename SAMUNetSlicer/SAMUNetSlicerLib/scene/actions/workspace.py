"""One volume and one segmentation, with all that belongs to the work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import EditError, InputError
from ...volumes.geometry import GridGeometry
from ...volumes.planes import Plane
from ...volumes.windows import Window, default_window
from ..history.parts import OpenStep, PlanesPart
from ..nodes.following import bring_to_grid, grid_move, move_markups, move_segmentations, state_grid
from ..nodes.import_guard import ImportGuard
from ..nodes.labelmaps import check_grid
from ..nodes.markups_nodes import PromptStore
from ..nodes.names import FRAME, REFERENCE_VOLUME, ROLE, ROLE_RESULT, SEGMENT
from ..nodes.placement import follow, require_present
from ..nodes.proposals import ProposalStore
from ..nodes.segmentation_nodes import check_fits, segment_name
from ..nodes.state_node import create_state_node, find_state_node, read_document, write_document
from ..nodes.volume_nodes import PlacedVolume, VolumeReader, frame_of, item_values
from ..record.document import PlaneKey, PlaneState, changed_planes, renumbered
from ..record.placed_prompts import PromptSet
from ..record.stacks import Stack, StackKey, build_stack, moved_key
from .content_check import ContentCheck
from .items_work import ItemsWork
from .kept_pictures import KeptPictures
from .recovering import recover_proposals

if TYPE_CHECKING:  # these bring packages that Slicer gets only later
    from ...volumes.plane_source import VolumePlanes
    from ..history.undo_redo import History


class Workspace:
    """Opens what the scene holds of earlier work on a segmentation, or begins anew.

    `notes` collects what the user must be told; whoever tells it empties the list. Raises InputError where a node is
    missing or the volume cannot be used, EditError where the two nodes lie under different transforms.

    check_later: see `ContentCheck.later`.
    """

    def __init__(self, scene, volume_node, segmentation_node, check_later: bool = False) -> None:
        self.scene = scene
        self.volume_node = volume_node
        self.shown_segmentation = segmentation_node
        self.items = ItemsWork(scene, volume_node, segmentation_node)
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
        self._proposals_seen: tuple[str, ...] | None = None
        self.open_step: OpenStep | None = None  # begun by `recorder.recording`
        self._stacks: dict[StackKey, Stack] = {}
        self._pictures = KeptPictures()
        self._default_window: Window | None = None
        self._names: dict[str, str] = {}
        self.seen_prompts = self._read_all_prompts()
        self._follow_items(reading.local)
        self.notes += self.items.opened(self.state_node, reading)
        self.content = ContentCheck(self, check_later)
        self._take_note_of(reading)
        self._guard = ImportGuard(scene, lambda: self.items.nodes() if self.is_alive() else [])
        if not self.document.planes:
            recover_proposals(self.proposals, reading.local, self.stack, self.document)
            self.save()

    def take_notes(self) -> list[str]:
        notes, self.notes = self.notes, []
        return notes

    def check(self) -> PlacedVolume:
        """The volume as it is now. Raises InputError or EditError where the work cannot go on; nothing is lost then."""
        if self.items.away is not None:
            return self.items.away
        reading = self._usable_reading()
        if not self.scene.IsNodePresent(self.state_node):
            self._revive_record(reading)
        self._follow_items(reading.local)
        self._take_note_of(reading)
        if self.open_step is None and self.proposals.present() != self._proposals_seen:
            self.forget_lost_proposals()
        return reading

    def forget_lost_proposals(self) -> None:
        """Proposals that someone has deleted are none any more: accepting them would empty the segment there."""
        self._proposals_seen = self.proposals.present()
        proposed = [(key, state) for key, state in self.document.planes.items() if state.proposed is not None]
        # Once a stack: there may be thousands of planes.
        places = {key[:3] for key, _ in proposed}
        lost = {place for place in places if self.proposals.segment_of(PlaneKey(*place, 0)) is None}
        for key, state in proposed:
            if key[:3] in lost:
                self.document.set_plane(key, replace(state, proposed=None))
        self.save()

    def _usable_reading(self) -> PlacedVolume:
        require_present(self.scene, self.volume_node, "volume")
        require_present(self.scene, self.segmentation_node, "segmentation")
        ours = self.segmentation_node.GetAttribute(ROLE) == ROLE_RESULT
        reading = self._reader.read()
        if not ours:
            check_fits(self.segmentation_node, self.volume_node)
        if reading is not self._known_reading:
            before = self._known_reading and self._known_reading.local
            move = grid_move(before, reading.local)
            if move is not None and ours:
                move_segmentations([self.segmentation_node], before, move)
            if self.items.results is not None and ours:
                bring_to_grid(self.segmentation_node, reading.local)
            check_grid(self.segmentation_node, reading.local)
            if move is not None:
                self._move_along(before, reading.local, move)
        if ours:  # only now: one that lies on another grid does not belong to this volume
            follow(self.segmentation_node, self.volume_node)
        return reading

    def _move_along(self, before: GridGeometry, now: GridGeometry, move: np.ndarray) -> None:
        """The volume's own grid has moved, and the result lies there: let proposals and prompts follow."""
        if self.proposals.node is not None:
            move_segmentations([self.proposals.node], before, move)
        known, stand = self.seen_prompts, self._read_all_prompts()
        # One that was placed or dragged just now does not say that the others were moved.
        moved = {place for place, seen in known.items() if seen and not stand.get(place, seen).shares_any(seen)}
        left_behind = stand.keys() - moved
        move_markups([node for place in left_behind for node in self.prompts.nodes(*place)], move)
        if not np.allclose(move[:3, :3], np.eye(3)):  # oblique planes are named by their directions
            self._rename_planes(lambda frame: frame, lambda text: moved_key(StackKey(text), move).text, now)
        now_at = self._read_all_prompts()
        unchanged = {place for place in left_behind if stand[place].is_close_to(known.get(place, PromptSet()))}
        self.seen_prompts = known | {place: now_at[place] for place in unchanged}
        # Its steps are told in the old coordinates.
        if self._history is not None:
            self._history.clear()

    def _rename_planes(
        self, frame: Callable[[str], str | None], stack: Callable[[str], str], local: GridGeometry
    ) -> None:
        """frame, stack: from old names to new ones; None for a frame that is gone. local: where the proposals lie."""
        self.document.rename(frame, stack)
        self.prompts.rename_planes(frame, stack)
        self.proposals.rename(frame, stack, local)

    def _follow_items(self, local: GridGeometry) -> None:
        """Where items of the sequence were added or removed, let what is known of the others go along."""
        known, now = self.document.items, item_values(self.volume_node)
        if now == known or not now:
            return
        frames = renumbered(known, now)
        if frames and self.open_step is not None:  # which knows items by their old places
            raise EditError(
                "Items of the sequence were added or removed during the work. What is finished stays; begin again."
            )
        self.document.items = now
        if frames:
            self._rename_planes(lambda frame: frames.get(frame, frame), lambda text: text, local)
            seen = {(segment_id, frames.get(f, f)): was for (segment_id, f), was in self.seen_prompts.items()}
            self.seen_prompts = {place: was for place, was in seen.items() if place[1] is not None}
            shown = self._known_reading
            if shown is not None and shown.frame in frames:
                self._known_reading = replace(shown, frame=frames[shown.frame] or "")
            if self._history is not None:
                self._history.clear()
            self.notes.append(
                "Items of the sequence were added or removed. Prompts, proposals and accepted planes go with their "
                "items; earlier steps cannot be undone any more."
            )
        self.save()

    def is_alive(self) -> bool:
        """Whether volume and segmentation still stand in the scene."""
        return all(self.scene.IsNodePresent(node) for node in (self.volume_node, self.shown_segmentation))

    @property
    def segmentation_node(self):
        """The result: the node that the user chose, or that of an item which is worked on without being shown."""
        return self.items.node

    def result_frames(self) -> list[str]:
        """The items that have a result of their own; only the one that is shown where all share one."""
        results = self.items.results
        return [self.frame] if results is None else results.frames

    @contextmanager
    def at_item(self, frame: str) -> Iterator[None]:
        """Work on an item of the sequence as if it were shown. Raises InputError or EditError where it cannot be."""
        with self.items.at(frame, self.check()):
            yield

    def keep_one_per_item(self) -> None:
        """Give each item of the sequence a result of its own from now on.

        The item that is shown keeps what there is, and so do items in which something was accepted; the others begin
        empty. Earlier steps cannot be undone any more. Raises EditError for a volume that no sequence browser shows.
        """
        if self.items.results is not None:
            return
        accepted = {key.frame for key, state in self.document.planes.items() if state.accepted is not None}
        self.items.keep_one_each(self.state_node, accepted)
        if self._history is not None:
            self._history.clear()

    def _revive_record(self, reading: PlacedVolume) -> None:
        """Someone has deleted the state node: make it again from memory."""
        self.state_node = create_state_node(self.scene, self.volume_node, self.segmentation_node)
        self.prompts.state_node = self.proposals.state_node = self.state_node
        self.notes += self.items.opened(self.state_node, reading)
        self.save()

    def _take_note_of(self, reading: PlacedVolume) -> None:
        if reading is self._known_reading:
            return
        left, self._known_reading = self._known_reading, reading
        if left is not None and left.frame != reading.frame:
            self.items.moved_on(left.frame)
        self._stacks.clear()
        self._pictures.clear()
        self._default_window = None
        self.content.begin(None if left is None else left.local, reading)

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
                from ..history.undo_redo import History
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

    def known_planes(self, segment_id: str, stack: StackKey) -> list[tuple[PlaneKey, PlaneState]]:
        """What is known of a segment's planes on a stack, in the frame that is worked on, in rising order."""
        known = self.document.of_segment(self.frame, segment_id)
        return sorted(((key, state) for key, state in known if key.stack == stack.text), key=lambda entry: entry[0])

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
        frame, per_item = self.frame, self.items.results is not None

        def find() -> tuple[object, str]:
            require_present(self.scene, self.shown_segmentation, "segmentation")
            if per_item and self.items.results is None:
                raise EditError("The result of the item in which this was done is not there any more.")
            node = self.items.node_of(frame) if per_item else self.shown_segmentation
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
        results = self.items.results
        if results is not None:
            results.sequence.StorableModified()

    def begin_step(self) -> None:
        """Before the first change of a step of the history. Raises InputError where none can be kept."""
        reading = self.check()
        state_grid(self.segmentation_node, self.volume_node)
        self.notes += self.items.lost(self.state_node)
        if self.items.begins_anew(reading):
            self.keep_one_per_item()
        self.items.align(reading.frame)
        self.follow_names()
        self.open_step = OpenStep(self.history, dict(self.document.planes))

    def end_step(self, text: str) -> None:
        """After the last change: what was noted becomes one step, and the record goes into the scene."""
        step, self.open_step = self.open_step, None
        old, new = changed_planes(step.planes_before, self.document.planes)
        if new:
            step.parts.append(PlanesPart(lambda: self.document, old, new))
        step.history.push(text, step.parts)
        if self.is_alive():
            self.items.align(frame_of(self.volume_node))
            self.save()


def require_segment(workspace: Workspace, segment_id: str) -> str:
    """The segment's name. Raises EditError where it is gone."""
    if not segment_id:
        raise EditError("Choose a segment, or add one.")
    return workspace.name_of(segment_id)
