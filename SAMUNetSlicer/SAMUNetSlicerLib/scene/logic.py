"""The work without a window, for Slicer's Python console, scripts, the module and tests. See docs/scripting.md.

Methods are named as Slicer's are. Whatever is refused is refused by a `UserError` whose text can be shown as it is.
MRML belongs to the main thread: so do these methods.
"""
# ruff: noqa: N802, N803, N806 (public names are in the style of Slicer)

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..errors import InputError, UserError
from ..volumes.planes import Orientation, acquisition_orientation
from ..volumes.windows import Window
from .actions import accepting, prompting, propagating, propagating_in_time, segmenting, steps
from .actions.accepting import AcceptOutcome
from .actions.accepting_in_time import AcceptedItems, accept_in_time
from .actions.recorder import recording
from .actions.restoring import RestoredWork, restore
from .actions.segmenting import Engine, PlaneResult, Predictor
from .actions.workspace import Workspace, require_segment
from .nodes.names import REFERENCE_VOLUME, ROLE_RESULT
from .nodes.placement import numpy_matrix
from .nodes.segmentation_nodes import Colour, create_segmentation
from .nodes.state_node import find_state_node
from .record.document import ModelIdentity, PlaneState
from .record.editing_rules import EditingRules, WriteMode
from .record.stacks import StackKey, nearest_index, orientation_key, view_key
from .saving import save_scene

if TYPE_CHECKING:  # bring packages that Slicer gets only later
    from ..volumes.propagation.steps import Direction
    from ..volumes.propagation.walks import PropagationPolicy
    from .actions.propagating import PropagatedPlane
    from .history.undo_redo import HistoryOutcome


@dataclass(frozen=True)
class SegmentOutcome:
    """What `segment` has proposed. stack: the planes; planes: one result for each plane with prompts."""

    stack: StackKey
    planes: tuple[PlaneResult, ...]
    notes: tuple[str, ...]


class SegmentationLogic:
    """All work in one scene. scene: None for Slicer's own.

    Planes are named by an `Orientation` (or its name: "axial"), by the key of their stack in its place, or by
    `sliceToRAS`, the 4 x 4 matrix of a slice view, oblique or not; by default those that the scanner took.

    checkLater: see `ContentCheck.later`; of work that is opened from now on.
    """

    def __init__(self, scene=None) -> None:
        self.checkLater = False
        self._scene = scene
        self._engine: Engine | None = None
        self._workspaces: dict[str, Workspace] = {}
        self._running: dict[str, Iterator] = {}

    @property
    def scene(self):
        return self._scene if self._scene is not None else slicer.mrmlScene

    def setPredictor(self, predictor: Predictor | None, model: ModelIdentity | None = None) -> None:
        """What answers prompts from now on, and which model it is."""
        self._engine = None if predictor is None else Engine(predictor, model)

    def loadModel(self, name: str, device: str = "auto") -> ModelIdentity:
        """Let an installed model answer from now on. name: of the list of models, or a checkpoint file.

        device: "auto", "cpu", "cuda", "mps"; one that does not compute gives way to the processor, which is logged.
        Raises ModelError where the model is missing or damaged, UserError for a device that is not there,
        ModuleNotFoundError before the module's requirements are installed.
        """
        from ..checkpoints.loading import load_network
        from ..inference.devices import choose_working_device
        from ..inference.opening import open_predictor

        loaded = load_network(name)
        model = ModelIdentity(loaded.family, loaded.sha256, loaded.name)
        self.setPredictor(open_predictor(loaded, choose_working_device(device)), model)
        return model

    def createSegmentation(self, volumeNode, name: str = "Segmentation"):
        """A new segmentation node on the volume's grid, which follows the volume's parent transform."""
        return create_segmentation(self.scene, volumeNode, name, ROLE_RESULT)

    def workspace(self, segmentationNode, volumeNode=None) -> Workspace:
        """The work on a segmentation, found in the scene or begun. volumeNode: None for the one used before."""
        if segmentationNode is None:
            raise InputError("Choose a segmentation, or make one.")
        known = self._workspaces.get(segmentationNode.GetID() or "")
        if known is not None and known.segmentation_node is segmentationNode and known.is_alive():
            if volumeNode in (None, known.volume_node):
                return known
            self._finish_running(segmentationNode)
        if volumeNode is None:
            state = find_state_node(self.scene, segmentationNode)
            volumeNode = None if state is None else state.GetNodeReference(REFERENCE_VOLUME)
        self.forgetRemoved()
        space = Workspace(self.scene, volumeNode, segmentationNode, self.checkLater)
        self._workspaces[segmentationNode.GetID()] = space
        return space

    def takeNotes(self, segmentationNode) -> list[str]:
        """What the user must be told since the last call, such as that the volume has changed."""
        return self.workspace(segmentationNode).take_notes()

    def reset(self) -> None:
        """Forget everything that is not in the scene: for the end of a scene."""
        self._forget(list(self._workspaces))

    def forgetRemoved(self) -> None:
        """Let go of work of which a node has left the scene: it would hold the volume in memory."""
        self._forget([nodeID for nodeID, space in self._workspaces.items() if not space.is_alive()])

    def _forget(self, nodeIDs: Iterable[str]) -> None:
        for nodeID in nodeIDs:
            del self._workspaces[nodeID]
            with suppress(KeyError, ValueError):  # one that is being run right now ends by itself
                self._running.pop(nodeID).close()

    # Planes

    def stackKey(self, segmentationNode, orientation=None, sliceToRAS=None) -> StackKey:
        """The stack of planes of an orientation or of a slice view."""
        if isinstance(orientation, StackKey):
            return orientation
        space = self.workspace(segmentationNode)
        reading = space.check()
        if sliceToRAS is not None:
            return view_key(_array(sliceToRAS), reading.geometry, reading.to_world, space.stack_keys())
        wanted = acquisition_orientation(reading.geometry) if orientation is None else Orientation(orientation)
        return orientation_key(wanted, reading.geometry)

    def planeIndex(self, segmentationNode, sliceToRAS) -> int:
        """Number of the plane that a slice view shows, in the view's own stack."""
        space = self.workspace(segmentationNode)
        return nearest_index(space.stack(self.stackKey(segmentationNode, None, sliceToRAS)), _array(sliceToRAS)[:3, 3])

    def planeStates(self, segmentationNode, segmentID: str, orientation=None, sliceToRAS=None) -> list[PlaneState]:
        """What is known of each plane, for a confidence strip."""
        space = self.workspace(segmentationNode)
        return propagating.plane_states(space, segmentID, self.stackKey(segmentationNode, orientation, sliceToRAS))

    def worstPlane(self, segmentationNode, segmentID: str, orientation=None, sliceToRAS=None) -> int | None:
        """The proposed plane of lowest confidence."""
        space = self.workspace(segmentationNode)
        return propagating.worst_plane(space, segmentID, self.stackKey(segmentationNode, orientation, sliceToRAS))

    # Segments, prompts, settings

    def addSegment(self, segmentationNode, name: str, colour: Colour | None = None, volumeNode=None) -> str:
        """Add an empty segment, coloured and coded by its name; returns its ID."""
        return steps.new_segment(self.workspace(segmentationNode, volumeNode), name, colour)

    def deleteSegment(self, segmentationNode, segmentID: str) -> None:
        """Delete a segment with its prompts and proposals. A finished segment is refused."""
        self._finish_running(segmentationNode)
        steps.delete_segment(self.workspace(segmentationNode), segmentID)

    def clearPrompts(self, segmentationNode, segmentID: str, planes=None, orientation=None, sliceToRAS=None) -> None:
        """Forget the segment's prompts, or those on some planes (numbers)."""
        self._finish_running(segmentationNode)
        space = self.workspace(segmentationNode)
        stack = None if planes is None else self.stackKey(segmentationNode, orientation, sliceToRAS)
        prompting.clear_prompts(space, segmentID, stack, planes)

    def notePrompts(
        self, segmentationNode, segmentID: str, orientation=None, sliceToRAS=None
    ) -> dict[StackKey, set[int]]:
        """Take note of prompts placed (on these planes), moved or deleted in the scene; returns where, by stack."""
        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        return prompting.note_prompts(space, segmentID, stack)

    def setEditingRules(self, segmentationNode, rules: EditingRules) -> None:
        """Overwrite mode, editable area and intensity range of what is accepted from now on."""
        space = self.workspace(segmentationNode)
        space.document.rules = rules
        space.save()

    def setWindow(self, segmentationNode, window: Window | None) -> None:
        """The intensities that the network sees; None for the volume's default."""
        self._finish_running(segmentationNode)
        self.workspace(segmentationNode).set_window(window)

    # The work

    def segment(
        self,
        volumeNode,
        segmentationNode,
        segmentID: str,
        points: object = (),
        boxes: object = (),
        orientation: Orientation | str | None = None,
        sliceToRAS=None,
        planes: Iterable[int] | None = None,
    ) -> SegmentOutcome:
        """Propose a segment's mask on the planes of new prompts, or on `planes`, or wherever it has prompts.

        points, boxes: markups nodes, `PointPrompt`s, `BoxPrompt`s or bare RAS positions (positive points), one or
        many; they are kept with the segment, and those that it has already count too. Nothing of the segment itself
        changes before `accept`. Raises PromptError, EditError, InputError.
        """
        space = self.workspace(segmentationNode, volumeNode)
        self._finish_running(segmentationNode)
        stack = self.stackKey(segmentationNode, orientation, sliceToRAS)
        given = [*prompting.as_list(points), *prompting.as_list(boxes)]
        engine = self._required_engine()
        with recording(space, f"Segment {require_segment(space, segmentID)}"):
            if given:
                prompted = prompting.add_prompts(space, segmentID, prompting.gather(space, segmentID, given), stack)
                planes = prompted if planes is None else planes
            results = segmenting.segment_planes(space, engine, segmentID, stack, planes)
        notes = tuple(dict.fromkeys(note for result in results for note in result.notes))
        return SegmentOutcome(stack, tuple(results), notes)

    def propagate(
        self,
        segmentationNode,
        segmentID: str,
        orientation: Orientation | str | None = None,
        sliceToRAS=None,
        direction: Direction | str | None = None,
        planes: tuple[int, int] | None = None,
        policy: PropagationPolicy | None = None,
    ) -> Iterator[PropagatedPlane]:
        """Propose planes from the accepted and previewed ones: a generator, one plane a step.

        direction: "both", "up" or "down". planes: first and last plane to propose, both included. Close the generator
        to cancel: what is finished stays, as one step to undo. Any other work on the segmentation closes it too.
        """
        from ..volumes.propagation.steps import Direction, PlaneRange

        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        running = propagating.propagate(
            space,
            self._required_engine(),
            segmentID,
            stack,
            None if direction is None else Direction(direction),
            None if planes is None else PlaneRange(*planes),
            policy,
        )
        self._running[segmentationNode.GetID()] = running
        return running

    def propagateInTime(
        self,
        segmentationNode,
        segmentID: str,
        plane: int,
        orientation: Orientation | str | None = None,
        sliceToRAS=None,
        direction: Direction | str | None = None,
        policy: PropagationPolicy | None = None,
    ) -> Iterator[PropagatedPlane]:
        """Propose one plane in the other items of the sequence that shows the volume: a generator, one item a step.

        direction: "up" to later items, "down" to earlier ones, "both". Otherwise as `propagate`.
        """
        from ..volumes.propagation.steps import Direction

        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        running = propagating_in_time.propagate_in_time(
            space,
            self._required_engine(),
            segmentID,
            stack,
            plane,
            None if direction is None else Direction(direction),
            policy,
        )
        self._running[segmentationNode.GetID()] = running
        return running

    def accept(
        self,
        segmentationNode,
        segmentID: str,
        planes: Collection[int] | None = None,
        orientation: Orientation | str | None = None,
        sliceToRAS=None,
        mode: WriteMode = WriteMode.REPLACE,
    ) -> AcceptOutcome:
        """Write proposals into the segment: on some planes (a list, a range) or all. They are accepted from then on."""
        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        return accepting.accept(space, segmentID, stack, planes, mode)

    def acceptInTime(
        self,
        segmentationNode,
        segmentID: str,
        planes: Collection[int] | None = None,
        orientation: Orientation | str | None = None,
        sliceToRAS=None,
        mode: WriteMode = WriteMode.REPLACE,
        goOn: Callable[[], bool] = lambda: True,
    ) -> AcceptedItems:
        """Write the proposals of all items of the sequence, each into the item's own segment: one step to undo.

        goOn: asked after each item; on False it ends there.
        """
        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        return accept_in_time(space, segmentID, stack, planes, mode, goOn)

    def keepOneResultPerItem(self, segmentationNode) -> None:
        """Give each item of the sequence that shows the volume a segmentation of its own.

        A segmentation without voxels becomes so by itself with its first change. The item that is shown, and those in
        which something was accepted, keep what there is; the others begin empty. Neither this nor the steps
        before it can be undone.
        """
        self._finish_running(segmentationNode)
        self.workspace(segmentationNode).keep_one_per_item()

    def discard(self, segmentationNode, segmentID: str, planes=None, orientation=None, sliceToRAS=None) -> int:
        """Drop proposals on some planes or all; returns how many."""
        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        return accepting.discard(space, segmentID, stack, planes)

    def reopen(self, segmentationNode, segmentID: str, planes=None, orientation=None, sliceToRAS=None) -> int:
        """Let accepted planes be proposed and overwritten again; returns how many."""
        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        return accepting.reopen(space, segmentID, stack, planes)

    def keepAsIs(self, segmentationNode, segmentID: str, planes, orientation=None, sliceToRAS=None) -> list[int]:
        """Take planes for accepted as the segment stands there, drawn or corrected by hand; returns the empty ones."""
        space, stack = self._ready(segmentationNode, orientation, sliceToRAS)
        return accepting.keep_as_is(space, segmentID, stack, planes)

    @contextmanager
    def step(self, segmentationNode, text: str) -> Iterator[None]:
        """What is done inside (prompts noted, planes segmented, ...) is undone as one step with this text."""
        self._finish_running(segmentationNode)
        with recording(self.workspace(segmentationNode), text):
            yield

    def undo(self, segmentationNode) -> HistoryOutcome | None:
        """Take the last step back; None where there is none. The outcome tells what was left alone, and why."""
        self._finish_running(segmentationNode)
        return steps.undo(self.workspace(segmentationNode))

    def redo(self, segmentationNode) -> HistoryOutcome | None:
        """Do the step again that was undone last."""
        self._finish_running(segmentationNode)
        return steps.redo(self.workspace(segmentationNode))

    # Saved scenes

    def restore(self, modelIsInstalled: Callable[[ModelIdentity], bool] | None = None) -> list[RestoredWork]:
        """Go on with what a loaded scene holds; each work says what was restored and what the user must know.

        Work that is still in the scene, as when another one was added to it, goes on as it is.
        """
        self.forgetRemoved()
        works = restore(self.scene, modelIsInstalled, self._workspaces.values(), self.checkLater)
        for work in works:
            if work.workspace is not None:
                self._workspaces[work.workspace.segmentation_node.GetID()] = work.workspace
        return works

    def saveScene(self, path) -> None:
        """Save everything as a `.mrb`; an earlier file is replaced only once the new one is whole."""
        save_scene(self.scene, path)

    def _required_engine(self) -> Engine:
        if self._engine is None:
            raise UserError("No model is loaded. Choose a model first.")
        return self._engine

    def _ready(self, segmentationNode, orientation, sliceToRAS) -> tuple[Workspace, StackKey]:
        """The work on a segmentation, with nothing running in it, and the stack of planes that is meant."""
        self._finish_running(segmentationNode)
        return self.workspace(segmentationNode), self.stackKey(segmentationNode, orientation, sliceToRAS)

    def _finish_running(self, segmentationNode) -> None:
        """End a propagation that was not finished, so that its step of the history comes before the next one."""
        running = self._running.pop(segmentationNode.GetID() or "", None) if segmentationNode is not None else None
        if running is None:
            return
        try:
            running.close()
        except ValueError as error:  # it is being run right now, and something it waits for calls here
            self._running[segmentationNode.GetID()] = running
            raise UserError("A plane is being propagated. Cancel the propagation first.") from error


def _array(matrix) -> np.ndarray:
    return np.asarray(matrix, dtype=float) if not hasattr(matrix, "GetElement") else numpy_matrix(matrix)
