"""Proposals apart from the result, and what accepting them may touch."""

import numpy as np
import pytest
import scenery
from scenery import Desk, ball

from SAMUNetSlicerLib.errors import EditError, PromptError
from SAMUNetSlicerLib.scene.nodes.labelmaps import SegmentChange, read_mask, write_changes
from SAMUNetSlicerLib.scene.nodes.names import ROLE, ROLE_PROPOSALS
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import SegmentStatus, segment_ids, set_status
from SAMUNetSlicerLib.scene.record.document import PlaneStatus
from SAMUNetSlicerLib.scene.record.editing_rules import Area, EditingRules, Overwrite, WriteMode
from SAMUNetSlicerLib.volumes.segmentations.provenance import read_provenance


def paint(desk, number, mask):
    """An edit made elsewhere."""
    geometry = local_geometry(desk.volume)
    now = desk.mask(number)
    whole = tuple(slice(0, n) for n in mask.shape)
    write_changes(desk.segmentation, [SegmentChange(desk.ids[number], whole, mask & ~now, now & ~mask)], geometry)


def proposals(desk):
    node = desk.space.proposals.node
    return {i: read_mask(node, i, local_geometry(desk.volume)) for i in segment_ids(node)}


def test_a_preview_changes_nothing_of_the_result(mrml_scene):
    desk = Desk(mrml_scene)
    outcome = desk.propose(6)
    assert [(p.index, p.status) for p in outcome.planes] == [(6, PlaneStatus.PROPOSED)]
    assert np.array_equal(outcome.planes[0].mask_yx.sum(), ball()[6].sum())
    assert not desk.mask().any()
    node = desk.space.proposals.node
    assert node.GetAttribute(ROLE) == ROLE_PROPOSALS
    assert node.GetHideFromEditors()
    assert np.array_equal(proposals(desk)[desk.ids[0] + "@K"][6], ball()[6])


def test_accepting_writes_the_plane_and_nothing_else(mrml_scene):
    desk = Desk(mrml_scene)
    elsewhere = np.zeros(scenery.SHAPE, bool)
    elsewhere[3] = elsewhere[6, 0] = True
    paint(desk, 0, elsewhere)
    desk.propose(6)
    outcome = desk.accept()
    expected = elsewhere.copy()
    expected[6] = ball()[6]
    assert outcome.planes == (6,)
    assert np.array_equal(desk.mask(), expected)
    assert not any(mask.any() for mask in proposals(desk).values())
    assert desk.statuses()[6] == "accepted"


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
def test_all_orientations_find_the_ball(mrml_scene, orientation):
    desk = Desk(mrml_scene)
    middle = {"axial": 6, "coronal": 12, "sagittal": 14}[orientation]
    at = {"axial": (12, 14), "coronal": (6, 14), "sagittal": (6, 12)}[orientation]
    desk.propose(middle, at=at, orientation=orientation)
    desk.propagate(orientation=orientation)
    desk.accept(orientation=orientation)
    # The network of these tests marks nothing outside of a box, and boxes that follow a shrinking ball of twelve pixels
    # cut up to one off its rim.
    found, expected = desk.mask(), ball()
    assert 2 * np.count_nonzero(found & expected) > 0.88 * (found.sum() + expected.sum())
    assert not (found & ~expected).any()


def test_an_oblique_view_finds_the_ball_and_is_protected_voxel_by_voxel(mrml_scene):
    """Under a transform, with a plane that cuts the grid slantwise; object and background alike stay as accepted."""
    move = scenery.linear_transform(mrml_scene, scenery.tilted())
    desk = Desk(mrml_scene, transform=move)
    view = scenery.tilted() @ scenery.slice_to_ras((1, 2, 2), local_geometry(desk.volume).to_ras([14, 12, 6]))
    outcome = desk.logic.segment(
        desk.volume, desk.segmentation, desk.ids[0], points=[desk.world((6, 12, 14))], sliceToRAS=view
    )
    assert outcome.stack.axis is None
    plane = outcome.planes[0].index
    assert plane == desk.logic.planeIndex(desk.segmentation, view)
    # The model's answer is right; then someone corrects it by hand, and keeps the plane.
    desk.logic.accept(desk.segmentation, desk.ids[0], sliceToRAS=view)
    slab = desk.mask()
    assert slab.any()
    assert not (slab & ~ball()).any()
    strange = slab ^ (np.random.default_rng(0).random(slab.shape) < 0.5) & protected_by(desk, outcome.stack, plane)
    paint(desk, 0, strange)
    desk.propose(6)
    desk.accept(planes=[6])
    desk.propagate()
    protected = protected_by(desk, outcome.stack, plane)
    outcome = desk.accept()
    # The prompted axial plane is the user's word; on all others the oblique plane stands.
    elsewhere = np.ones(slab.shape, bool)
    elsewhere[6] = False
    assert np.array_equal(desk.mask()[protected & elsewhere], strange[protected & elsewhere])
    free = ~protected & elsewhere
    assert np.count_nonzero(desk.mask()[free] != ball()[free]) < 0.03 * ball().sum()
    assert any("accepted" in note for note in outcome.notes)


def protected_by(desk, stack, index):
    from SAMUNetSlicerLib.scene.actions.accepting import protected_voxels
    from SAMUNetSlicerLib.scene.record.document import PlaneKey

    key = PlaneKey("", desk.ids[0], stack.text, index)
    return protected_voxels(desk.space, [key], tuple(slice(0, n) for n in scenery.SHAPE))


def test_accepted_background_is_protected_too(mrml_scene):
    desk = Desk(mrml_scene)
    # The user says: nothing of the liver on this sagittal plane.
    desk.logic.keepAsIs(desk.segmentation, desk.ids[0], [14], orientation="sagittal")
    desk.propose(6, at=(12, 11))
    desk.propagate()
    desk.accept(planes=[7])
    assert not desk.mask()[7, :, 14].any()
    assert desk.mask()[7, :, 13].any()


def test_previews_on_crossing_planes_do_not_mix(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.propose(14, at=(6, 12), orientation="sagittal")
    desk.accept(orientation="axial")
    assert np.array_equal(desk.mask()[6], ball()[6])
    assert not np.delete(desk.mask(), 6, axis=0).any()


def test_finished_segments_are_never_written(mrml_scene):
    desk = Desk(mrml_scene, segments=("Liver", "Spleen"))
    right = np.zeros(scenery.SHAPE, bool)
    right[:, :, 14:] = True
    paint(desk, 1, right & ball())
    set_status(desk.segmentation, desk.ids[1], SegmentStatus.COMPLETED)
    desk.logic.setEditingRules(desk.segmentation, EditingRules(Overwrite.ALL))
    desk.propose(6)
    outcome = desk.accept()
    assert np.array_equal(desk.mask(1), right & ball())
    assert np.array_equal(desk.mask(0)[6], (ball() & ~right)[6])
    assert outcome.notes == (
        f"{(ball() & right)[6].sum()} voxels of 'Liver' were left out: they belong to finished segments.",
    )
    with pytest.raises(EditError, match="'Spleen' is finished"):
        desk.propose(6, number=1)
    set_status(desk.segmentation, desk.ids[0], SegmentStatus.FLAGGED)
    for refused in (lambda: desk.propose(7), desk.propagate, desk.accept):
        with pytest.raises(EditError, match="'Liver' is finished"):
            refused()
    assert len(desk.space.prompts.read(desk.ids[0]).points) == 1, "no prompt for plane 7 is left"


@pytest.mark.parametrize("overwrite", Overwrite)
def test_overwrite_modes(mrml_scene, overwrite):
    desk = Desk(mrml_scene, segments=("Liver", "Shown", "Hidden"))
    for number in (1, 2):
        paint(desk, number, ball())
    desk.segmentation.GetDisplayNode().SetSegmentVisibility(desk.ids[2], False)
    desk.logic.setEditingRules(desk.segmentation, EditingRules(overwrite))
    desk.propose(6)
    desk.accept()
    assert np.array_equal(desk.mask()[6], ball()[6])
    expected = {Overwrite.NONE: (True, True), Overwrite.VISIBLE: (False, True), Overwrite.ALL: (False, False)}
    assert (desk.mask(1)[6].any(), desk.mask(2)[6].any()) == expected[overwrite]
    for number in (1, 2):
        assert np.array_equal(np.delete(desk.mask(number), 6, axis=0), np.delete(ball(), 6, axis=0))


def test_the_editable_area_bounds_what_is_accepted(mrml_scene):
    desk = Desk(mrml_scene, segments=("Liver", "Box"))
    upper = np.zeros(scenery.SHAPE, bool)
    upper[:, 12:] = True
    paint(desk, 1, upper)
    desk.logic.setEditingRules(desk.segmentation, EditingRules(area=Area.INSIDE_SEGMENT, area_segment_id=desk.ids[1]))
    desk.propose(6)
    outcome = desk.accept()
    assert np.array_equal(desk.mask()[6], (ball() & upper)[6])
    assert "outside the editable area" in outcome.notes[0]


@pytest.mark.parametrize("orientation", ["axial", "sagittal"])
def test_a_plane_on_which_the_rules_let_nothing_be_written_stays_proposed(mrml_scene, orientation):
    """The others are accepted at once with it, and are written."""
    desk = Desk(mrml_scene, segments=("Liver", "Box"))
    planes = {"axial": (6, 7), "sagittal": (13, 14)}[orientation]
    shut, open_ = planes
    on_shut = {"axial": np.s_[shut], "sagittal": np.s_[:, :, shut]}[orientation]
    on_open = {"axial": np.s_[open_], "sagittal": np.s_[:, :, open_]}[orientation]
    area = np.ones(scenery.SHAPE, bool)
    area[on_shut] = False
    paint(desk, 1, area)
    desk.logic.setEditingRules(desk.segmentation, EditingRules(area=Area.INSIDE_SEGMENT, area_segment_id=desk.ids[1]))
    at = {"axial": (12, 14), "sagittal": (6, 12)}[orientation]
    for plane in planes:
        desk.propose(plane, at=at, orientation=orientation)
    outcome = desk.accept(orientation=orientation)
    assert outcome.planes == (open_,)
    assert np.array_equal(desk.mask()[on_open], ball()[on_open])
    assert not desk.mask()[on_shut].any()
    assert outcome.notes[0] == f"The editing rules let nothing be written on plane {shut}, which stays proposed."
    assert "outside the editable area" in outcome.notes[1]
    states = desk.logic.planeStates(desk.segmentation, desk.ids[0], orientation)
    assert (states[shut].status, states[open_].status) == (PlaneStatus.PROPOSED, PlaneStatus.ACCEPTED)
    (waiting,) = proposals(desk).values()
    assert np.array_equal(waiting[on_shut], ball()[on_shut])
    assert not waiting[on_open].any()
    # Once the rule is gone, it is accepted as any other.
    desk.logic.setEditingRules(desk.segmentation, EditingRules())
    assert desk.accept(orientation=orientation).planes == (shut,)
    assert np.array_equal(desk.mask()[on_shut], ball()[on_shut])


@pytest.mark.parametrize("area_segment", ["itself", "deleted"])
def test_an_area_that_is_no_other_segment_lets_nothing_be_written(mrml_scene, area_segment):
    desk = Desk(mrml_scene)
    desk.propose(6)
    held = desk.ids[0] if area_segment == "itself" else "deleted"
    desk.logic.setEditingRules(desk.segmentation, EditingRules(area=Area.INSIDE_SEGMENT, area_segment_id=held))
    steps = len(desk.space.history)
    outcome = desk.accept()
    assert (outcome.planes, outcome.changed_voxels) == ((), 0)
    assert "nothing be written" in outcome.notes[0]
    assert desk.statuses()[6] == "proposed"
    assert len(desk.space.history) == steps, "nothing was done that could be undone"


def test_the_intensity_range_bounds_what_is_accepted(mrml_scene):
    voxels = scenery.picture()
    voxels[6, 12, 14] = 150
    desk = Desk(mrml_scene, voxels)
    desk.logic.setEditingRules(desk.segmentation, EditingRules(intensity_range=(180, 220)))
    desk.propose(6, at=(12, 11))
    paint_over = desk.logic.segment(
        desk.volume, desk.segmentation, desk.ids[0], boxes=[box_around_plane(desk)], planes=[6]
    )
    assert paint_over.planes[0].mask_yx.any()
    desk.accept()
    assert not desk.mask()[6, 12, 14]
    assert desk.mask()[6].sum() >= ball()[6].sum() - 1


def box_around_plane(desk):
    from SAMUNetSlicerLib.volumes.prompts import BoxPrompt

    return BoxPrompt(tuple(desk.world((6, 12, 14))), (16.0, 16.0, 0.0))


def test_adding_to_and_taking_from_a_segment(mrml_scene):
    desk = Desk(mrml_scene)
    corner = np.zeros(scenery.SHAPE, bool)
    corner[6, :12] = True
    paint(desk, 0, corner)
    desk.propose(6)
    desk.accept(mode=WriteMode.ADD)
    assert np.array_equal(desk.mask(), corner | (ball() & (np.arange(12) == 6)[:, None, None]))
    desk.propose(6)
    desk.accept(mode=WriteMode.SUBTRACT)
    assert np.array_equal(desk.mask(), corner & ~ball())


def test_some_planes_are_accepted_and_others_discarded(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.propagate()
    assert desk.accept(planes=range(7, 9)).planes == (7, 8)
    assert desk.logic.discard(desk.segmentation, desk.ids[0], planes=[5]) == 1
    assert desk.statuses()[4:9] == ["proposed", "empty", "accepted", "accepted", "accepted"]
    assert not desk.mask()[5].any()
    desk.logic.discard(desk.segmentation, desk.ids[0])
    assert set(desk.statuses()) == {"accepted", "empty"}
    with pytest.raises(EditError, match="nothing to accept"):
        desk.accept()


def test_planes_are_reopened(mrml_scene):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    assert desk.logic.reopen(desk.segmentation, desk.ids[0], [6]) == 1
    assert desk.statuses()[6] == "empty"
    assert desk.mask()[6].any()


def test_a_result_saved_by_itself_holds_no_proposals_but_says_how_it_came_to_be(mrml_scene, mrml_host, tmp_path):
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.propagate()
    path = tmp_path / "result.seg.nrrd"
    mrml_host.save(desk.segmentation, path)
    provenance = read_provenance(path)
    assert list(provenance) == ["Liver"]
    assert (provenance["Liver"].model_family, provenance["Liver"].model_sha256) == ("bright_region", "ab" * 32)
    assert [(p.index, p.confidence) for p in provenance["Liver"].planes] == [(6, 0.9)]
    assert len(provenance["Liver"].points) == 1
    assert provenance["Liver"].frame is None
    loaded = mrml_host.load_segmentation(path)
    assert segment_ids(loaded) == tuple(desk.ids)


def test_provenance_names_each_stack_and_goes_with_an_undo(mrml_scene):
    from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import get_tag, tags_like
    from SAMUNetSlicerLib.volumes.segmentations.provenance import PROVENANCE_TAG, provenance_of

    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.propose(14, at=(6, 12), orientation="sagittal")
    desk.accept(orientation="sagittal")
    tags = {tag: get_tag(desk.segmentation, desk.ids[0], tag) for tag in (PROVENANCE_TAG, f"{PROVENANCE_TAG}.2")}
    found = [provenance_of({PROVENANCE_TAG: text}) for text in tags.values()]
    assert {p.orientation for p in found} == {"axial", "sagittal"}
    desk.logic.undo(desk.segmentation)
    desk.logic.undo(desk.segmentation)
    assert tags_like(desk.segmentation, desk.ids[0], PROVENANCE_TAG) == {PROVENANCE_TAG}


def test_undo_leaves_what_other_segments_say_of_their_making(mrml_scene):
    from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import get_tag
    from SAMUNetSlicerLib.volumes.segmentations.provenance import PROVENANCE_TAG
    from SAMUNetSlicerLib.volumes.windows import Window

    desk = Desk(mrml_scene, segments=("Liver", "Spleen"))
    desk.propose(6)
    desk.accept()
    said = get_tag(desk.segmentation, desk.ids[0], PROVENANCE_TAG)
    desk.logic.setWindow(desk.segmentation, Window(-10.0, 250.0))
    desk.propose(5, number=1)
    desk.accept(1)
    desk.logic.undo(desk.segmentation)
    assert get_tag(desk.segmentation, desk.ids[0], PROVENANCE_TAG) == said
    assert get_tag(desk.segmentation, desk.ids[1], PROVENANCE_TAG) is None


def test_prompts_outside_the_volume_are_refused_before_anything_is_kept(mrml_scene):
    desk = Desk(mrml_scene)
    with pytest.raises(PromptError, match="outside the volume"):
        desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0], points=[(500, 500, 500)])
    assert not desk.space.prompts.read(desk.ids[0])
    with pytest.raises(PromptError, match="no prompt"):
        desk.logic.segment(desk.volume, desk.segmentation, desk.ids[0])
