"""The whole panel: its sections, the parameter node behind it, and what it hears from the scene."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ..errors import InputError, UserError
from ..scene.logic import SegmentationLogic
from ..scene.nodes.state_node import state_nodes, work_of
from .combo_boxes import choose, first_offered, value_of
from .controllers.texts import clinical_notice
from .controllers.work import Message, Tone, Work
from .key_help import keys_text
from .placing import Tool
from .propagate_panel import PropagatePanel
from .rules_panel import RulesPanel
from .segment_panel import SegmentPanel
from .set_up_panel import SetUpPanel
from .shortcuts import Shortcuts
from .slice_views import show_volume, slice_nodes
from .watching import Heard, Watch

_RESTING_MS = 150  # a dragged prompt is answered once it rests for so long
_LOOKING_MS = 50
_IDLE_MS = 400
_IDLE_TURN_MS = 5
_ERROR_COLOUR, _ERROR_COLOUR_ON_DARK = "#b00020", "#ff8a80"


class ModulePanel(VTKObservationMixin):
    """ui: child widgets by name; logic: the module's; requirements_file: what to install."""

    def __init__(self, ui, logic: SegmentationLogic, requirements_file: Path) -> None:
        super().__init__()
        self.ui, self.logic = ui, logic
        self.parameters = None
        self._gui_tag: int | None = None
        self._shown_volume = None
        self._shown_segment = ""
        self._last_worked_on: dict[str, str] = {}  # IDs of segmentations by those of volumes
        self._removed = ""  # what is to be told of a node that was removed
        self._stopped = False  # by choosing other nodes, which is still to be told
        self.work = Work(logic, self._breathe)
        self.set_up = SetUpPanel(ui, self.work, requirements_file, self._keep_choices)
        self.segment = SegmentPanel(ui, self.work, self.prepare, self.prepare_nodes)
        self.propagate = PropagatePanel(ui, self.work, self.segment, self.prepare)
        self.rules = RulesPanel(ui, self.work)
        self.shortcuts = Shortcuts(
            {
                "positive": lambda: self.segment.take(Tool.POSITIVE),
                "negative": lambda: self.segment.take(Tool.NEGATIVE),
                "box": lambda: self.segment.take(Tool.BOX),
                "accept": self.segment.accept,
                "keep": self.segment.keep_drawn,
                "discard": self.segment.discard,
                "undo": self.segment.undo,
                "redo": self.segment.redo,
                "propagate": self.propagate.propagate,
                "worst": self.propagate.go_to_worst,
            }
        )
        self._moved = _single_shot(_RESTING_MS, self._prompts_moved)
        self._looked = _single_shot(_LOOKING_MS, self.propagate.look_at_view)
        self._changed = _single_shot(0, self._follow_segments)
        self._idle = _single_shot(_IDLE_MS, self._use_idle_time)
        self._left = _single_shot(0, self._node_left)
        self._watch = Watch(
            Heard(self._prompt_moved, self._segments_changed, self._picture_changed, self._item_changed)
        )
        ui.noticeLabel.text = clinical_notice()
        ui.keysLabel.text = keys_text()
        for selector in (ui.writeModeSelector, ui.directionSelector):
            selector.connect("currentIndexChanged(int)", lambda _index: self._keep_choices())
        ui.rangeCheckBox.connect("toggled(bool)", self._range_toggled)
        ui.segmentsTable.connect("selectionChanged(QItemSelection,QItemSelection)", self._selection_changed)
        self.work.listeners.append(self.refresh)

    # -- coming and going

    def enter(self) -> None:
        """The user has chosen the module."""
        self.shortcuts.install()
        self.removeObservers()
        self._watch.stop()
        self._observe_scene()
        self.connect_parameters()
        # Views and prompts may have been moved in other modules, and segments deleted.
        self._follow_segments()
        self._looked.start()
        self._moved.start()

    def exit(self) -> None:
        """The user goes to another module: keys and observations end, the work stays."""
        self.shortcuts.remove()
        try:
            self.propagate.stop()
            self.work.cancel()
            self.segment.placing.put_down()
        finally:
            self._disconnect_parameters()
            self.removeObservers()
            self._watch.stop()
            for timer in (self._moved, self._looked, self._changed, self._idle, self._left):
                timer.stop()

    def close(self) -> None:
        """The module is unloaded."""
        self.exit()
        self.set_up.models.cancel()

    def _observe_scene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closing)
        self.addObserver(scene, scene.EndCloseEvent, self.connect_parameters)
        # Midway through an import, parameters name nodes that do not belong together.
        self.addObserver(scene, scene.StartImportEvent, self._disconnect_parameters)
        self.addObserver(scene, scene.EndImportEvent, self._scene_imported)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._node_leaving)
        self.addObserver(scene, scene.NodeAddedEvent, self._node_added)
        for node in slice_nodes():
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._picture_changed)

    def _scene_closing(self, *_event) -> None:
        self.propagate.stop()
        self.segment.placing.put_down()
        self._disconnect_parameters()
        self._forget_session()
        self._last_worked_on.clear()
        self.logic.reset()

    def _scene_imported(self, *_event) -> None:
        works = [work for work in self.logic.restore() if not work.was_open]
        told = [text for work in works for text in (work.summary, *work.notes)]
        self.connect_parameters()
        if told:
            self.work.say(" ".join(told))
        self.work.notify()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, _scene, _event, node) -> None:
        event = vtk.vtkCommand.ModifiedEvent
        if node.IsA("vtkMRMLSliceNode") and not self.hasObserver(node, event, self._picture_changed):
            self.addObserver(node, event, self._picture_changed)  # the view of a layout chosen later

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_leaving(self, _scene, _event, node) -> None:
        session = self.work.session
        if session is not None and node in (session.volume_node, session.node):
            # Slicer's selectors jump to another node now, which the user has not chosen.
            self._disconnect_parameters()
            self._left.start()
            self._forget_session()
            self._removed = _("'{name}' was removed from the scene. Choose another one.").format(name=node.GetName())
            self.work.say(self._removed)
            self.work.notify()
        elif self._watch.is_prompt(node):
            self._moved.start()  # prompts that are gone once the timer rings
        elif session is not None and node is session.workspace.proposals.node:
            self._looked.start()

    def _node_left(self) -> None:
        """Show what is still chosen, after what was told of the removed node."""
        if slicer.mrmlScene.IsImporting():
            return  # the end of the import connects them
        self.connect_parameters()
        self.work.when_free(self._tell_removed)  # opening what is chosen may have been put off, too

    def _tell_removed(self) -> None:
        if self._removed not in self.work.message.text:
            self.work.say_first(self._removed)
            self.work.notify()
        self._removed = ""

    def _forget_session(self) -> None:
        self.propagate.stop()
        self.segment.placing.put_down()
        self.segment.view = None
        self.ui.segmentsTable.setSegmentationNode(None)
        self._removed = ""
        self.work.say("")
        self.work.close()
        self._watch.follow(None)

    # -- the parameter node

    def connect_parameters(self, *_event) -> None:
        """Show what the scene's parameter node says, and follow it."""
        self._disconnect_parameters()
        self.parameters = self.logic.getParameterNode()
        if self.parameters.volume is None:
            self.parameters.volume = first_offered(self.ui.volumeSelector)
        self._gui_tag = self.parameters.connectGui(self.ui)
        choose(self.ui.writeModeSelector, self.parameters.writeMode)
        choose(self.ui.directionSelector, self.parameters.direction)
        choose(self.ui.modelSelector, self.parameters.modelName)
        choose(self.ui.deviceSelector, self.parameters.device)
        node = self.parameters.parameterNode
        self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._parameters_changed)
        self._parameters_changed()

    def _disconnect_parameters(self, *_event) -> None:
        if self.parameters is None:
            return
        node = self.parameters.parameterNode
        if self.hasObserver(node, vtk.vtkCommand.ModifiedEvent, self._parameters_changed):
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self._parameters_changed)
        if self._gui_tag is not None:
            self.parameters.disconnectGui(self._gui_tag)
        self.parameters, self._gui_tag = None, None

    def _keep_choices(self) -> None:
        if self.parameters is None:
            return
        self.parameters.writeMode = value_of(self.ui.writeModeSelector)
        self.parameters.direction = value_of(self.ui.directionSelector)
        self.parameters.modelName, self.parameters.device = self.set_up.choice()

    def _range_toggled(self, checked: bool) -> None:
        session = self.work.session
        if checked and session is not None and self.ui.lastPlaneSpinBox.value == 0:
            with suppress(UserError):  # told by refreshing
                self.ui.lastPlaneSpinBox.value = max(0, len(session.states()) - 1)
        self.work.notify()

    def _parameters_changed(self, *_event) -> None:
        """Work on what is chosen. Most changes are of other parameters, and change nothing here."""
        if self.parameters is None:
            return
        if self.work.breather.is_breathing:
            if self._other_nodes_are_chosen():
                self._stopped = self._stopped or self.work.session is not None
                self.work.close()
                self.work.when_free(self._parameters_changed)
            return
        volume = self.parameters.volume
        if volume is not self._shown_volume:
            self._shown_volume = volume
            self._volume_chosen(volume)
        if self._other_nodes_are_chosen():
            self._stopped = self._stopped or self.work.busy
            self.segment.placing.put_down()
            self.propagate.stop()
            self.segment.view = None
            segmentation = self.parameters.segmentation
            if volume is None or segmentation is None:
                if self.work.session is not None:
                    self.work.say("")  # what was told was told of work that ends here
                self.work.close()
                self.logic.forgetRemoved()
                self.work.notify()
            else:
                self.work.attempt(self._open, volume, segmentation)
        if self._stopped:
            self._stopped = False
            self.work.say_first(_("What was being computed was stopped: another volume or segmentation was chosen."))
            self.work.notify()

    def _other_nodes_are_chosen(self) -> bool:
        """Whether volume and segmentation are not those that are worked on."""
        session, chosen = self.work.session, (self.parameters.volume, self.parameters.segmentation)
        return session is None or (session.volume_node, session.node) != chosen

    def _open(self, volume, segmentation) -> None:
        self.work.open(volume, segmentation)
        self._last_worked_on[volume.GetID()] = segmentation.GetID()
        self._looked.start()

    def _volume_chosen(self, volume) -> None:
        """The segmentation that was worked on with a volume comes with it."""
        works = [work_of(node) for node in state_nodes(slicer.mrmlScene)]
        belonging = None
        if volume is not None:
            last = self._last_worked_on.get(volume.GetID())
            candidates = [node for its, node in reversed(works) if its is volume and node is not None]
            belonging = max(candidates, key=lambda node: node.GetID() == last, default=None)
            show_volume(volume)
            if volume.GetImageData() is not None:
                self.rules.volume_chosen(*volume.GetImageData().GetScalarRange())
        chosen = self.parameters.segmentation
        strange = chosen is not None and any(s is chosen and its is not volume for its, s in works)
        if strange or (chosen is None and belonging is not None):
            self.parameters.segmentation = belonging

    def prepare_nodes(self) -> None:
        """Make volume and segmentation ready. Raises UserError where the user must do something."""
        volume = self.parameters.volume if self.parameters is not None else None
        if volume is None:
            raise InputError(_("Choose a volume first: load an image, then pick it under 'Volume'."))
        if self.work.session is None:
            segmentation = self.parameters.segmentation
            if segmentation is None:
                segmentation = self.logic.createSegmentation(
                    volume, _("{volume} segmentation").format(volume=volume.GetName())
                )
                self.parameters.segmentation = segmentation
            self._open(volume, segmentation)
        if self.work.session is None:
            text = _("'{name}' holds SAMUNetSlicer's proposals. Choose another segmentation, or None for a new one.")
            raise InputError(text.format(name=self.parameters.segmentation.GetName()))

    def prepare(self) -> None:
        """Make segment and model ready as well."""
        self.prepare_nodes()
        if not self.work.session.segment_id:
            self.work.session.add_segment()
        self.work.need_model(*self.set_up.choice())

    # -- keeping up

    def refresh(self) -> None:
        """Bring every section up to date. Where the work cannot go on as the nodes are, that is the message."""
        message = self.work.message
        for section in (self.set_up, self.segment, self.propagate, self.rules):
            try:
                section.refresh()
            except UserError as error:
                message = Message(str(error), Tone.ERROR)
        self.ui.messageLabel.text = message.text
        self.ui.messageLabel.styleSheet = self._style_of(message)
        self.ui.volumeSelector.enabled = not self.work.busy
        self.ui.segmentationSelector.enabled = not self.work.busy
        session = self.work.session
        chosen = session.segment_id if session is not None else ""
        if chosen != self._shown_segment:
            self._shown_segment = chosen
            self._looked.start()  # it may have been worked on in another view
        self._watch.follow(session)
        self._watch.redraw(session)
        self._idle.start(_IDLE_MS)

    def _style_of(self, message: Message) -> str:
        if message.tone is not Tone.ERROR:
            return ""
        dark = self.ui.messageLabel.palette.color(qt.QPalette.Window).lightness() < 128
        return f"color: {_ERROR_COLOUR_ON_DARK if dark else _ERROR_COLOUR}"

    def _prompt_moved(self, *_event) -> None:
        self._moved.start()

    def _item_changed(self, *_event) -> None:
        self._looked.start()
        self._moved.start()  # its prompts may have been moved while another was shown

    def _picture_changed(self, *_event) -> None:
        self._looked.start()

    def _selection_changed(self, *_selection) -> None:
        if not self.ui.segmentsTable.selectedSegmentIDs():
            self._changed.start()  # the active segment's row is selected again

    def _segments_changed(self, *_event) -> None:
        self._changed.start()

    def _follow_segments(self) -> None:
        """A segment was added, changed or removed, here or elsewhere."""
        session = self.work.session
        if session is None or not session.workspace.is_alive():
            return
        if session.segment_id not in session.segments:
            was_busy = self.work.busy
            self.propagate.stop()
            self.segment.placing.put_down()
            self.work.attempt(session.choose_segment, next(iter(session.segments), ""))
            if was_busy:
                self.work.say_first(_("The propagation was stopped: its segment was deleted."))
                self.work.notify()
        else:
            self.work.notify()
            self.work.when_free(lambda: self.work.attempt_quietly(session.show_what_belongs))

    def _breathe(self) -> None:
        """Handle what the user has done, within a wait. Clicks must not go to prompts' nodes that are new by then."""
        self.segment.placing.hold()
        slicer.app.processEvents()

    def _prompts_moved(self) -> None:
        if self.work.busy or self.work.answering:
            self._moved.start()  # looked at once that is over
        else:
            self.segment.prompts_moved()

    def _use_idle_time(self) -> None:
        if self.work.use_idle_time():
            self._idle.start(_IDLE_TURN_MS)


def _single_shot(milliseconds: int, action):
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", action)
    return timer
