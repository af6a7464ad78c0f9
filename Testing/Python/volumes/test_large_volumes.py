"""A volume that hardly fits into memory is not copied: a small one on the disk stands in for it."""

import math
import tracemalloc

import numpy as np
import pytest

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.encoding.cache import EmbeddingCache
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.jobs.segmentation_job import SegmentationJob
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, SegmentPrompts
from SAMUNetSlicerLib.volumes.sampling import sample_plane
from SAMUNetSlicerLib.volumes.segmentations.segmentation_file import count_segments, write_segmentation
from SAMUNetSlicerLib.volumes.segmentations.segments import named_segments
from SAMUNetSlicerLib.volumes.time_source import FramePlanes
from SAMUNetSlicerLib.volumes.volume import Modality, Volume
from SAMUNetSlicerLib.volumes.windows import Window

SHAPE = (160, 256, 256)  # K, J, I


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """A bright column through all slices, as a memory-mapped file, whose pages tracemalloc does not count."""
    voxels = np.memmap(tmp_path_factory.mktemp("large") / "voxels", np.int16, "w+", shape=SHAPE)
    voxels[:, 100:150, 100:150] = 900
    voxels.flush()
    return voxels


def peak_bytes(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("orientation", list(Orientation))
def test_planes_are_cut_on_demand(on_disk, orientation):
    def cut():
        volume = Volume(on_disk, GridGeometry(SHAPE, np.eye(4)), Modality.CT)
        planes = VolumePlanes(volume, PlaneStack(volume.geometry, orientation), Window(0, 1000))
        for index in range(len(planes)):
            planes.image(index)

    assert peak_bytes(cut) < on_disk.nbytes / 3


def test_a_whole_job_holds_no_copy_beside_its_result(on_disk):
    volume = Volume(on_disk, GridGeometry(SHAPE, np.eye(4)), Modality.CT)
    planes = VolumePlanes(volume, PlaneStack(volume.geometry, Orientation.AXIAL), Window(0, 1000))
    predictor = PlanePredictor(BrightRegionNetwork(), cache=EmbeddingCache(2**20))
    job = SegmentationJob(planes, predictor)
    centre = tuple(volume.geometry.to_ras(np.array([124.5, 124.5, 80.0])))
    prompts = [SegmentPrompts("column", boxes=(BoxPrompt(centre, (52.0, 52.0, 1.0)),))]
    peak = peak_bytes(lambda: [*job.run(prompts)])
    result = job.results["column"].mask_kji
    assert result.sum() > 0.9 * SHAPE[0] * 50 * 50
    assert peak - result.nbytes < on_disk.nbytes / 2, "a copy in 8 bits alone would take as much"


@pytest.mark.parametrize("orientation", list(Orientation))
def test_a_plane_of_the_grid_is_cut_without_looking_for_the_darkest_voxel_of_all(on_disk, monkeypatch, orientation):
    monkeypatch.setattr(Volume, "intensity_range", None)
    volume = Volume(on_disk, GridGeometry(SHAPE, np.eye(4)), Modality.CT)
    assert sample_plane(volume, PlaneStack(volume.geometry, orientation)[120]).max() == 900


def test_a_picture_is_named_by_its_own_content_rather_than_by_the_whole_volume(on_disk, monkeypatch):
    """To hash a large volume takes seconds, in which the window would stand still."""
    monkeypatch.setattr(Volume, "fingerprint_in_steps", None)
    volume = Volume(on_disk, GridGeometry(SHAPE, np.eye(4)), Modality.CT)
    stack = PlaneStack(volume.geometry, Orientation.AXIAL)
    planes, again = (VolumePlanes(volume, stack, Window(0, 1000)) for _ in range(2))
    other = VolumePlanes(volume, stack, Window(0, 900))
    assert planes.image(80).key == again.image(80).key
    assert planes.image(80).key != other.image(80).key
    moved = FramePlanes(lambda _frame: volume, 2, stack[80], Window(0, 1000))
    assert moved.image(1).key == planes.image(80).key


def test_segments_of_a_file_are_counted_without_their_masks(tmp_path):
    geometry = GridGeometry((20, 100, 100), np.eye(4))
    masks = {f"Segment {n}": np.zeros(geometry.shape_kji, dtype=bool) for n in range(12)}
    for n, mask in enumerate(masks.values()):
        mask[n, 10:20, : n + 1] = True
    path = tmp_path / "many.seg.nrrd"
    write_segmentation(path, geometry, named_segments(masks))
    counts = []

    def count():
        counts.extend(voxels for _, voxels in count_segments(path)[1])

    count()  # whatever is loaded or made once
    counts.clear()
    assert peak_bytes(count) < math.prod(geometry.shape_kji)
    assert counts == [10 * (n + 1) for n in range(12)]
