"""Voxels of segments in Slicer's layers: exactly what was asked for changes, and nothing else."""

import numpy as np
import pytest
import scenery

from SAMUNetSlicerLib.errors import EditError
from SAMUNetSlicerLib.scene.nodes.labelmaps import SegmentChange, extent_block, read_mask, read_voxels, write_changes
from SAMUNetSlicerLib.scene.nodes.names import ROLE_RESULT
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import add_segment, create_segmentation
from SAMUNetSlicerLib.volumes.planes import ObliqueStack, Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.sampling import mask_to_voxels, voxels_of_plane

SHAPE = (10, 11, 12)


@pytest.fixture
def volume(mrml_scene):
    matrix = scenery.ijk_to_ras((0.8, 0.9, 2.5), scenery.rigid(3)[:3, :3])
    return scenery.volume_node(mrml_scene, np.zeros(SHAPE, np.int16), matrix)


@pytest.fixture
def segmentation(mrml_scene, volume):
    node = create_segmentation(mrml_scene, volume, "Segmentation", ROLE_RESULT)
    for name in "abc":
        add_segment(node, name, segment_id=name)
    return node


def put(segmentation, segment_id, geometry, voxels, wanted, also=()):
    before = read_voxels(segmentation, segment_id, geometry, voxels)
    write_changes(
        segmentation, [SegmentChange(segment_id, voxels, wanted & ~before, before & ~wanted), *also], geometry
    )


def random_plane(chance, geometry, stacks):
    """A plane of any direction and a random mask on its voxels."""
    if chance.random() < 0.6:
        stack = stacks[chance.integers(len(stacks))]
    else:
        centre = geometry.to_ras((geometry.size_ijk - 1) / 2)
        view = scenery.slice_to_ras(chance.normal(size=3), centre, up=chance.normal(size=3))
        stack = ObliqueStack(view, geometry)
    plane = stack[int(chance.integers(len(stack)))]
    mask = chance.random(plane.shape_yx) < chance.choice([0.0, 0.3, 0.7, 1.0])
    return mask_to_voxels(mask, plane, geometry)


@pytest.mark.parametrize("surface", ["no surface", "surface"])
def test_five_hundred_random_planes_agree_with_plain_arrays(mrml_scene, volume, segmentation, surface):
    """Grid and oblique planes, written into one of three overlapping segments; sometimes they are taken from others."""
    chance = np.random.default_rng(7)
    geometry = local_geometry(volume)
    stacks = [PlaneStack(geometry, orientation) for orientation in Orientation]
    model = {name: np.zeros(SHAPE, bool) for name in "abc"}
    if surface == "surface":
        corner = (slice(0, 2),) * 3
        put(segmentation, "a", geometry, corner, np.ones((2, 2, 2), bool))
        model["a"][corner] = True
        segmentation.CreateClosedSurfaceRepresentation()
    for number in range(500 if surface == "no surface" else 60):
        name = "abc"[chance.integers(3)]
        marked = random_plane(chance, geometry, stacks)
        voxels, wanted = marked.voxels, marked.mask
        also = []
        if chance.random() < 0.4:
            for other in set("abc") - {name}:
                lost = model[other][voxels] & wanted
                also.append(SegmentChange(other, voxels, np.zeros_like(lost), lost))
                model[other][voxels] &= ~wanted
        model[name][voxels] = wanted
        put(segmentation, name, geometry, voxels, wanted, also)
        for other, expected in model.items():
            assert np.array_equal(read_mask(segmentation, other, geometry), expected), (number, name, other)
        if surface == "surface":
            for other, expected in model.items():
                points = scenery.closed_surface_points(segmentation, other)
                assert points is not None
                assert (points > 0) == expected.any()
    for name, expected in model.items():
        assert np.array_equal(scenery.exported_by_slicer(mrml_scene, segmentation, name, volume), expected)


@pytest.mark.parametrize("surface", ["no surface", "surface"])
def test_all_planes_of_an_oblique_stack_in_one_write(volume, segmentation, surface):
    """Two segments swap what they hold, plane by plane, among the voxels of a third in the same layer."""
    chance = np.random.default_rng(11)
    geometry = local_geometry(volume)
    labels = chance.integers(0, 4, SHAPE)
    whole = tuple(slice(0, n) for n in SHAPE)
    for number, name in enumerate("abc", 1):
        put(segmentation, name, geometry, whole, labels == number)
    if surface == "surface":
        segmentation.CreateClosedSurfaceRepresentation()
    stack = ObliqueStack(scenery.slice_to_ras((1, 2, 3), geometry.to_ras((5, 5, 4))), geometry)
    changes = []
    for plane in stack:
        voxels = voxels_of_plane(plane, geometry)
        first, second = (read_voxels(segmentation, name, geometry, voxels) for name in "ab")
        changes += [SegmentChange("a", voxels, second, first), SegmentChange("b", voxels, first, second)]
    write_changes(segmentation, changes, geometry)
    for number, name in ((2, "a"), (1, "b"), (3, "c")):
        assert np.array_equal(read_mask(segmentation, name, geometry), labels == number)
        if surface == "surface":
            assert scenery.closed_surface_points(segmentation, name)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1


def test_segments_that_do_not_overlap_go_on_sharing_a_layer(volume, segmentation):
    geometry = local_geometry(volume)
    for number, name in enumerate("abc"):
        slices = (slice(number, number + 1), slice(0, 5), slice(0, 5))
        put(segmentation, name, geometry, slices, np.ones((1, 5, 5), bool))
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    slices = (slice(0, 3), slice(0, 5), slice(0, 5))
    nothing, lost = np.zeros((3, 5, 5), bool), read_voxels(segmentation, "a", geometry, slices)
    # Passed on in one call, voxels never overlap.
    write_changes(
        segmentation, [SegmentChange("b", slices, lost, nothing), SegmentChange("a", slices, nothing, lost)], geometry
    )
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    put(segmentation, "c", geometry, slices, np.ones((3, 5, 5), bool))
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 2
    assert [read_mask(segmentation, name, geometry).sum() for name in "abc"] == [0, 50, 75]


def test_observers_hear_of_a_write_and_of_nothing_else(volume, segmentation):
    import slicer

    geometry = local_geometry(volume)
    heard = []
    segmentation.GetSegmentation().AddObserver(
        slicer.vtkSegmentation.SourceRepresentationModified, lambda *_: heard.append(1)
    )
    slices = (slice(0, 1),) * 3
    put(segmentation, "a", geometry, slices, np.ones((1, 1, 1), bool))
    assert heard
    heard.clear()
    put(segmentation, "a", geometry, slices, np.ones((1, 1, 1), bool))
    assert not heard, "nothing has changed"


def test_the_surface_of_another_segment_is_not_made_anew(volume, segmentation):
    geometry = local_geometry(volume)
    for name, start in (("a", 0), ("b", 5)):
        put(segmentation, name, geometry, (slice(start, start + 3),) * 3, np.ones((3, 3, 3), bool))
    segmentation.CreateClosedSurfaceRepresentation()
    other = segmentation.GetClosedSurfaceInternalRepresentation("b")
    stamp = other.GetMTime()
    put(segmentation, "a", geometry, (slice(0, 1), slice(0, 3), slice(0, 3)), np.zeros((1, 3, 3), bool))
    assert segmentation.GetClosedSurfaceInternalRepresentation("b") is other
    assert other.GetMTime() == stamp
    bounds = segmentation.GetClosedSurfaceInternalRepresentation("a").GetBounds()
    put(segmentation, "a", geometry, (slice(1, 3),) * 3, np.zeros((2, 2, 2), bool))
    assert segmentation.GetClosedSurfaceInternalRepresentation("a").GetBounds() != bounds


def test_a_segment_emptied_with_a_surface_leaves_none_behind(volume, segmentation):
    geometry = local_geometry(volume)
    put(segmentation, "a", geometry, (slice(0, 3),) * 3, np.ones((3, 3, 3), bool))
    segmentation.CreateClosedSurfaceRepresentation()
    put(segmentation, "a", geometry, (slice(0, 3),) * 3, np.zeros((3, 3, 3), bool))
    assert not read_mask(segmentation, "a", geometry).any()
    assert scenery.closed_surface_points(segmentation, "a") in (0, None)


def test_a_block_outside_the_volume_is_refused_before_anything_is_written(volume, segmentation):
    geometry = local_geometry(volume)
    inside, outside = (slice(0, 1),) * 3, (slice(9, 11), slice(0, 1), slice(0, 1))
    scattered = (np.array([9, 10]), np.array([0, 0]), np.array([0, 3]))
    for voxels, shape in ((outside, (2, 1, 1)), (scattered, (2,))):
        changes = [
            SegmentChange("a", inside, np.ones((1, 1, 1), bool), np.zeros((1, 1, 1), bool)),
            SegmentChange("b", voxels, np.ones(shape, bool), np.zeros(shape, bool)),
        ]
        with pytest.raises(EditError, match="outside the volume"):
            write_changes(segmentation, changes, geometry)
        assert not read_mask(segmentation, "a", geometry).any()


def test_another_grid_is_refused(mrml_scene, volume, segmentation):
    geometry = local_geometry(volume)
    put(segmentation, "a", geometry, (slice(0, 3),) * 3, np.ones((3, 3, 3), bool))
    other = scenery.volume_node(mrml_scene, np.zeros(SHAPE, np.int16), scenery.ijk_to_ras((1.0, 1.0, 1.0)))
    with pytest.raises(EditError, match="another grid"):
        read_mask(segmentation, "a", local_geometry(other))


def test_a_grid_shifted_by_whole_voxels_is_the_same_grid(mrml_scene, volume, segmentation):
    """Slicer crops labelmaps and may give the crop an origin of its own."""
    import slicer

    geometry = local_geometry(volume)
    block = (slice(2, 6), slice(3, 7), slice(4, 9))
    put(segmentation, "a", geometry, block, np.ones((4, 4, 5), bool))
    labelmap = segmentation.GetBinaryLabelmapInternalRepresentation("a")
    shifted = slicer.vtkOrientedImageData()
    shifted.DeepCopy(labelmap)
    i, _, j, _, k, _ = labelmap.GetExtent()
    shifted.SetExtent(*(n - s for n, s in zip(labelmap.GetExtent(), (i, i, j, j, k, k), strict=True)))
    shifted.SetOrigin(*geometry.to_ras([i, j, k]))
    labelmap.ShallowCopy(shifted)
    assert extent_block(segmentation, "a", geometry) == block
    expected = read_mask(segmentation, "a", geometry)
    assert expected.sum() == 80
    whole = tuple(slice(0, n) for n in SHAPE)
    expected[0, 0, 0] = True
    put(segmentation, "a", geometry, whole, expected)
    assert np.array_equal(scenery.exported_by_slicer(mrml_scene, segmentation, "a", volume), expected)


def test_more_than_255_segments_in_one_layer(volume, segmentation):
    geometry = local_geometry(volume)
    names = [f"s{n}" for n in range(300)]
    for number, name in enumerate(names):
        add_segment(segmentation, name, (0.5, 0.5, 0.5), name)
        k, j, i = np.unravel_index(number, SHAPE)
        put(segmentation, name, geometry, tuple(slice(n, n + 1) for n in (k, j, i)), np.ones((1, 1, 1), bool))
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    for number, name in enumerate(names):
        assert np.flatnonzero(read_mask(segmentation, name, geometry)).tolist() == [number]


def test_a_missing_segment_and_a_surface_as_source_are_refused(volume, segmentation):
    geometry = local_geometry(volume)
    with pytest.raises(EditError, match="no longer"):
        read_mask(segmentation, "gone", geometry)
    put(segmentation, "a", geometry, (slice(0, 3),) * 3, np.ones((3, 3, 3), bool))
    segmentation.CreateClosedSurfaceRepresentation()
    segmentation.SetSourceRepresentationToClosedSurface()
    with pytest.raises(EditError, match="binary labelmap"):
        read_mask(segmentation, "a", geometry)
