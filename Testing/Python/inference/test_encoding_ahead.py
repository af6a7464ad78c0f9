"""Encodings begun before anybody asks: several beside one another, and the threads that they leave to other work."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fakes import INPUT_SIZE, BrightRegionNetwork
from requirements_guard import need
from SAMUNetSlicerLib.inference.encoding import openvino_encoder
from SAMUNetSlicerLib.inference.encoding.encoders import Encoder, TorchEncoder
from SAMUNetSlicerLib.inference.encoding.openvino_encoder import OpenVinoEncoder
from SAMUNetSlicerLib.inference.jobs import CancelledError
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor, PlaneRequest
from SAMUNetSlicerLib.inference.prompts import PlanePrompts
from SAMUNetSlicerLib.inference.threads import torch_threads

BOX = PlanePrompts(box_xyxy=(28, 28, 62, 52))
WIDE = PlanePrompts(box_xyxy=(2, 2, 118, 98))


def plane(number: int) -> PlaneImage:
    rgb = np.zeros((100, 120, 3), dtype=np.uint8)
    rgb[30:50, 30 + number : 60 + number] = 200
    return PlaneImage(rgb, number)


def pictures(count: int) -> list[torch.Tensor]:
    return [torch.full((1, 3, INPUT_SIZE, INPUT_SIZE), number / count) for number in range(count)]


@pytest.fixture
def four_threads():
    with torch_threads(4):
        yield


class SlowNetwork(BrightRegionNetwork):
    """Pauses often; remembers with how many threads it decodes."""

    def __init__(self):
        super().__init__()
        self.threads = []

    def encode_steps(self, images):
        for _ in range(10):
            yield
        return self.encode(images)

    def decode(self, embedding, prompts):
        self.threads.append(torch.get_num_threads())
        return super().decode(embedding, prompts)


class TwoAhead(Encoder):
    """As OpenVINO on four threads, and remembers what was begun ahead."""

    planes_ahead = 2
    threads_ahead = 2

    def __init__(self, network):
        self.network, self.ahead = network, []

    def begin(self, images, ahead=False):
        self.ahead.append(ahead)
        return TorchEncoder(self.network).begin(images)


@pytest.fixture
def predictor(monkeypatch):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 1e-9)
    network = SlowNetwork()
    return PlanePredictor(network, encode_planes=TwoAhead(network))


def test_the_host_goes_on_once_what_was_begun_first_is_over(predictor):
    for number in (0, 1):
        predictor.encode_ahead(PlaneRequest(plane(number), BOX))
    while not predictor.poll_ahead():
        pass
    assert (predictor.counts.encoded, predictor.count_ahead) == (1, 1)
    predictor.predict(plane(0), BOX)
    assert (predictor.counts.encoded, predictor.count_ahead) == (1, 1)


def test_there_is_room_for_as_many_as_the_encoder_computes_beside_one_another(predictor):
    room = [predictor.has_room_beside]
    for number in (0, 1):
        predictor.encode_ahead(PlaneRequest(plane(number), BOX))
        room.append(predictor.has_room_beside)
    assert room == [False, True, False], "none beside nothing"


def test_the_encoder_hears_whether_somebody_waits(predictor):
    predictor.encode_ahead(PlaneRequest(plane(0), BOX))
    while predictor.count_ahead:
        predictor.poll_ahead()
    predictor.predict(plane(1), BOX)
    assert predictor.encode_planes.ahead == [True, False]


def test_another_guess_of_a_pictures_crop_takes_the_place_of_the_first(predictor):
    predictor.encode_ahead(PlaneRequest(plane(0), WIDE))
    predictor.encode_ahead(PlaneRequest(plane(1), BOX))
    predictor.encode_ahead(PlaneRequest(plane(0), BOX))
    assert predictor.count_ahead == 2
    while predictor.count_ahead:
        predictor.poll_ahead()
    assert predictor.counts.encoded == 2
    predictor.predict(plane(0), BOX)
    assert predictor.counts.encoded == 2


def test_what_is_encoded_already_is_not_begun_and_another_guess_is_given_up(predictor):
    predictor.predict(plane(0), BOX)
    predictor.encode_ahead(PlaneRequest(plane(0), WIDE))
    predictor.encode_ahead(PlaneRequest(plane(0), BOX))
    assert predictor.count_ahead == 0


def test_some_pictures_can_be_given_up(predictor):
    for number in range(3):
        predictor.encode_ahead(PlaneRequest(plane(number), BOX))
    predictor.give_up_ahead([plane(0), plane(2), plane(7)])
    while predictor.count_ahead:
        predictor.poll_ahead()
    assert [predictor.is_encoded(plane(n), predictor.encode_ahead(PlaneRequest(plane(n), BOX))) for n in range(3)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("ahead", "left"), [(0, 4), (1, 2), (2, 1)])
def test_decoding_takes_the_threads_that_encodings_ahead_leave(predictor, four_threads, ahead, left):
    predictor.encode(plane(9), [predictor.encode_ahead(PlaneRequest(plane(9), BOX))])
    predictor.cancel_ahead()
    for number in range(ahead):
        predictor.encode_ahead(PlaneRequest(plane(number), BOX))
    predictor.predict(plane(9), BOX)
    assert predictor.network.threads == [left]
    assert torch.get_num_threads() == 4


def test_threads_are_given_back_after_an_error(four_threads):
    with pytest.raises(KeyError), torch_threads(-3):
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 4


def test_openvino_encodes_ahead_what_it_encodes_otherwise(four_threads, tmp_path):
    need("openvino")
    encode = OpenVinoEncoder(BrightRegionNetwork(), tmp_path / "kept")
    assert (encode.planes_ahead, encode.threads_ahead) == (2, 2)
    images = pictures(5)
    jobs = [encode.begin(image, ahead=True) for image in images]
    for job, image in reversed([*zip(jobs, images, strict=True)]):
        torch.testing.assert_close(job.result().features, encode(image).features)
    assert job.result() is job.result()


def test_openvino_on_one_thread_has_one_way_to_encode():
    need("openvino")
    with torch_threads(1):
        encode = OpenVinoEncoder(BrightRegionNetwork())
    encode.prepare_ahead()
    assert (encode.planes_ahead, encode._compiled_ahead) == (1, encode._compiled)


def test_openvinos_requests_serve_again_also_after_they_were_cancelled(four_threads, monkeypatch):
    """Making one may wait for all that is under way."""
    need("openvino")
    made = []

    class Counting(openvino_encoder._Compiled):
        def __init__(self, model):
            create = model.create_infer_request
            super().__init__(model)
            self._model = SimpleNamespace(create_infer_request=lambda: made.append(1) or create())

    monkeypatch.setattr(openvino_encoder, "_Compiled", Counting)
    encode = OpenVinoEncoder(BrightRegionNetwork())
    first, second = pictures(2)
    for _ in range(3):
        one, other = encode.begin(first, ahead=True), encode.begin(second, ahead=True)
        one.cancel()
        torch.testing.assert_close(other.result().features["grey"].float(), second[:, :1], atol=4e-3, rtol=0)
        if not one._cancelled:  # it was over already
            one.result()
        else:
            with pytest.raises(CancelledError):
                one.result()
    assert len(made) == 2


def test_what_a_single_plane_is_computed_in_is_given_back_while_planes_are_encoded_ahead(four_threads, monkeypatch):
    need("openvino")
    encode = OpenVinoEncoder(BrightRegionNetwork())
    encode.prepare_ahead()
    given_back, (first, second) = [], pictures(2)
    model = encode._compiled._model
    monkeypatch.setattr(
        encode._compiled,
        "_model",
        SimpleNamespace(
            create_infer_request=model.create_infer_request,
            release_memory=lambda: given_back.append(1) or model.release_memory(),
        ),
    )
    encode.begin(first, ahead=True).result()
    assert not given_back, "nothing is held"
    under_way = encode.begin(second)
    encode.begin(first, ahead=True).result()
    assert not given_back, "it is being used"
    under_way.result()
    for _ in range(2):
        encode.begin(first, ahead=True).result()
        assert len(given_back) == 1
    torch.testing.assert_close(encode(second).features, encode.begin(second, ahead=True).result().features)
    assert len(given_back) == 2


def test_the_requests_of_a_job_that_was_over_before_it_was_given_up_serve_again(four_threads):
    need("openvino")
    encode = OpenVinoEncoder(BrightRegionNetwork())
    (picture,) = pictures(1)
    job = encode.begin(picture)
    while not job.poll():
        pass
    job.cancel()
    encode._compiled.rest()
    assert not encode._compiled._holds_memory
    torch.testing.assert_close(job.result().features, encode(picture).features)
