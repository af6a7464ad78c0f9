"""Markups of the scene as prompts, and prompts kept as markups."""

import numpy as np
import pytest
import scenery
import vtk

from SAMUNetSlicerLib.errors import InputError, PromptError
from SAMUNetSlicerLib.scene.nodes.markups_nodes import PromptStore, read_prompt_nodes
from SAMUNetSlicerLib.scene.nodes.names import SEGMENT, SIGN
from SAMUNetSlicerLib.scene.nodes.state_node import create_state_node
from SAMUNetSlicerLib.scene.record.placed_prompts import PlacedBox, PlacedPoint, PromptSet
from SAMUNetSlicerLib.scene.record.stacks import StackKey
from SAMUNetSlicerLib.volumes.files.markups import read_markups
from SAMUNetSlicerLib.volumes.prompts import BoxExtent, Sign

SLANTED = StackKey("0.600000,0.800000,0,0,0,1")


def roi(scene, centre, size, transform=None):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    if transform is not None:
        node.SetAndObserveTransformNodeID(transform.GetID())
    node.SetCenterWorld(*centre)
    node.SetSize(*size)
    return node


def test_points_are_read_in_world_coordinates_under_any_transform(mrml_scene):
    node = scenery.fiducials(mrml_scene, (1, 2, 3), (4, 5, 6), labels=["F-1", "-outside"])
    node.SetNthControlPointDescription(0, "sign=negative")
    lower = scenery.linear_transform(
        mrml_scene, scenery.rigid(1), scenery.linear_transform(mrml_scene, scenery.rigid(2))
    )
    node.SetAndObserveTransformNodeID(lower.GetID())
    prompts = read_prompt_nodes([node], "liver")
    move = scenery.rigid(2) @ scenery.rigid(1)
    assert np.allclose(prompts.points[0].position_ras, move[:3, :3] @ (1, 2, 3) + move[:3, 3])
    assert np.allclose(prompts.points[1].position_ras, node.GetNthControlPointPositionWorld(1))
    assert [p.sign for p in prompts.points] == [Sign.NEGATIVE, Sign.NEGATIVE]


def test_points_that_are_not_placed_yet_do_not_count(mrml_scene):
    node = scenery.fiducials(mrml_scene, (1, 2, 3))
    node.AddControlPoint(vtk.vtkVector3d(9, 9, 9))
    node.UnsetNthControlPointPosition(1)
    assert len(read_prompt_nodes([node], "liver").points) == 1


def test_a_roi_is_the_box_that_slicer_shows(mrml_scene):
    scaling = np.diag([2.0, 1.0, 3.0, 1.0])
    transform = scenery.linear_transform(mrml_scene, scenery.rigid(3) @ scaling)
    node = roi(mrml_scene, (10, 20, 30), (4, 6, 8), transform)
    box = read_prompt_nodes([node], "liver").boxes[0]
    assert np.allclose(box.centre_ras, (10, 20, 30))
    assert np.allclose(box.size_mm, (8, 6, 24))
    to_world = node.GetObjectToWorldMatrix()
    corner = to_world.MultiplyPoint((2, -3, 4, 1))[:3]
    assert np.abs(box.corners_ras() - corner).sum(axis=1).min() < 1e-6


def test_other_markups_and_bent_transforms_are_refused(mrml_scene):
    line = mrml_scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
    with pytest.raises(PromptError, match="prompts nothing"):
        read_prompt_nodes([line], "liver")
    node = scenery.fiducials(mrml_scene, (1, 2, 3))
    node.SetAndObserveTransformNodeID(scenery.bent_transform(mrml_scene).GetID())
    with pytest.raises(InputError, match="not linear"):
        read_prompt_nodes([node], "liver")


@pytest.fixture
def store(mrml_scene):
    volume = scenery.volume_node(mrml_scene)
    volume.SetAndObserveTransformNodeID(scenery.linear_transform(mrml_scene, scenery.rigid(1)).GetID())
    segmentation = mrml_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    return PromptStore(mrml_scene, volume, segmentation, create_state_node(mrml_scene, volume, segmentation))


PROMPTS = PromptSet(
    (
        PlacedPoint((1.0, 2.0, 3.0), Sign.POSITIVE, StackKey("K"), "first"),
        PlacedPoint((4.0, 5.0, 6.5), Sign.POSITIVE, SLANTED, "second"),
        PlacedPoint((0.0, 1.0, 2.0), Sign.NEGATIVE, StackKey("I"), "third"),
    ),
    (
        PlacedBox(
            (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), ((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), (0.0, 0.0, 1.0)), stack=SLANTED
        ),
        PlacedBox(
            (9.0, 9.0, 9.0),
            (1.0, 2.0, 0.0),
            ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
            BoxExtent.ALL_PLANES,
            StackKey("K"),
        ),
    ),
)


def test_prompts_are_kept_by_segment_sign_and_plane(store):
    store.write("S1", "liver", PROMPTS)
    store.write("S2", "spleen", PromptSet(PROMPTS.points[:1]))
    assert store.read("S1").is_close_to(PROMPTS)
    assert store.read("S2").is_close_to(PromptSet(PROMPTS.points[:1]))
    names = [node.GetName() for node in store.nodes("S1")]
    assert names == ["liver +", "liver -", "liver box", "liver box"]
    assert [node.GetAttribute(SIGN) for node in store.nodes("S1")][:2] == ["positive", "negative"]
    assert all(node.GetTransformNodeID() == store.volume_node.GetTransformNodeID() for node in store.nodes())
    assert store.read("S1").on_stack(StackKey("K")).points == (store.read("S1").points[0],)
    store.write("S1", "liver", PromptSet(PROMPTS.points[2:]))
    assert store.read("S1").is_close_to(PromptSet(PROMPTS.points[2:]))
    assert store.read("S2").is_close_to(PromptSet(PROMPTS.points[:1]))


def test_frames_of_a_sequence_have_prompts_of_their_own(store):
    store.write("S1", "liver", PromptSet(PROMPTS.points[:1]), frame="0")
    store.write("S1", "liver", PromptSet(PROMPTS.points[1:]), frame="1")
    assert len(store.read("S1", "0").points) == 1
    assert len(store.read("S1", "1").points) == 2
    assert not store.read("S1")


def test_a_point_placed_by_mouse_takes_the_sign_of_its_list_and_the_planes_that_were_looked_at(store):
    node = store.points_node("S1", "liver", Sign.NEGATIVE, stack=StackKey("K"))
    node.AddControlPoint(vtk.vtkVector3d(1, 2, 3), "+ a label that says nothing")
    assert store.points_node("S1", "liver", Sign.NEGATIVE, stack=SLANTED) is node
    node.AddControlPoint(vtk.vtkVector3d(4, 5, 6))
    first, second = store.read("S1").points
    assert (first.sign, first.stack) == (Sign.NEGATIVE, StackKey("K"))
    assert (second.sign, second.stack) == (Sign.NEGATIVE, SLANTED)


def test_a_roi_that_is_being_drawn_is_no_prompt_yet(store):
    node = store.roi_node("S1", "liver", stack=StackKey("K"))
    assert not store.read("S1")
    node.SetCenter(1, 2, 3)
    node.SetSize(4, 5, 6)
    assert store.read("S1").boxes[0].stack == StackKey("K")


def test_a_new_name_of_the_segment_is_taken_over(store, tmp_path, mrml_host):
    store.write("S1", "liver", PROMPTS)
    store.rename("S1", "left; lobe")
    assert [node.GetName() for node in store.nodes("S1")] == ["left; lobe +", "left; lobe -", *["left; lobe box"] * 2]
    assert store.read("S1").is_close_to(PROMPTS)
    store.rename("S1", "lobe; sign=negative")
    assert store.read("S1").is_close_to(PROMPTS), "names say nothing about signs"
    store.rename("S1", "lobe")
    assert "segment=lobe" in store.nodes("S1")[0].GetNthControlPointDescription(0)


def test_a_saved_list_serves_the_command_line(store, tmp_path, mrml_host):
    store.volume_node.SetAndObserveTransformNodeID(None)
    store.write("S1", "liver", PROMPTS)
    negative = store.nodes("S1")[1]
    mrml_host.save(negative, tmp_path / "negative.mrk.json")
    prompt = read_markups(tmp_path / "negative.mrk.json")[0]
    assert (prompt.stated_segment, prompt.prompt.sign) == ("liver", Sign.NEGATIVE)
    assert np.allclose(prompt.prompt.position_ras, (0, 1, 2))


def test_only_the_prompts_of_one_segment_are_shown(store):
    store.write("S1", "liver", PROMPTS)
    store.write("S2", "spleen", PROMPTS)
    store.show_only("S2")
    shown = {node.GetAttribute(SEGMENT) for node in store.nodes() if node.GetDisplayVisibility()}
    assert shown == {"S2"}


def test_prompts_that_are_there_already_are_not_doubled():
    again = PROMPTS.with_new(PromptSet((PROMPTS.points[0], PlacedPoint((7.0, 7.0, 7.0))), PROMPTS.boxes))
    assert len(again.points) == 4
    assert len(again.boxes) == 2


def test_many_prompts_are_compared_without_reading_the_names_of_their_planes_each_time(monkeypatch):
    read = []
    directions = StackKey.directions.fget
    monkeypatch.setattr(StackKey, "directions", property(lambda key: read.append(key) or directions(key)))
    stacks = [StackKey(text) for text in ("0.6,0.8,0,0,0,1", "0.60001,0.8,0,0,0,1")]
    before, moved = (
        PromptSet(tuple(PlacedPoint((float(n), x, 0.0), stack=stack) for n in range(100)))
        for stack, x in zip(stacks, (0.0, 0.00002), strict=True)
    )
    read.clear()
    assert before.is_close_to(moved)
    assert not before.is_close_to(PromptSet((*before.points[1:], PlacedPoint((0.5, 0.0, 0.0), stack=stacks[0]))))
    assert len(read) <= 2 * 2 * 100
