"""What only a real graphics card can show; `test_card_jobs` and `test_memory_ladder` simulate the same without one."""

import numpy as np
import pytest
import torch

from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.inference.encoding.encoders import Precision
from SAMUNetSlicerLib.inference.mask_geometry import dice
from SAMUNetSlicerLib.inference.notes import ON_THE_PROCESSOR
from SAMUNetSlicerLib.inference.opening import open_predictor
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlaneRequest
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, Sign

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")

CARD = torch.device("cuda")
SIDE = 384
BOX = (100.0, 120.0, 220.0, 230.0)
PROMPTS = {
    "box": PlanePrompts(box_xyxy=BOX),
    "points": PlanePrompts(points_xy=((160.0, 175.0), (300.0, 40.0)), signs=(Sign.POSITIVE, Sign.NEGATIVE)),
    "box and point": PlanePrompts(box_xyxy=BOX, points_xy=((160.0, 175.0),), signs=(Sign.POSITIVE,)),
}


def picture(seed: int) -> PlaneImage:
    """A bright ellipse that fills the box, on noise."""
    noise = np.random.default_rng(seed).normal(90, 15, (SIDE, SIDE))
    y, x = np.ogrid[:SIDE, :SIDE]
    inside = ((x - 160) / 60) ** 2 + ((y - 175) / 55) ** 2 <= 1
    grey = np.clip(noise + 80 * inside, 0, 255).astype(np.uint8)
    return PlaneImage(np.repeat(grey[..., None], 3, axis=2), ("ellipse", seed))


def opened(device, precision=Precision.AUTO, told=lambda _message: None):
    return open_predictor(load_network("sam_unet_tiny"), torch.device(device), precision=precision, told=told)


@pytest.fixture(scope="module")
def on_the_processor():
    return opened("cpu", Precision.FULL)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("name", PROMPTS)
def test_a_card_answers_as_the_processor_does(on_the_processor, name, precision):
    expected = on_the_processor.predict(picture(1), PROMPTS[name])
    answer = opened(CARD, precision).predict(picture(1), PROMPTS[name])
    assert dice(answer.mask, expected.mask) > 0.98
    assert answer.quality == pytest.approx(expected.quality, abs=0.03)


def test_many_planes_begun_at_once_are_each_answered_for_itself(on_the_processor):
    requests = [PlaneRequest(picture(seed), PROMPTS["box"]) for seed in range(6)]
    job = opened(CARD).begin_predict_many(requests)
    while not job.poll():
        pass
    for request, answer in zip(requests, job.result(), strict=True):
        expected = on_the_processor.predict(request.image, request.prompts)
        assert dice(answer.mask, expected.mask) > 0.98


@pytest.mark.parametrize("room_mb", [1, 80])
def test_a_card_without_room_leaves_the_work_to_the_processor(on_the_processor, room_mb):
    """Too little for the weights, and enough for them but not for a plane."""
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved(CARD) + room_mb * 2**20
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(CARD).total_memory, CARD)
    told = []
    try:
        answer = opened(CARD, told=told.append).predict(picture(1), PROMPTS["box"])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, CARD)
    assert told == [ON_THE_PROCESSOR]
    assert dice(answer.mask, on_the_processor.predict(picture(1), PROMPTS["box"]).mask) > 0.98
