"""Whatever goes wrong, nothing accepted is lost, and the user is told in plain words."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scenery
import vtk
from scenery import Desk, ball, exported_by_slicer

from SAMUNetSlicerLib.errors import EditError, InputError, OutputError, UserError
from SAMUNetSlicerLib.inference.predictor import PlaneMask
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.names import ROLE
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import segment_ids
from SAMUNetSlicerLib.scene.record.stacks import StackKey


@pytest.fixture
def desk(mrml_scene):
    """One plane accepted, its neighbours proposed."""
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.propagate(planes=(5, 7))
    return desk


def accepted_is_there(desk):
    return np.array_equal(desk.mask()[6], ball()[6]) and desk.statuses()[6] == "accepted"


class WrongShape:
    """A model that answers with another number of pixels."""

    trained_prompts = scenery.predictor().trained_prompts

    def predict(self, image, prompts, crop=None):
        return PlaneMask(np.ones((3, 3), np.float32), 1.0, Crop(0, 0, 3, 3))


class Failing:
    """A model that runs into an error at its second plane."""

    def __init__(self, error):
        self.inner, self.error, self.answered = scenery.predictor(), error, 0
        self.trained_prompts = self.inner.trained_prompts

    def predict(self, image, prompts, crop=None):
        if self.answered == 1:
            raise self.error
        self.answered += 1
        return self.inner.predict(image, prompts, crop)


def test_an_answer_of_the_wrong_shape_is_refused(desk):
    desk.logic.setPredictor(WrongShape())
    with pytest.raises(EditError, match="answered with"):
        desk.propose(8)
    assert accepted_is_there(desk)
    assert desk.statuses()[8] == "empty"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA error"), UserError("Not enough memory.")])
def test_a_model_that_fails_half_way_leaves_what_is_finished(desk, error):
    desk.logic.setPredictor(Failing(error))
    with pytest.raises(type(error)):
        desk.propagate(planes=(7, 9))
    assert accepted_is_there(desk)
    assert desk.statuses()[5:8] == ["proposed", "accepted", "proposed"]
    assert desk.logic.undo(desk.segmentation).text == "Propagate Liver"
    desk.logic.setPredictor(scenery.predictor(), scenery.MODEL)
    desk.propagate()


def test_a_segmentation_of_another_grid_is_refused_and_untouched(mrml_scene, desk):
    other = scenery.volume_node(mrml_scene, np.zeros((5, 6, 7), np.int16), scenery.ijk_to_ras((3.0, 3.0, 3.0)), "MR")
    logic = SegmentationLogic(mrml_scene)
    logic.setPredictor(scenery.predictor())
    with pytest.raises(EditError, match="another grid"):
        logic.segment(other, desk.segmentation, desk.ids[0], points=[(-10.0, 5.0, 20.0)])
        logic.accept(desk.segmentation, desk.ids[0])
    assert np.array_equal(desk.mask()[6], ball()[6])


def test_a_volume_replaced_by_one_of_another_size(desk):
    small = scenery.volume_node(desk.scene, np.zeros((5, 6, 7), np.int16))
    before = desk.mask()
    image = desk.volume.GetImageData()
    desk.volume.SetAndObserveImageData(small.GetImageData())
    desk.volume.SetIJKToRASMatrix(scenery.vtk_matrix(scenery.ijk_to_ras((2.0, 2.0, 2.0))))
    with pytest.raises(EditError, match="another grid"):
        desk.accept(planes=[5])
    desk.volume.SetAndObserveImageData(image)
    desk.volume.SetIJKToRASMatrix(scenery.vtk_matrix(scenery.ijk_to_ras()))
    assert np.array_equal(desk.mask(), before)
    assert desk.accept().planes == (5, 7)


@pytest.mark.parametrize("during", ["work", "propagation"])
def test_a_closed_scene(desk, mrml_host, during):
    steps = desk.logic.propagate(desk.segmentation, desk.ids[0]) if during == "propagation" else iter(())
    next(steps, None)
    mrml_host.clear()
    with pytest.raises(InputError, match="no longer in the scene"):
        list(steps)
        desk.accept()
    desk.logic.reset()
    fresh = Desk(mrml_host.scene)
    fresh.propose(6)
    assert fresh.accept().planes == (6,)


@pytest.mark.parametrize("gone", ["volume", "segmentation"])
def test_a_deleted_node(desk, gone):
    mask = desk.mask()
    steps = desk.logic.propagate(desk.segmentation, desk.ids[0])
    next(steps)
    desk.scene.RemoveNode(getattr(desk, gone))
    with pytest.raises(InputError, match=f"The {gone} is no longer in the scene"):
        list(steps)
    with pytest.raises(InputError, match="no longer in the scene"):
        desk.accept()
    if gone == "volume":
        desk.volume = scenery.volume_node(desk.scene)
        desk.space = desk.logic.workspace(desk.segmentation, desk.volume)
        assert np.array_equal(desk.mask(), mask)
        assert accepted_is_there(desk)
        assert desk.accept().planes[0] < 6


def test_a_deleted_record_is_made_again_from_memory(desk):
    desk.scene.RemoveNode(desk.space.state_node)
    assert accepted_is_there(desk)
    assert desk.accept().planes == (5, 7)
    logic = SegmentationLogic(desk.scene)
    (work,) = logic.restore()
    assert (work.accepted, work.prompts) == (3, 1)


def test_a_record_deleted_before_saving_leaves_proposals_and_prompts(desk):
    desk.scene.RemoveNode(desk.space.state_node)
    logic = SegmentationLogic(desk.scene)
    assert logic.restore() == []
    space = logic.workspace(desk.segmentation, desk.volume)
    assert len(space.prompts.read(desk.ids[0]).points) == 1
    assert logic.accept(desk.segmentation, desk.ids[0]).planes == (5, 7)


def test_deleted_proposals_are_gone_and_nothing_else(desk):
    desk.scene.RemoveNode(desk.space.proposals.node)
    assert accepted_is_there(desk)
    desk.propagate(planes=(5, 7))
    assert desk.accept().planes == (5, 7)
    assert np.array_equal(desk.mask()[5:8], ball()[5:8])


@pytest.mark.parametrize("how", ["node", "segment", "before it was opened"])
def test_deleted_proposals_are_not_accepted_as_empty_ones(desk, how):
    desk.propose(6)
    if how == "segment":
        proposals = desk.space.proposals.node.GetSegmentation()
        proposals.RemoveSegment(proposals.GetNthSegmentID(0))
    else:
        desk.scene.RemoveNode(desk.space.proposals.node)
    if how == "before it was opened":
        desk.logic.reset()
    assert accepted_is_there(desk)
    with pytest.raises(EditError, match="nothing to accept"):
        desk.accept()
    assert accepted_is_there(desk)


def test_a_segment_deleted_in_the_middle_of_its_propagation(mrml_scene):
    desk = Desk(mrml_scene, segments=("Liver", "Spleen"))
    for number in (0, 1):
        desk.propose(6, number)
        desk.accept(number)
    steps = desk.logic.propagate(desk.segmentation, desk.ids[0])
    next(steps)
    desk.segmentation.GetSegmentation().RemoveSegment(desk.ids[0])
    with pytest.raises(EditError, match="no longer in the segmentation"):
        list(steps)
    with pytest.raises(EditError, match="no longer in the segmentation"):
        desk.accept(0)
    assert np.array_equal(desk.mask(1)[6], ball()[6])
    (work,) = SegmentationLogic(mrml_scene).restore()
    assert "1 segments that were worked on" in work.notes[0]


def test_a_renamed_segment_keeps_all_that_is_its_own(desk):
    desk.segmentation.GetSegmentation().GetSegment(desk.ids[0]).SetName("Lobe")
    desk.segmentation.GetSegmentation().GetSegment(desk.ids[0]).SetColor(0.1, 0.2, 0.3)
    assert desk.accept().planes == (5, 7)
    assert accepted_is_there(desk)
    assert desk.space.prompts.nodes(desk.ids[0])[0].GetName() == "Lobe +"
    desk.propose(6)
    proposals = desk.space.proposals.node
    segment = proposals.GetSegmentation().GetSegment(segment_ids(proposals)[0])
    assert (segment.GetName(), segment.GetColor()) == ("Lobe (proposed)", (0.1, 0.2, 0.3))


def test_two_segments_of_one_name_are_not_mixed_up(mrml_scene):
    desk = Desk(mrml_scene, segments=("Cyst", "Cyst"))
    desk.propose(6)
    desk.accept()
    desk.propose(8, number=1)
    desk.accept(1)
    assert [mask.any(axis=(1, 2)).nonzero()[0].tolist() for mask in (desk.mask(0), desk.mask(1))] == [[6], [8]]


def test_a_transform_put_above_the_volume_moves_everything_along(desk):
    desk.volume.SetAndObserveTransformNodeID(scenery.linear_transform(desk.scene, scenery.tilted()).GetID())
    assert desk.accept().planes == (5, 7)
    for node in (desk.segmentation, desk.space.proposals.node):
        assert node.GetTransformNodeID() == desk.volume.GetTransformNodeID()
    before = desk.space.prompts.read(desk.ids[0])
    desk.propose(8)
    assert before.points[0] in desk.space.prompts.read(desk.ids[0]).points
    desk.accept()
    assert np.array_equal(desk.mask()[5:9], ball()[5:9])
    desk.volume.SetAndObserveTransformNodeID(scenery.bent_transform(desk.scene).GetID())
    with pytest.raises(InputError, match="not linear"):
        desk.propose(9)
    desk.volume.SetAndObserveTransformNodeID(None)
    assert np.array_equal(desk.mask()[5:9], ball()[5:9])


@pytest.mark.parametrize("how", ["volume alone", "volume and segmentation", "everything"])
def test_a_hardened_transform_loses_nothing(mrml_scene, how):
    desk = Desk(mrml_scene, transform=scenery.linear_transform(mrml_scene, scenery.tilted()))
    desk.propose(6)
    desk.accept()
    desk.propagate(planes=(5, 7))
    seen = desk.space.prompts.read(desk.ids[0]).in_world("", desk.space.check().to_world).points[0]
    nodes = [desk.volume, desk.segmentation, desk.space.proposals.node, *desk.space.prompts.nodes()]
    for node in nodes[: {"volume alone": 1, "volume and segmentation": 2, "everything": 9}[how]]:
        node.HardenTransform()
    assert desk.accept().planes == (5, 7)
    assert np.array_equal(desk.mask()[5:8], ball()[5:8])
    kept = desk.space.prompts.read(desk.ids[0]).in_world("", desk.space.check().to_world).points[0]
    assert np.allclose(kept.position_ras, seen.position_ras)
    desk.propose(8)
    assert desk.accept().planes == (8,)
    assert np.array_equal(desk.mask()[5:9], ball()[5:9])
    assert accepted_is_there(desk)


@pytest.mark.parametrize("step_mm", [0.0005, 0.0008])
def test_a_hardened_step_of_a_voxel_of_a_microscope_loses_nothing(mrml_scene, step_mm):
    desk = Desk(mrml_scene, matrix=scenery.ijk_to_ras((0.0005, 0.0005, 0.002)))
    desk.propose(6)
    desk.accept()
    by = np.eye(4)
    by[0, 3] = step_mm
    for node in (desk.volume, desk.segmentation):
        node.ApplyTransformMatrix(scenery.vtk_matrix(by))
    desk.space.check()
    assert np.array_equal(desk.mask()[6], ball()[6])


def test_a_point_placed_just_before_a_hardening_goes_along_with_the_others_and_is_noted(mrml_scene):
    desk = Desk(mrml_scene, transform=scenery.linear_transform(mrml_scene, scenery.tilted()))
    desk.propose(6)
    (node,) = desk.space.prompts.nodes()
    node.AddControlPointWorld(vtk.vtkVector3d(*desk.world((8, 12, 14))))
    places = [node.GetNthControlPointPositionWorld(n) for n in range(2)]
    desk.volume.HardenTransform()
    assert desk.logic.notePrompts(desk.segmentation, desk.ids[0], "axial")[StackKey("K")] >= {8}
    assert np.allclose([node.GetNthControlPointPositionWorld(n) for n in range(2)], places)


def test_previews_in_a_slanting_view_are_accepted_after_the_transform_was_hardened(mrml_scene):
    desk = Desk(mrml_scene, transform=scenery.linear_transform(mrml_scene, scenery.tilted()))
    view = {"sliceToRAS": scenery.slice_to_ras((0.3, 0.5, 1), desk.world((6, 12, 14)))}
    point = [desk.world((6, 12, 14))]
    desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], point, **view)
    proposals = desk.space.proposals.node
    before = exported_by_slicer(mrml_scene, proposals, segment_ids(proposals)[0], desk.volume)
    desk.volume.HardenTransform()
    (plane,) = desk.logic.accept(desk.segmentation, desk.ids[0], **view).planes
    assert plane == desk.logic.planeIndex(desk.segmentation, view["sliceToRAS"])
    assert np.array_equal(desk.mask(), before)
    again = desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], planes=[plane], **view)
    assert again.planes, "its prompt went along"


def test_a_centred_volume_takes_its_work_along(desk):
    desk.volume.SetOrigin(0.0, 0.0, 0.0)
    assert desk.accept().planes == (5, 7)
    assert np.array_equal(desk.mask()[5:8], ball()[5:8])
    prompt = desk.space.prompts.read(desk.ids[0]).points[0]
    assert np.allclose(prompt.position, desk.world((6, 12, 14)))
    assert desk.logic.takeNotes(desk.segmentation) == [], "its voxels are the same"


def test_prompts_stay_with_a_segmentation_of_the_users_that_was_left_behind(desk):
    """It is refused until it lies on the volume again, however often it is asked for meanwhile."""
    desk.segmentation.RemoveAttribute(ROLE)
    before = desk.space.prompts.read(desk.ids[0])
    origin = desk.volume.GetOrigin()
    desk.volume.SetOrigin(0.3, 0.4, 0.7)
    for _again in range(3):
        with pytest.raises(EditError, match="another grid"):
            desk.states()
    desk.volume.SetOrigin(*origin)
    assert desk.accept().planes == (5, 7)
    assert desk.space.prompts.read(desk.ids[0]).is_close_to(before)


def test_a_volume_that_a_segmentation_was_not_made_on_does_not_take_it_along(mrml_scene):
    desk = Desk(mrml_scene, transform=scenery.linear_transform(mrml_scene, scenery.tilted()))
    desk.propose(6)
    desk.accept()
    other = scenery.volume_node(mrml_scene, np.zeros((5, 6, 7), np.int16), scenery.ijk_to_ras((3.0, 3.0, 3.0)))
    with pytest.raises(EditError, match="another grid"):
        desk.logic.workspace(desk.segmentation, other)
    assert desk.segmentation.GetParentTransformNode() is desk.volume.GetParentTransformNode()


def test_a_scene_is_saved_under_its_own_ending_in_a_folder_that_exists(desk, tmp_path):
    with pytest.raises(OutputError, match=".mrb"):
        desk.logic.saveScene(tmp_path / "scene.mrml")
    with pytest.raises(OutputError, match="does not exist"):
        desk.logic.saveScene(tmp_path / "none" / "scene.mrb")


def test_what_a_killed_save_left_is_removed_by_a_later_one(desk, tmp_path):
    old, new = tmp_path / ".saving-old", tmp_path / ".saving-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "work.mrb").write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    desk.logic.saveScene(tmp_path / "work.mrb")
    assert sorted(p.name for p in tmp_path.iterdir()) == [new.name, "work.mrb"]


def story(how, path):
    file = Path(__file__).with_name("saving_story.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(file), how, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("how", ["full disk", "read only"])
@pytest.mark.skipif(sys.platform == "win32", reason="limits and rights are those of POSIX systems")
def test_a_scene_that_cannot_be_saved_leaves_the_earlier_file_and_the_work(mrml_host, desk, tmp_path, how):
    # Those above the folder let anybody through.
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    path = tmp_path / "work.mrb"
    desk.logic.saveScene(path)
    earlier = path.read_bytes()
    process = story(how, path)
    output, _ = process.communicate(timeout=300)
    tmp_path.chmod(0o755)
    assert "could not be saved" in output
    assert "What was saved there before is untouched" in output
    assert "goes on" in output
    assert path.read_bytes() == earlier
    assert [p.name for p in tmp_path.iterdir()] == ["work.mrb"]


@pytest.mark.parametrize("after_s", [0.02, 0.1])
def test_a_kill_during_a_save_leaves_a_whole_scene(mrml_host, mrml_scene, tmp_path, after_s):
    path = tmp_path / "work.mrb"
    process = story("again and again", path)
    try:
        saved = 0
        while saved < 3:
            line = process.stdout.readline()
            assert line, "it ended before it was killed"
            saved += line == "saved\n"
        time.sleep(after_s)
    finally:
        process.kill()
        process.wait()
    assert mrml_scene.ReadFromMRB(str(path))
    (work,) = SegmentationLogic(mrml_scene).restore()
    assert work.notes == ()
    assert work.accepted >= saved
    segmentation = work.workspace.segmentation_node
    states = SegmentationLogic(mrml_scene).planeStates(segmentation, segment_ids(segmentation)[0], "axial")
    held = scenery.read_mask(segmentation, segment_ids(segmentation)[0], work.workspace.check().local)
    assert all(held[k].any() == (state.accepted is not None) for k, state in enumerate(states))
