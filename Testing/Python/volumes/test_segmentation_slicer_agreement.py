"""Our segmentation files in Slicer's own MRML, and its files in ours."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_grids import grid_geometries
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, PointPrompt, SegmentPrompts, Sign
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneRecord, Provenance, read_provenance
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import read_segmentation, write_segmentation
from SAMUNetSlicerLib.volumes.segmentations.segments import TERMINOLOGY_TAG, Segment, named_segments

pytestmark = pytest.mark.usefixtures("mrml_scene")

PROVENANCE = Provenance("sam_unet_tiny", "0" * 64, "abdomen: -160:240; a|b", "axial", planes=(PlaneRecord(3, 0.5),)).of(
    SegmentPrompts("liver", (PointPrompt((1, 2, 3), Sign.NEGATIVE),), (BoxPrompt((1, 2, 3), (4, 5, 6)),))
)


# Slicer takes one single voxel for "no image".
SLICERS_GRIDS = grid_geometries(longest_side=5).filter(lambda grid: grid.shape_kji != (1, 1, 1))


def oblique_grid() -> GridGeometry:
    axes, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = axes * [0.7, 1.3, 4]
    matrix[:3, 3] = [10, -20, 33.3]
    return GridGeometry((6, 7, 8), matrix)


def overlapping_segments(grid: GridGeometry) -> list[Segment]:
    masks = {name: np.zeros(grid.shape_kji, dtype=bool) for name in ("liver", "Tumeur é | : ;", "left kidney", "empty")}
    masks["liver"][1:4, 2:5, 3:7] = True
    masks["Tumeur é | : ;"][2, 3, 4:8] = True
    masks["left kidney"][5, :2, :] = True
    segments = named_segments(masks)
    return [replace(segments[0], tags={"Segmentation.Status": "inprogress", "note": "a:b; c"}), *segments[1:]]


def voxels_in_slicer(segment, grid: GridGeometry) -> np.ndarray:
    """(K, J, I) bool on `grid` of a vtkSegment, each voxel looked up by its RAS position."""
    from vtk.util.numpy_support import vtk_to_numpy

    labelmap = segment.GetRepresentation("Binary labelmap")
    i0, i1, j0, j1, k0, k1 = labelmap.GetExtent()
    found = np.zeros(grid.shape_kji, dtype=bool)
    if i1 < i0:
        return found
    shape = (k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    labels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape)
    image_to_ras = matrix_of(labelmap)
    for k, j, i in np.argwhere(labels == segment.GetLabelValue()):
        ijk = grid.to_ijk((image_to_ras @ [i + i0, j + j0, k + k0, 1])[:3])
        assert np.allclose(ijk, np.round(ijk), atol=1e-6)
        found[tuple(np.round(ijk).astype(int)[::-1])] = True
    return found


def matrix_of(oriented_image) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    oriented_image.GetImageToWorldMatrix(matrix)
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def tags_in_slicer(segment) -> dict[str, str]:
    found = {}
    for key in ("Segmentation.Status", "note", TERMINOLOGY_TAG, "SAMUNetSlicer.Provenance"):
        value = segment_tag(segment, key)
        if value is not None:
            found[key] = value
    return found


def segment_tag(segment, key: str) -> str | None:
    import vtk

    value = vtk.reference("")
    return str(value) if segment.GetTag(key, value) else None


def slicer_segments(node) -> list:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]


def assert_same_in_slicer(node, grid: GridGeometry, segments: list[Segment]) -> None:
    loaded = slicer_segments(node)
    assert [s.GetName() for s in loaded] == [s.name for s in segments]
    for ours, theirs in zip(segments, loaded, strict=True):
        assert np.array_equal(voxels_in_slicer(theirs, grid), ours.mask_kji), ours.name
        assert theirs.GetColor() == pytest.approx(ours.colour_rgb, abs=1e-5)
        assert segment_tag(theirs, TERMINOLOGY_TAG) == ours.terminology


def test_slicer_opens_the_same_segments(mrml_host, tmp_path):
    grid = oblique_grid()
    segments = overlapping_segments(grid)
    write_segmentation(tmp_path / "a.seg.nrrd", grid, segments)
    node = mrml_host.load_segmentation(tmp_path / "a.seg.nrrd")
    assert_same_in_slicer(node, grid, segments)
    assert segment_tag(slicer_segments(node)[0], "Segmentation.Status") == "inprogress"
    assert segment_tag(slicer_segments(node)[0], "note") == "a:b; c"
    assert node.GetSegmentation().GetNumberOfLayers() == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=SLICERS_GRIDS, seed=st.integers(0, 2**32 - 1))
def test_slicer_opens_the_same_voxels_on_any_grid(mrml_host, tmp_path, grid, seed):
    mrml_host.clear()
    random = np.random.default_rng(seed)
    masks = {f"s{n}": random.random(grid.shape_kji) < random.choice([0, 0.05, 0.4, 1]) for n in range(4)}
    segments = named_segments(masks)
    write_segmentation(tmp_path / "a.seg.nrrd", grid, segments)
    assert_same_in_slicer(mrml_host.load_segmentation(tmp_path / "a.seg.nrrd"), grid, segments)


def test_slicer_takes_the_volumes_grid_as_reference_geometry(mrml_host, tmp_path):
    import slicer

    grid = oblique_grid()
    write_segmentation(tmp_path / "a.seg.nrrd", grid, overlapping_segments(grid))
    node = mrml_host.load_segmentation(tmp_path / "a.seg.nrrd")
    text = node.GetSegmentation().GetConversionParameter("Reference image geometry")
    reference = slicer.vtkOrientedImageData()
    slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, reference, False)
    assert reference.GetExtent() == (0, 7, 0, 6, 0, 5)
    assert np.allclose(matrix_of(reference), grid.ijk_to_ras, atol=1e-9)


def test_slicers_terminology_understands_every_entry(mrml_host, tmp_path):
    import slicer

    grid = oblique_grid()
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    for segment in overlapping_segments(grid):
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(segment.terminology, entry)
        assert logic.SerializeTerminologyEntry(entry) == segment.terminology
        expected = {"left kidney": "Kidney", "liver": "Liver"}.get(segment.name, "Tissue")
        assert entry.GetTypeObject().GetCodeMeaning() == expected


def test_everything_survives_slicers_load_and_save_twice(mrml_host, tmp_path):
    grid = oblique_grid()
    segments = overlapping_segments(grid)
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, grid, segments, {"liver": PROVENANCE})
    for name in ("b.seg.nrrd", "c.seg.nrrd"):
        node = mrml_host.load_segmentation(path)
        path = tmp_path / name
        mrml_host.save(node, path)
    geometry, found = read_segmentation(path)
    assert geometry.matches(grid, tolerance_mm=1e-9)
    assert read_provenance(path) == {"liver": PROVENANCE}
    for ours, theirs in zip(segments, found, strict=True):
        assert theirs.name == ours.name
        assert np.array_equal(theirs.mask_kji, ours.mask_kji)
        assert theirs.colour_rgb == pytest.approx(ours.colour_rgb, abs=1e-5)
        assert theirs.terminology == ours.terminology
        assert {**theirs.tags, **ours.tags} == theirs.tags


def test_provenance_survives_a_saved_scene(mrml_host, mrml_scene, tmp_path):
    grid = oblique_grid()
    write_segmentation(tmp_path / "a.seg.nrrd", grid, overlapping_segments(grid), {"liver": PROVENANCE})
    before = tags_in_slicer(slicer_segments(mrml_host.load_segmentation(tmp_path / "a.seg.nrrd"))[0])
    assert "SAMUNetSlicer.Provenance" in before
    assert mrml_scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    mrml_host.clear()
    assert mrml_scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    node = mrml_scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert tags_in_slicer(slicer_segments(node)[0]) == before


@pytest.mark.parametrize("crop", [0, 1])
def test_a_file_that_slicer_made_is_read(mrml_host, mrml_scene, tmp_path, crop):
    """crop: Slicer may save the smallest box that holds all segments; the grid read is then that box."""
    grid = oblique_grid()
    segments = overlapping_segments(grid)[:3]
    node = slicer_segmentation(mrml_scene, grid, segments)
    mrml_host.save(node, tmp_path / "a.seg.nrrd", SetCropToMinimumExtent=crop)
    geometry, found = read_segmentation(tmp_path / "a.seg.nrrd")
    assert (geometry.shape_kji != grid.shape_kji) == bool(crop)
    for ours, theirs in zip(segments, found, strict=True):
        assert theirs.name == ours.name
        assert theirs.colour_rgb == pytest.approx(ours.colour_rgb, abs=1e-5)
        there = np.round(grid.to_ijk(geometry.to_ras(np.argwhere(theirs.mask_kji)[:, ::-1]))).astype(int)
        assert {tuple(v) for v in there[:, ::-1]} == {tuple(v) for v in np.argwhere(ours.mask_kji)}


def slicer_segmentation(scene, grid: GridGeometry, segments: list[Segment]):
    """A segmentation node made by Slicer alone, from the voxels."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, grid.ijk_to_ras[row, column])
    for segment in segments:
        labelmap = slicer.vtkOrientedImageData()
        labelmap.SetDimensions(*(int(n) for n in grid.size_ijk))
        labelmap.SetImageToWorldMatrix(matrix)
        labelmap.GetPointData().SetScalars(numpy_to_vtk(segment.mask_kji.astype(np.uint8).ravel(), deep=True))
        if not node.GetSegmentation().GetConversionParameter("Reference image geometry"):
            text = slicer.vtkSegmentationConverter.SerializeImageGeometry(labelmap)
            node.GetSegmentation().SetConversionParameter("Reference image geometry", text)
        node.AddSegmentFromBinaryLabelmapRepresentation(labelmap, segment.name, segment.colour_rgb)
    return node
