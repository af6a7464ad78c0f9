import numpy as np
import pytest

from example_grids import random_geometry, sphere
from fakes import QUALITY, BrightRegionNetwork
from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.networks.base import PromptKind
from SAMUNetSlicerLib.volumes.jobs.results import result_provenance, result_segments
from SAMUNetSlicerLib.volumes.jobs.segmentation_job import SegmentationJob
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.prompts import BoxPrompt, PointPrompt, SegmentPrompts, Sign
from SAMUNetSlicerLib.volumes.propagation.steps import Direction, PlaneRange
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin
from SAMUNetSlicerLib.volumes.windows import Window

RADIUS_MM = 11.0


@pytest.fixture(params=[3, 8])
def case(request):
    """A bright ball in a volume of random, oblique and anisotropic grid: (volume, centre, truth)."""
    geometry = random_geometry(request.param)
    centre = geometry.to_ras((geometry.size_ijk - 1) / 2)
    volume = sphere(geometry, centre, RADIUS_MM)
    return volume, centre, volume.voxels > 0


def job_for(volume, orientation=Orientation.AXIAL, network=None, **options):
    planes = VolumePlanes(volume, PlaneStack(volume.geometry, orientation), Window(-1, 1))
    return SegmentationJob(planes, PlanePredictor(network or BrightRegionNetwork()), **options)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("orientation", list(Orientation))
def test_one_point_segments_a_ball_in_any_orientation(case, orientation):
    volume, centre, truth = case
    job = job_for(volume, orientation)
    list(job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))]))
    assert dice(job.results["ball"].mask_kji, truth) > 0.9


def test_a_box_does_the_same_for_a_boxes_only_model(case):
    volume, centre, truth = case
    job = job_for(volume, network=BrightRegionNetwork(PromptKind.BOX))
    box = BoxPrompt(tuple(centre), (2.2 * RADIUS_MM,) * 3)
    list(job.run([SegmentPrompts("ball", boxes=(box,))]))
    assert dice(job.results["ball"].mask_kji, truth) > 0.9


def test_without_propagation_only_the_prompted_plane_is_written(case):
    volume, centre, _ = case
    job = job_for(volume, direction=Direction.NONE)
    steps = list(job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))]))
    assert len(steps) == 1
    (index,) = job.results["ball"].planes
    stack = job.planes.stack
    written = np.unique(np.argwhere(job.results["ball"].mask_kji)[:, 2 - stack.axis])
    assert written.tolist() == [index]


def test_the_range_is_kept(case):
    volume, centre, _ = case
    middle = round(PlaneStack(volume.geometry, Orientation.AXIAL).index_of(centre))
    job = job_for(volume, within=PlaneRange(middle - 1, middle + 1))
    list(job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))]))
    assert set(job.results["ball"].planes) == {middle - 1, middle, middle + 1}


@pytest.mark.parametrize("direction", [Direction.BOTH, Direction.UP])
def test_a_range_past_the_last_plane_ends_there(case, direction):
    volume, centre, _ = case
    job = job_for(volume, direction=direction)
    middle = round(job.planes.stack.index_of(centre))
    job.within = PlaneRange(middle, len(job.planes) + 30)
    steps = list(job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))]))
    assert steps[-1].total == len(job.planes) - middle
    assert len(job.results["ball"].planes) > 2
    assert min(job.results["ball"].planes) == middle


@pytest.mark.parametrize(
    ("first", "last", "direction"),
    [(3, 4, Direction.BOTH), (-4, -2, Direction.BOTH), (100, 110, Direction.BOTH), (1, 2, Direction.DOWN)],
)
def test_a_range_that_no_prompt_leads_into_is_refused_before_any_work(case, first, last, direction):
    volume, centre, _ = case
    job = job_for(volume, direction=direction)
    middle = round(job.planes.stack.index_of(centre))
    job.within = PlaneRange(middle + first, middle + last)
    with pytest.raises(PromptError, match=f"'ball' .plane {middle}. no plane of the range {middle + first}:"):
        list(job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))]))
    assert job.predictor.network.encoded == 0


def test_a_range_beside_the_prompted_plane_is_entered(case):
    volume, centre, _ = case
    job = job_for(volume)
    middle = round(job.planes.stack.index_of(centre))
    job.within = PlaneRange(middle + 1, middle + 2)
    list(job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))]))
    assert set(job.results["ball"].planes) == {middle, middle + 1, middle + 2}


def test_leaving_early_keeps_what_is_finished(case):
    volume, centre, truth = case
    job = job_for(volume)
    steps = job.run([SegmentPrompts("ball", points=(PointPrompt(tuple(centre)),))])
    for _ in range(3):
        next(steps)
    steps.close()
    result = job.results["ball"]
    assert len(result.planes) == 3
    assert 0 < result.mask_kji.sum() < truth.sum()


def test_two_segments_and_their_records(case):
    volume, centre, _ = case
    prompts = [
        SegmentPrompts("a", points=(PointPrompt(tuple(centre)),)),
        SegmentPrompts("b", boxes=(BoxPrompt(tuple(centre), (2.2 * RADIUS_MM,) * 3),)),
    ]
    job = job_for(volume)
    steps = list(job.run(prompts))
    assert steps[-1].done <= steps[-1].total
    segments = result_segments(job.results)
    assert [s.name for s in segments] == ["a", "b"]
    provenance = result_provenance(job, "bright_region", "0" * 64)
    records = provenance["a"].planes
    np.testing.assert_allclose(provenance["a"].points[0].position_ras, centre, atol=1e-5)
    assert [r.index for r in records] == sorted(r.index for r in records)
    origins = [r.origin for r in records]
    assert origins.count(PlaneOrigin.PROMPTED) == 1
    assert next(r for r in records if r.origin is PlaneOrigin.PROMPTED).confidence == pytest.approx(QUALITY)


def test_prompts_outside_the_volume_are_refused_before_any_work(case):
    volume, centre, _ = case
    job = job_for(volume)
    far = PointPrompt(tuple(centre + 1000))
    with pytest.raises(PromptError, match="outside the volume"):
        list(job.run([SegmentPrompts("x", points=(far,))]))
    assert job.predictor.network.encoded == 0


def test_prompts_that_the_model_cannot_use_are_refused_before_any_work(case):
    volume, centre, _ = case
    job = job_for(volume, network=BrightRegionNetwork(PromptKind.BOX))
    prompts = [
        SegmentPrompts("a", boxes=(BoxPrompt(tuple(centre), (2.2 * RADIUS_MM,) * 3),)),
        SegmentPrompts("b", points=(PointPrompt(tuple(centre)),)),
    ]
    with pytest.raises(PromptError, match="Segment 'b': .* knows boxes only"):
        list(job.run(prompts))
    assert job.predictor.network.encoded == 0


def test_no_prompts_at_all_are_refused(case):
    with pytest.raises(PromptError, match="no prompts"):
        list(job_for(case[0]).run([]))


def test_a_negative_point_alone_is_refused(case):
    volume, centre, _ = case
    with pytest.raises(PromptError):
        list(job_for(volume).run([SegmentPrompts("x", points=(PointPrompt(tuple(centre), Sign.NEGATIVE),))]))
