"""Encoding and predicting as jobs: the same results as when waited for, and a sound cache whatever happens."""

import numpy as np
import pytest
import torch

from fakes import INPUT_SIZE, BrightRegionNetwork
from requirements_guard import need
from SAMUNetSlicerLib.inference.encoding.encoders import Encoder, Precision, TorchEncoder
from SAMUNetSlicerLib.inference.encoding.engines import EngineChoice, build_encode
from SAMUNetSlicerLib.inference.encoding.openvino_encoder import OpenVinoEncoder
from SAMUNetSlicerLib.inference.jobs import CancelledError, SteppedJob
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor, PlaneRequest
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, Sign
from SAMUNetSlicerLib.inference.zoom import Crop
from SAMUNetSlicerLib.networks.registry import FAMILIES, build

WHOLE = Crop(0, 0, 120, 100)
CLOSE = Crop(20, 10, 84, 74)


class SlowNetwork(BrightRegionNetwork):
    """Pauses often, and tells whether torch's mode leaks out of it while it does."""

    def encode_steps(self, images):
        for _ in range(10):
            yield
        return self.encode(images)


class InPairs(Encoder):
    planes_at_once = 2

    def __init__(self, network):
        self.network, self.calls = network, []

    def begin(self, images, ahead=False):
        self.calls.append(len(images))
        return TorchEncoder(self.network).begin(images)


def plane(number: int) -> PlaneImage:
    rgb = np.zeros((100, 120, 3), dtype=np.uint8)
    rgb[30:50, 30 + number : 60 + number] = 200 + number
    return PlaneImage(rgb, number)


def poll_to_the_end(job):
    polls = 1
    while not job.poll():
        polls += 1
    return job.result(), polls


def every_turn_a_step(monkeypatch):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 1e-9)


def encoders(network):
    yield TorchEncoder(network)
    need("openvino")
    yield OpenVinoEncoder(network)


def test_polled_encodings_are_those_waited_for():
    wanted = [(plane(0), WHOLE), (plane(1), CLOSE), (plane(0), WHOLE), (plane(2), WHOLE)]
    for encoder in encoders(SlowNetwork()):
        polled = PlanePredictor(SlowNetwork(), encode_planes=encoder)
        got, _ = poll_to_the_end(polled.begin_encode(wanted))
        waited = PlanePredictor(SlowNetwork(), encode_planes=encoder)
        for embedding, (image, crop) in zip(got, wanted, strict=True):
            assert polled.is_encoded(image, crop)
            torch.testing.assert_close(embedding.features, waited.encode(image, [crop])[0].features)


def test_a_polled_answer_is_the_one_waited_for():
    prompts = PlanePrompts(((45, 40),), (Sign.POSITIVE,))
    got, _ = poll_to_the_end(PlanePredictor(SlowNetwork()).begin_predict(plane(0), prompts))
    np.testing.assert_array_equal(got.logits, PlanePredictor(SlowNetwork()).predict(plane(0), prompts).logits)


def test_asking_again_after_a_polled_answer_only_decodes():
    predictor, prompts = PlanePredictor(SlowNetwork()), PlanePrompts(((45, 40),), (Sign.POSITIVE,))
    poll_to_the_end(predictor.begin_predict(plane(0), prompts))
    encoded = predictor.counts.encoded
    predictor.predict(plane(0), prompts)
    assert predictor.counts.encoded == encoded == predictor.network.encoded


def test_the_host_is_asked_in_at_every_pause_and_torch_is_as_it_was(monkeypatch):
    every_turn_a_step(monkeypatch)
    job = PlanePredictor(SlowNetwork()).begin_encode([(plane(0), WHOLE)])
    polls = 1
    while not job.poll():
        assert not torch.is_inference_mode_enabled()
        polls += 1
    assert polls > 10


def test_a_cancelled_encoding_leaves_what_was_finished_and_nothing_else(monkeypatch):
    every_turn_a_step(monkeypatch)
    predictor = PlanePredictor(SlowNetwork())
    job = predictor.begin_encode([(plane(0), WHOLE), (plane(1), WHOLE), (plane(2), WHOLE)])
    while not predictor.is_encoded(plane(0), WHOLE):
        job.poll()
    job.poll()
    job.cancel()
    with pytest.raises(CancelledError):
        job.result()
    assert [predictor.is_encoded(plane(i), WHOLE) for i in range(3)] == [True, False, False]
    assert len(predictor.encode(plane(1), [WHOLE])) == 1


def test_openvino_takes_new_work_after_a_cancelled_one():
    need("openvino")
    encode = OpenVinoEncoder(BrightRegionNetwork())
    images = torch.rand(1, 3, INPUT_SIZE, INPUT_SIZE)
    given_up = encode.begin(images)
    given_up.cancel()
    assert given_up.poll()
    got, _ = poll_to_the_end(encode.begin(images))
    torch.testing.assert_close(got.features, encode(images).features)


def test_several_encodings_may_be_under_way():
    need("openvino")
    encode = OpenVinoEncoder(BrightRegionNetwork())
    images = [torch.full((1, 3, INPUT_SIZE, INPUT_SIZE), value) for value in (0.0, 0.5, 1.0)]
    jobs = [encode.begin(image) for image in images]
    for job, image in reversed([*zip(jobs, images, strict=True)]):
        torch.testing.assert_close(job.result().features["grey"].float(), image[:, :1], atol=4e-3, rtol=0)


def test_planes_are_encoded_together_as_the_encoder_likes_best():
    network = BrightRegionNetwork()
    predictor = PlanePredictor(network, encode_planes=InPairs(network))
    predictor.begin_encode([(plane(i), WHOLE) for i in range(5)]).result()
    assert predictor.encode_planes.calls == [2, 2, 1]
    assert predictor.counts.encoded == 5


def test_encodings_made_together_are_forgotten_one_by_one():
    network = BrightRegionNetwork()
    predictor = PlanePredictor(network, encode_planes=InPairs(network))
    first, second = predictor.begin_encode([(plane(0), WHOLE), (plane(1), WHOLE)]).result()
    assert first.features["grey"].untyped_storage().nbytes() == first.nbytes == second.nbytes


def test_prompts_of_several_segments_and_planes_are_answered_as_one_by_one():
    requests = [
        PlaneRequest(plane(0), PlanePrompts(box_xyxy=(28, 28, 62, 52))),
        PlaneRequest(plane(0), PlanePrompts(((45, 40),), (Sign.POSITIVE,))),
        PlaneRequest(plane(3), PlanePrompts(box_xyxy=(20, 20, 90, 70))),
        PlaneRequest(plane(0), PlanePrompts(box_xyxy=(30, 30, 50, 45)), WHOLE),
        PlaneRequest(plane(0), PlanePrompts(((5, 90),), (Sign.POSITIVE,))),
    ]
    together = PlanePredictor(BrightRegionNetwork())
    answers = together.predict_many(requests)
    assert together.counts.decodes == 3  # boxes, points far, points near
    for answer, request in zip(answers, requests, strict=True):
        alone = PlanePredictor(BrightRegionNetwork()).predict(request.image, request.prompts, request.crop)
        assert answer.crop == alone.crop
        np.testing.assert_array_equal(answer.logits, alone.logits)


BOX = PlanePrompts(box_xyxy=(28, 28, 62, 52))


def test_what_was_begun_ahead_is_waited_for_rather_than_encoded_twice(monkeypatch):
    every_turn_a_step(monkeypatch)
    predictor = PlanePredictor(SlowNetwork())
    crop = predictor.encode_ahead(PlaneRequest(plane(0), BOX))
    assert predictor.counts.encoded == 0
    answer = predictor.predict(plane(0), BOX)
    assert answer.crop == crop
    assert predictor.counts.encoded == 1
    assert predictor.poll_ahead()
    np.testing.assert_array_equal(answer.logits, PlanePredictor(SlowNetwork()).predict(plane(0), BOX).logits)


def test_polling_finishes_what_was_begun_ahead_once(monkeypatch):
    every_turn_a_step(monkeypatch)
    predictor = PlanePredictor(SlowNetwork())
    for number in (0, 1, 0):
        predictor.encode_ahead(PlaneRequest(plane(number), BOX))
    while predictor.count_ahead:
        predictor.poll_ahead()
    predictor.encode_ahead(PlaneRequest(plane(1), BOX))
    predictor.predict(plane(0), BOX)
    predictor.predict(plane(1), BOX)
    assert predictor.counts.encoded == 2


def test_work_ahead_can_be_given_up(monkeypatch):
    every_turn_a_step(monkeypatch)
    predictor = PlanePredictor(SlowNetwork())
    predictor.encode_ahead(PlaneRequest(plane(0), BOX))
    predictor.cancel_ahead()
    assert predictor.poll_ahead()
    assert predictor.counts.encoded == 0
    assert predictor.predict(plane(0), BOX).mask.any()


def test_a_wrong_guess_of_the_crop_is_given_up_with_the_answer_from_another(monkeypatch):
    every_turn_a_step(monkeypatch)
    predictor = PlanePredictor(SlowNetwork())
    predictor.encode_ahead(PlaneRequest(plane(0), PlanePrompts(box_xyxy=(2, 2, 118, 98))))
    predictor.encode_ahead(PlaneRequest(plane(1), BOX))
    predictor.predict(plane(0), BOX)
    assert [key for key, _crop in predictor._ahead] == [1]
    while predictor.count_ahead:
        predictor.poll_ahead()
    assert predictor.counts.encoded == 2


def test_an_answer_survives_that_the_work_ahead_it_waits_for_is_given_up(monkeypatch):
    every_turn_a_step(monkeypatch)
    predictor = PlanePredictor(SlowNetwork())
    predictor.encode_ahead(PlaneRequest(plane(0), BOX))
    ahead = [*predictor._ahead.values()]
    job = predictor.begin_predict(plane(0), BOX)
    job.poll()
    ahead[0].cancel()
    assert job.result().mask.any()


@pytest.mark.parametrize("family", ["lite_medsam", "sam_unet_tiny"])
def test_a_network_answers_many_prompts_of_a_plane_as_one_by_one(family):
    torch.manual_seed(0)
    predictor = PlanePredictor(build(family, device="cpu"))
    image = PlaneImage(np.random.default_rng(0).integers(0, 256, (90, 100, 3), dtype=np.uint8), "noise")
    boxes = [PlanePrompts(box_xyxy=(10 + i, 20, 60 + i, 70)) for i in range(3)]
    crop = predictor.zoom.choose(image.size_hw, (10, 20, 62, 70))
    together = predictor.predict_many([PlaneRequest(image, box, crop) for box in boxes])
    assert predictor.counts.encoded == 1
    assert predictor.counts.decodes == 1
    for answer, box in zip(together, boxes, strict=True):
        np.testing.assert_allclose(answer.logits, predictor.predict(image, box, crop).logits, atol=1e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_pausing_is_defined_wherever_encoding_is(family):
    """A class that encodes in its own way must not inherit the pauses of another."""
    classes = FAMILIES[family].network_class.__mro__
    encode, steps = (next(c for c in classes if name in vars(c)) for name in ("encode", "encode_steps"))
    assert classes.index(steps) <= classes.index(encode) or steps.__name__ == "PromptedNetwork"


@pytest.mark.parametrize("family", ["lite_medsam", "sam_unet_tiny", "sam_unet_res34"])
def test_a_network_that_pauses_encodes_the_same(family):
    torch.manual_seed(0)
    network = build(family, device="cpu")
    images = torch.rand(1, 3, 256, 256)
    job = build_encode(network, torch.device("cpu"), EngineChoice.TORCH, precision=Precision.FULL).begin(images)
    assert isinstance(job, SteppedJob)
    with torch.inference_mode():
        torch.testing.assert_close(job.result().features, network.encode(images).features)
