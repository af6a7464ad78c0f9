"""What Slicer does by itself to the module's choices and views, while the module is open."""

from __future__ import annotations

import numpy as np
import pytest

HIDDEN = ("LabelMap", "DiffusionWeighted", "DiffusionTensor", "DiffusionImage")


def offered(box) -> set[str]:
    return {box.itemText(row) for row in range(box.count)}


def add_colour_image(name: str):
    import slicer

    picture = np.full((1, 8, 8, 3), 20, dtype=np.uint8)
    return slicer.util.addVolumeFromArray(picture, np.eye(4), name, "vtkMRMLVectorVolumeNode")


def test_the_parameter_replaces_the_types_of_the_ui_file(user):
    assert list(user.ui.volumeSelector.nodeTypes) == ["vtkMRMLScalarVolumeNode"]
    assert list(user.ui.segmentationSelector.nodeTypes) == ["vtkMRMLSegmentationNode"]


def test_colour_images_are_offered_and_can_be_chosen(user):
    photo = add_colour_image("Photo")
    assert "Photo" in offered(user.ui.volumeSelector)
    user.ui.volumeSelector.setCurrentNode(photo)
    user.settle()
    assert user.panel.parameters.volume is photo


@pytest.mark.parametrize("kind", HIDDEN)
def test_label_maps_and_diffusion_images_are_not_offered(user, kind):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", "Other kind")
    assert "Other kind" not in offered(user.ui.volumeSelector)


def test_the_first_volume_that_the_box_offers_is_taken(user, slicer_app):
    import slicer

    slicer_app.new_scene()
    user.opened.widget.exit()
    for kind in HIDDEN:
        slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", kind)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Kept from editors").SetHideFromEditors(True)
    user.opened.widget.enter()
    assert user.panel.parameters.volume is None
    user.opened.widget.exit()
    photo = add_colour_image("Photo")
    user.opened.widget.enter()
    assert user.panel.parameters.volume is photo


def test_a_view_of_a_layout_chosen_later_is_followed(user):
    import slicer

    from phantoms import to_ras

    user.key("A")
    user.click("Red", to_ras(user.volume, (8, 32, 20)))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Compare1")
    node.RotateToVolumePlane(user.volume)
    node.SetMappedInLayout(1)
    user.panel.segment.view = node  # as when a prompt is placed in it
    for plane in (5, 11):
        node.JumpSliceByOffsetting(*to_ras(user.volume, (plane, 32, 20)))
        user.settle()
        assert user.session.place.index == plane
        strip = user.ui.confidenceStrip
        assert [column for column in range(strip.columnCount) if strip.item(0, column).text()] == [plane]


def test_planes_of_a_range_are_no_negative_numbers(user):
    for box in (user.ui.firstPlaneSpinBox, user.ui.lastPlaneSpinBox):
        assert (box.minimum, box.maximum) == (0, 99_999)
        box.value = -3
        assert box.value == 0


def test_what_others_change_is_known_once_the_parameter_node_says_so(user):
    parameters = user.panel.parameters
    node = parameters.parameterNode
    before = node.StartModify()
    parameters.device = "cpu"
    node.SetParameter("writeMode", "add")
    node.SetNodeReferenceID("volume", None)
    assert (parameters.device, parameters.writeMode, parameters.volume) == ("cpu", "replace", user.volume)
    node.EndModify(before)
    assert (parameters.device, parameters.writeMode, parameters.volume) == ("cpu", "add", None)


@pytest.fixture
def others_work(prompted):
    """Another volume and its segmentation, which hold work too."""
    import slicer

    volume = slicer.util.addVolumeFromArray(np.zeros((4, 8, 8), dtype=np.int16), np.eye(4), "Other")
    segmentation = prompted.panel.logic.createSegmentation(volume, "Strange")
    prompted.panel.logic.addSegment(segmentation, "Liver", volumeNode=volume)
    prompted.settle()
    return volume, segmentation


def test_a_removed_segmentation_does_not_let_another_be_worked_on(prompted, others_work):
    """Slicer's selector jumps to one: here to the work on another volume."""
    import slicer

    other, strange = others_work
    slicer.mrmlScene.RemoveNode(prompted.session.node)
    prompted.settle()
    assert prompted.session is None
    assert (prompted.panel.parameters.volume, prompted.panel.parameters.segmentation) == (prompted.volume, None)
    assert prompted.ui.segmentationSelector.currentNode() is None
    assert "was removed" in prompted.message
    assert prompted.panel.logic.workspace(strange).volume_node is other
    prompted.ui.segmentationSelector.setCurrentNode(strange)
    prompted.settle()
    assert prompted.session.node is strange, "the user may choose it"


def test_a_removed_volume_is_told_where_other_work_is_shown_in_its_place(prompted, others_work):
    import slicer

    slicer.mrmlScene.RemoveNode(prompted.volume)
    prompted.settle()
    assert (prompted.session.volume_node, prompted.session.node) == others_work
    assert "'Phantom' was removed" in prompted.message


def test_a_removed_node_does_not_connect_parameters_midway_through_an_import(prompted):
    import slicer

    scene = slicer.mrmlScene
    scene.RemoveNode(prompted.session.node)
    scene.StartState(scene.ImportState)
    prompted.settle()
    assert prompted.panel.parameters is None
    scene.EndState(scene.ImportState)
    assert prompted.panel.parameters.volume is prompted.volume


def test_a_segmentation_that_shares_segment_ids_with_the_one_before_begins_with_its_own_first(prompted, at):
    """A copy, or a file that was loaded twice: the table restores what was selected by its ID."""
    first = prompted.session.node
    prompted.press("addSegmentButton")
    prompted.key("A")
    prompted.click("Red", at((8, 32, 46)))
    prompted.key("Esc")
    twin = prompted.panel.logic.createSegmentation(prompted.volume, "Twin")
    twin.GetSegmentation().DeepCopy(first.GetSegmentation())
    prompted.ui.segmentationSelector.setCurrentNode(twin)
    prompted.settle()
    segments = list(prompted.session.segments)
    assert segments == list(first.GetSegmentation().GetSegmentIDs())
    prompted.ui.segmentsTable.setSelectedSegmentIDs([segments[1]])
    prompted.settle()
    prompted.ui.segmentationSelector.setCurrentNode(first)
    prompted.settle()
    assert prompted.session.segment_id == segments[0]
    assert list(prompted.ui.segmentsTable.selectedSegmentIDs()) == [segments[0]]
    assert "restored" in prompted.message
