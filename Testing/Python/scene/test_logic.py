"""The logic as scripts use it: nodes, bare positions, slice views; neither a window nor torch is needed to start."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
import scenery
from scenery import Desk, ball

import repository
from SAMUNetSlicerLib.errors import InputError, ModelError, PromptError, UserError
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.placement import vtk_matrix
from SAMUNetSlicerLib.volumes.planes import Orientation
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, PointPrompt, Sign


def segment(desk, points=(), boxes=(), **more):
    return desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], points, boxes, **more)


def test_markups_nodes_under_their_own_transform_are_prompts(mrml_scene):
    """The nodes stay as they are; a second call with them doubles nothing."""
    desk = Desk(mrml_scene, transform=scenery.linear_transform(mrml_scene, scenery.tilted()))
    node = scenery.fiducials(mrml_scene, desk.world((6, 12, 14)), desk.world((6, 2, 2)), labels=["F-1", "-F-2"])
    node.SetAndObserveTransformNodeID(scenery.linear_transform(mrml_scene, scenery.rigid(2)).GetID())
    for number, kji in enumerate([(6, 12, 14), (6, 2, 2)]):
        node.SetNthControlPointPositionWorld(number, *desk.world(kji))
    for _ in range(2):
        outcome = segment(desk, node, orientation=Orientation.AXIAL)
        assert [p.index for p in outcome.planes] == [6]
        assert outcome.planes[0].mask_yx.sum() == ball()[6].sum()
    kept = desk.space.prompts.read(desk.ids[0])
    assert [p.sign for p in kept.points] == [Sign.POSITIVE, Sign.NEGATIVE]
    assert node.GetNumberOfControlPoints() == 2
    assert node.GetNthControlPointLabel(1) == "-F-2"
    assert node.GetNthControlPointDescription(0) == ""


@pytest.mark.parametrize(
    "given",
    [
        lambda p: [tuple(p)],
        lambda p: np.array(p),
        lambda p: list(p),
        lambda p: np.array([p, p + 0.5]),
        lambda p: PointPrompt(tuple(p)),
        lambda p: [PointPrompt(tuple(p)), PointPrompt(tuple(p + 0.5))],
    ],
)
def test_positions_in_any_form_are_points(mrml_scene, given):
    desk = Desk(mrml_scene)
    outcome = segment(desk, given(desk.world((6, 12, 14))), orientation="axial")
    assert outcome.planes[0].mask_yx.sum() == ball()[6].sum()


def test_a_box_on_all_its_planes(mrml_scene):
    from SAMUNetSlicerLib.volumes.prompts import BoxExtent

    desk = Desk(mrml_scene)
    box = BoxPrompt(tuple(desk.world((6, 12, 14))), (16.0, 16.0, 5.0), extent=BoxExtent.ALL_PLANES)
    outcome = segment(desk, boxes=box)
    assert [p.index for p in outcome.planes] == [5, 6, 7]
    desk.accept()
    assert np.array_equal(desk.mask()[5:8], ball()[5:8])


def test_what_the_scanner_took_is_the_default(mrml_scene):
    matrix = scenery.ijk_to_ras((1.0, 4.0, 1.0))
    desk = Desk(mrml_scene, np.zeros((20, 6, 20), np.int16), matrix=matrix)
    assert desk.logic.stackKey(desk.segmentation).text == "J"
    assert desk.logic.stackKey(desk.segmentation, "axial").text == "K"


def test_a_slice_view_names_its_plane(mrml_scene):
    desk = Desk(mrml_scene)
    view = scenery.slice_to_ras((0, 0, 1), desk.world((4, 3, 3)), up=(0, 1, 0))
    for given in (view, vtk_matrix(view)):
        assert desk.logic.stackKey(desk.segmentation, sliceToRAS=given).text == "K"
        assert desk.logic.planeIndex(desk.segmentation, given) == 4
    slanting = scenery.slice_to_ras((1, 2, 2), desk.world((6, 12, 14)))
    outcome = segment(desk, [desk.world((6, 12, 14))], sliceToRAS=slanting)
    turned = scenery.slice_to_ras((1, 2, 2), desk.world((6, 12, 14)) + 1e-7)
    assert desk.logic.stackKey(desk.segmentation, sliceToRAS=turned) == outcome.stack


def test_later_prompts_join_the_earlier_ones(mrml_scene):
    two = scenery.picture(ball((6, 12, 8), 4.0), ball((6, 12, 20), 4.0))
    desk = Desk(mrml_scene, two)
    first = segment(desk, [desk.world((6, 12, 8))]).planes[0].mask_yx.sum()
    both = segment(desk, [desk.world((6, 12, 20))]).planes[0].mask_yx.sum()
    assert both == 2 * first
    taken_back = segment(desk, PointPrompt(tuple(desk.world((6, 12, 8))), Sign.NEGATIVE)).planes[0]
    assert taken_back.mask_yx.sum() == first


def test_planes_are_answered_again_from_the_prompts_they_have(mrml_scene):
    desk = Desk(mrml_scene)
    segment(desk, [desk.world((6, 12, 14)), desk.world((4, 12, 14))])
    desk.logic.discard(desk.segmentation, desk.ids[0])
    assert [p.index for p in segment(desk).planes] == [4, 6]
    desk.logic.clearPrompts(desk.segmentation, desk.ids[0], [4])
    assert [p.index for p in segment(desk, planes=[4, 6]).planes] == [6]
    assert desk.statuses()[4] == "empty", "without prompts there is no preview"


def test_a_flat_picture_and_colours(mrml_scene):
    colours = np.zeros((1, 24, 28, 3), np.uint8)
    colours[0, ball()[6]] = (250, 250, 200)
    desk = Desk(mrml_scene, colours)
    outcome = segment(desk, [desk.world((0, 12, 14))])
    assert outcome.planes[0].mask_yx.sum() == ball()[6].sum()
    desk.accept()
    assert np.array_equal(desk.mask()[0], ball()[6])


def test_the_input_volume_is_never_changed(mrml_scene):
    desk = Desk(mrml_scene)
    scalars = scenery.vtk_to_numpy(desk.volume.GetImageData().GetPointData().GetScalars())
    before, stamp = scalars.copy(), desk.volume.GetImageData().GetMTime()
    desk.propose(6)
    desk.accept()
    desk.propagate()
    desk.accept()
    desk.logic.undo(desk.segmentation)
    assert np.array_equal(scalars, before)
    assert desk.volume.GetImageData().GetMTime() == stamp


def test_what_is_missing_is_said(mrml_scene):
    desk = Desk(mrml_scene)
    with pytest.raises(InputError, match="Choose a segmentation"):
        desk.logic.accept(None, "x")
    with pytest.raises(UserError, match="Choose a segment, or add one"):
        desk.logic.segment(desk.volume, desk.segmentation, "", [desk.world((6, 12, 14))])
    desk.logic.setPredictor(None)
    with pytest.raises(UserError, match="No model is loaded"):
        desk.propose(6)
    assert not desk.space.prompts.read(desk.ids[0])
    with pytest.raises(ModelError):
        desk.logic.loadModel("none such")
    desk.logic.setPredictor(scenery.predictor())
    with pytest.raises(PromptError, match="not a number"):
        segment(desk, [(np.nan, 0, 0)])


def test_work_inside_a_running_step_is_refused(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)

    class Meddling:
        trained_prompts = scenery.predictor().trained_prompts

        def predict(self, *_):
            desk.accept()

    desk.logic.setPredictor(Meddling())
    with pytest.raises(UserError, match="Cancel the propagation first"):
        desk.propagate()
    assert not desk.mask().any()


def test_two_segmentations_of_one_volume_have_works_of_their_own(mrml_scene):
    desk = Desk(mrml_scene)
    second = desk.logic.createSegmentation(desk.volume)
    other = desk.logic.addSegment(second, "Liver", volumeNode=desk.volume)
    desk.propose(6)
    desk.accept()
    desk.logic.segment(desk.volume, second, other, [desk.world((4, 12, 14))])
    assert desk.statuses()[4] == "empty"
    assert desk.logic.undo(second).text == "Segment Liver"
    assert desk.logic.undo(desk.segmentation).text == "Accept plane 6 of Liver"


def test_work_whose_nodes_were_removed_does_not_stay_in_memory(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    logic, removed = desk.logic, weakref.ref(desk.space)
    for node in (desk.segmentation, desk.volume):
        mrml_scene.RemoveNode(node)
    del desk, node
    volume = scenery.volume_node(mrml_scene)
    logic.addSegment(logic.createSegmentation(volume), "Next", volumeNode=volume)
    gc.collect()
    assert removed() is None


def test_slicers_start_is_not_held_up_by_large_packages():
    """Slicer reads the module, and with it the logic, at every start."""
    script = """
import sys
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
print(sorted({"scipy", "SimpleITK", "PIL", "pydicom", "requests"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=repository.MODULE_FOLDER, check=False
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_logic_starts_before_anything_is_installed():
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "undo_stack", "segment_anything", "safetensors", "platformdirs"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Blocked())
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
print(SegmentationLogic.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=repository.MODULE_FOLDER, check=False
    )
    assert done.stdout.strip() == "SegmentationLogic", done.stderr


def test_without_the_undo_package_the_user_is_told(mrml_scene, monkeypatch):
    desk = Desk(mrml_scene)
    fresh = SegmentationLogic(mrml_scene)
    monkeypatch.setitem(sys.modules, "SAMUNetSlicerLib.scene.history.undo_redo", None)
    with pytest.raises(InputError, match="Install the module's requirements"):
        fresh.addSegment(desk.segmentation, "Spleen")
    assert len(desk.ids) == desk.segmentation.GetSegmentation().GetNumberOfSegments()
