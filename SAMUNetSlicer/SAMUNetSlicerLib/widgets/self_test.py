"""The module's own test: runs in Slicer ("Reload and Test", ctest) and in the test host, without a window.

The network is a stand-in that finds bright regions, so that neither torch nor weights are needed. Segmenting needs the
package of the history even so: where Slicer's extensions are built nothing is installed, and the panel alone is tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import slicer

from ..inference.zoom import Crop
from ..scene.nodes.segmentation_nodes import SegmentStatus, set_status
from ..scene.record.document import ModelIdentity

_SHAPE_KJI = (10, 48, 48)
_BALL = ((5, 24, 24), 9.0)


@dataclass(frozen=True, eq=False)
class _Answer:
    """What a predictor answers; see `inference.predictor.PlaneMask`."""

    logits: np.ndarray
    quality: float
    crop: Crop
    notes: tuple[str, ...] = ()

    @property
    def mask(self) -> np.ndarray:
        return self.logits > 0


class _BrightRegions:
    """Answers every prompt with the bright pixels of the plane."""

    trained_prompts = None

    def predict(self, image, _prompts, _crop=None) -> _Answer:
        height, width = image.size_hw
        return _Answer((image.rgb[..., 0].astype(np.float32) - 128) / 16, 0.9, Crop(0, 0, width, height))


def _begin(logic):
    k, j, i = np.indices(_SHAPE_KJI)
    (ck, cj, ci), radius = _BALL
    ball = (k - ck) ** 2 * 4 + (j - cj) ** 2 + (i - ci) ** 2 <= radius**2
    matrix = np.diag([-1.0, -1.0, 2.0, 1.0])
    volume = slicer.util.addVolumeFromArray(np.where(ball, 200, 10).astype(np.int16), matrix, "Ball")
    segmentation = logic.createSegmentation(volume)
    segment_id = logic.addSegment(segmentation, "Ball", volumeNode=volume)
    logic.setPredictor(_BrightRegions(), ModelIdentity("bright_regions", "0" * 64, "Bright regions"))
    centre = (matrix @ (ci, cj, ck, 1))[:3]
    return volume, segmentation, segment_id, tuple(centre), ball


def _voxels(segmentation, segment_id, volume) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0


def prompt_and_accept(logic) -> None:
    """A point proposes a mask on its plane only; accepting writes it; undo and redo take it back and forth."""
    volume, segmentation, segment_id, centre, ball = _begin(logic)
    outcome = logic.segment(volume, segmentation, segment_id, points=[centre], orientation="axial")
    _check(len(outcome.planes) == 1, "one plane is proposed")
    _check(not _voxels(segmentation, segment_id, volume).any(), "a proposal is not the result")
    logic.accept(segmentation, segment_id, orientation="axial")
    held = _voxels(segmentation, segment_id, volume)
    _check(np.array_equal(held[5], ball[5]), "the plane is written")
    _check(not np.delete(held, 5, axis=0).any(), "no other plane is")
    logic.undo(segmentation)
    _check(not _voxels(segmentation, segment_id, volume).any(), "undo takes it back")
    logic.redo(segmentation)
    _check(np.array_equal(_voxels(segmentation, segment_id, volume), held), "redo does it again")


def finished_segments_are_safe(logic) -> None:
    """A finished segment is never written."""
    volume, segmentation, segment_id, centre, _ball = _begin(logic)
    set_status(segmentation, segment_id, SegmentStatus.COMPLETED)
    refused = False
    try:
        logic.segment(volume, segmentation, segment_id, points=[centre], orientation="axial")
    except Exception as error:
        refused = "finished" in str(error)
    _check(refused, "a prompt for it is refused")
    _check(not _voxels(segmentation, segment_id, volume).any(), "nothing is written")


def the_panel_opens(_logic) -> None:
    """The panel's file loads, and its parameters follow the volume."""
    widget = slicer.util.getModuleWidget("SAMUNetSlicer")
    volume = slicer.util.addVolumeFromArray(np.zeros((3, 8, 8), dtype=np.int16), None, "Empty")
    widget.enter()
    try:
        widget.ui.volumeSelector.setCurrentNode(volume)
        _check(widget.panel.parameters.volume is volume, "the parameter node knows the volume")
        _check(widget.panel.parameters.segmentation is None, "nothing is made before it is needed")
    finally:
        if slicer.util.selectedModule() != "SAMUNetSlicer":  # its keys are not for the module that is open
            widget.exit()


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


TESTS = (prompt_and_accept, finished_segments_are_safe, the_panel_opens)


def tests_that_can_run() -> tuple:
    """All of them once the module's requirements are installed."""
    return TESTS if find_spec("undo_stack") is not None else (the_panel_opens,)
