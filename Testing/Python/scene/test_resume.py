"""A saved scene goes on exactly where it was left, in another process; what is missing is told and loses nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scenery
from scenery import Desk, ball

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.scene.nodes.names import DOCUMENT
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import segment_ids
from SAMUNetSlicerLib.scene.record import document as document_of_work
from SAMUNetSlicerLib.scene.record.document import Document, PlaneEntry, PlaneKey, PlaneState
from SAMUNetSlicerLib.scene.record.editing_rules import EditingRules, Overwrite
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin
from SAMUNetSlicerLib.volumes.windows import Window


def run(part, folder):
    story = Path(__file__).with_name("resume_story.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(story), part, str(folder)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{part}.json").read_text())


def without_ids(found):
    """Segment IDs are drawn at random: compare by the order of the segments."""
    record = found["record"]
    order = {segment_id: n for n, segment_id in enumerate(dict.fromkeys(p[1] for p in sorted_by_stack(record)))}
    planes = [
        [frame, order[segment_id], stack, entries] for frame, segment_id, stack, entries in sorted_by_stack(record)
    ]
    return {**found, "record": {**record, "planes": planes}}


def sorted_by_stack(record):
    return sorted(record["planes"], key=lambda p: (p[2], json.dumps(p[3])))


def test_a_saved_scene_goes_on_exactly_in_a_new_process(mrml_host, tmp_path):
    whole = run("whole", tmp_path)
    begun = run("begin", tmp_path)
    resumed = run("go on", tmp_path)
    assert resumed.pop("restored") == begun["record"]
    assert resumed.pop("notes") == []
    assert "accepted planes 1, proposed planes 4, prompts 3" in resumed.pop("summary")
    assert min(whole["voxels"]) > 200
    assert without_ids(resumed) == without_ids(whole)


@pytest.fixture
def saved(mrml_scene, tmp_path):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.propagate()
    desk.logic.saveScene(tmp_path / "work.mrb")
    return tmp_path / "work.mrb"


def reopened(mrml_host, path, before=lambda: None):
    mrml_host.clear()
    assert mrml_host.scene.ReadFromMRB(str(path))
    before()
    logic = SegmentationLogic(mrml_host.scene)
    logic.setPredictor(scenery.predictor(), scenery.MODEL)
    return logic, logic.restore(lambda model: model == scenery.MODEL)


def test_a_scene_loaded_into_another_keeps_its_links(mrml_host, saved):
    """Node IDs may change when scenes are merged."""
    mrml_host.clear()
    other = Desk(mrml_host.scene)
    other.propose(4)
    assert mrml_host.scene.ReadFromMRB(str(saved), False)
    logic = SegmentationLogic(mrml_host.scene)
    works = logic.restore()
    assert len(works) == 2
    loaded = next(w.workspace for w in works if w.workspace.segmentation_node is not other.segmentation)
    assert loaded.volume_node is not other.volume
    assert loaded.proposals.node is not other.space.proposals.node
    segment_id = segment_ids(loaded.segmentation_node)[0]
    outcome = logic.accept(loaded.segmentation_node, segment_id)
    assert outcome.planes == (4, 5, 7, 8)
    assert not other.mask().any()


def test_a_scene_added_to_another_takes_nothing_from_the_work_there(mrml_host, saved):
    mrml_host.clear()
    desk = Desk(mrml_host.scene)
    desk.propose(6)
    running = desk.logic.propagate(desk.segmentation, desk.ids[0], "axial")
    next(running)
    assert mrml_host.scene.ReadFromMRB(str(saved), False)
    works = desk.logic.restore()
    assert [work.was_open for work in works] == [True, False]
    assert works[0].workspace is desk.space
    assert list(running), "what was under way goes on"
    while desk.logic.undo(desk.segmentation):
        pass
    assert desk.statuses() == ["empty"] * 12
    assert not desk.space.history.can_undo


def test_a_slanting_volume_that_was_saved_and_loaded_is_the_same(mrml_host, mrml_scene, tmp_path):
    """Its directions come back with other last digits."""
    desk = Desk(mrml_scene, matrix=scenery.ijk_to_ras((0.7421875, 0.7, 2.5), scenery.rigid(1)[:3, :3]))
    desk.propose(6)
    desk.logic.saveScene(tmp_path / "work.mrb")
    _, (work,) = reopened(mrml_host, tmp_path / "work.mrb")
    assert work.notes == ()


def test_a_changed_volume_is_told_and_loses_nothing(mrml_host, saved):
    def change():
        volume = mrml_host.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        volume.GetImageData().GetPointData().GetScalars().SetTuple1(0, 99)

    logic, (work,) = reopened(mrml_host, saved, change)
    assert len(work.notes) == 1
    assert "is no longer as it was" in work.notes[0]
    assert (work.accepted, work.proposed, work.prompts) == (1, 4, 1)
    assert logic.restore()[0].notes == (), "told once"


def test_a_missing_model_is_told_and_loses_nothing(mrml_host, saved):
    mrml_host.clear()
    mrml_host.scene.ReadFromMRB(str(saved))
    logic = SegmentationLogic(mrml_host.scene)
    (work,) = logic.restore(lambda model: False)
    assert "The model bright (SHA-256 abababab...) that was used is not installed" in work.notes[0]
    space = work.workspace
    segment_id = segment_ids(space.segmentation_node)[0]
    assert logic.accept(space.segmentation_node, segment_id).planes == (4, 5, 7, 8)
    from SAMUNetSlicerLib.errors import UserError

    with pytest.raises(UserError, match="Choose a model"):
        logic.segment(space.volume_node, space.segmentation_node, segment_id)


def test_a_missing_volume_is_told_and_work_goes_on_when_it_is_back(mrml_host, saved):
    removed = []

    def remove():
        volume = mrml_host.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        removed.append(volume)
        mrml_host.scene.RemoveNode(volume)

    logic, (work,) = reopened(mrml_host, saved, remove)
    assert work.workspace is None
    assert "The volume is not in the scene" in work.notes[0]
    assert (work.accepted, work.proposed) == (1, 4)
    segmentation = mrml_host.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(InputError, match="volume is no longer in the scene"):
        logic.workspace(segmentation)
    again = scenery.volume_node(mrml_host.scene)
    space = logic.workspace(segmentation, again)
    assert space.notes == []
    assert logic.accept(segmentation, segment_ids(segmentation)[0]).planes == (4, 5, 7, 8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema":0,"software":"SAMUNetSlicer 0.0.1","planes":"as they were then"}', "an older version"),
        ('{"schema":99,"software":"SAMUNetSlicer 9.0"}', "a newer version"),
        ('{"schema":1,"planes":[]}', "damaged"),
        ("{", "damaged"),
    ],
)
def test_a_record_that_cannot_be_read_is_set_aside(mrml_host, saved, text, said):
    """Voxels, proposals and prompts are still there, and so is the text itself, also after the next save."""

    def replace():
        state_node().SetParameter(DOCUMENT, text)

    def state_node():
        return mrml_host.scene.GetFirstNodeByName("SAMUNetSlicer of Segmentation")

    logic, (work,) = reopened(mrml_host, saved, replace)
    assert said in work.notes[0]
    assert "set aside" in work.notes[0]
    segmentation = work.workspace.segmentation_node
    segment_id = segment_ids(segmentation)[0]
    assert work.prompts == 1
    # Proposals are known by their voxels; those of the accepted plane stand in the segment.
    assert logic.accept(segmentation, segment_id).planes == (4, 5, 7, 8)
    logic.saveScene(saved)
    logic, (work,) = reopened(mrml_host, saved)
    assert work.notes == ()
    assert state_node().GetParameter("SetAside1") == text


def test_the_record_survives_its_own_text():
    document = Document(
        [scenery.MODEL],
        Window(-160.0, 240.0, "abdomen"),
        EditingRules(Overwrite.ALL, intensity_range=(1.5, 2.0)),
        {"": "ab", "3": "cd"},
        {
            PlaneKey("", "Segment_1", "K", 10): PlaneState(
                PlaneEntry(0.123456, PlaneOrigin.PROMPTED, (0, 1, 20, 30), 0)
            ),
            PlaneKey("", "Segment_1", "K", 9): PlaneState(None, PlaneEntry(1.0, PlaneOrigin.PROPAGATED)),
            PlaneKey("3", 'Left "x" | é', "0.6,0.8,0,0,0,1", 2): PlaneState(stopped="the object vanished"),
        },
    )
    again = Document.from_json(document.to_json())
    assert again == document
    assert again.to_json() == document.to_json()


def test_text_of_a_large_record_is_made_anew_only_where_planes_changed(monkeypatch):
    written = []
    entry_to_list = document_of_work._entry_to_list
    monkeypatch.setattr(document_of_work, "_entry_to_list", lambda entry: written.append(entry) or entry_to_list(entry))
    entry = PlaneEntry(0.5, PlaneOrigin.PROPAGATED)
    planes = {PlaneKey("", f"Segment_{n}", "K", i): PlaneState(entry) for n in range(20) for i in range(30)}
    document = Document(planes=planes)
    document.to_json()
    written.clear()
    document.set_plane(PlaneKey("", "Segment_7", "K", 4), PlaneState(proposed=entry))
    document.set_plane(PlaneKey("", "Segment_7", "J", 4), PlaneState(proposed=entry))
    text = document.to_json()
    assert len(written) <= 2 * 31
    assert text == Document(planes=dict(document.planes)).to_json()
    for index in range(30):
        document.set_plane(PlaneKey("", "Segment_9", "K", index), PlaneState())
    document.rename(lambda frame: "2", lambda stack: stack)
    assert document.to_json() == Document(planes=dict(document.planes)).to_json()


def test_frames_of_a_sequence_do_not_mix(mrml_host, mrml_scene):
    """A sequence of two volumes with the ball in different places: prompts, proposals and accepted planes by frame."""
    logic_of_sequences = scenery.sequences_logic(mrml_host)
    sequence = mrml_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "series")
    for number, centre in enumerate(((6, 12, 9), (6, 12, 20))):
        item = scenery.volume_node(mrml_scene, scenery.picture(ball(centre, 5.0)))
        sequence.SetDataNodeAtValue(item, str(number))
        mrml_scene.RemoveNode(item)
    browser = mrml_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic_of_sequences.UpdateProxyNodesFromSequences(browser)
    volume = browser.GetProxyNode(sequence)
    logic = SegmentationLogic(mrml_scene)
    logic.setPredictor(scenery.predictor(), scenery.MODEL)
    segmentation = logic.createSegmentation(volume)
    segment_id = logic.addSegment(segmentation, "Heart", volumeNode=volume)

    def show(number):
        browser.SetSelectedItemNumber(number)
        logic_of_sequences.UpdateProxyNodesFromSequences(browser)

    grid = logic.workspace(segmentation).check().geometry
    for number, i in enumerate((9, 20)):
        show(number)
        outcome = logic.segment(volume, segmentation, segment_id, points=[grid.to_ras([i, 12, 6])], orientation="axial")
        assert outcome.planes[0].mask_yx.any()
    assert logic.takeNotes(segmentation) == [], "another frame is not a changed volume"
    show(0)
    assert len(logic.workspace(segmentation).prompts.read(segment_id, "0").points) == 1
    logic.accept(segmentation, segment_id, orientation="axial")
    states = logic.planeStates(segmentation, segment_id, "axial")
    assert states[6].status.value == "accepted"
    show(1)
    states = logic.planeStates(segmentation, segment_id, "axial")
    assert states[6].status.value == "proposed"
    assert np.count_nonzero([s.accepted is not None for s in states]) == 0
