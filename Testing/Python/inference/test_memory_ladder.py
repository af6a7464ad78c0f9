"""Shortages of memory, simulated where planes are encoded and decoded."""

import weakref

import numpy as np
import pytest
import torch

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.errors import MemoryShortageError, UserError
from SAMUNetSlicerLib.inference.encoding.encoders import Encoder, Precision, TorchEncoder
from SAMUNetSlicerLib.inference.jobs import SteppedJob
from SAMUNetSlicerLib.inference.memory_ladder import MemoryLadder
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor, PlaneRequest
from SAMUNetSlicerLib.inference.prompts import PlanePrompts
from SAMUNetSlicerLib.inference.shortage import is_shortage
from SAMUNetSlicerLib.inference.zoom import Crop

WHOLE = Crop(0, 0, 80, 60)
OPENVINO_SAYS = "Check 'ptr' failed: cannot allocate memory for tensor"


def plane(number: int) -> PlaneImage:
    rgb = np.zeros((60, 80, 3), dtype=np.uint8)
    rgb[20:40, 20:50] = 200 + number
    return PlaneImage(rgb, number)


class Tight(Encoder):
    """Has memory for `room` planes at once, and fails the first `failures` times whatever is asked."""

    planes_at_once = 8

    def __init__(self, network, room=8, failures=0, error=None):
        self.inner, self.room, self.failures = TorchEncoder(network), room, failures
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.calls = []

    def begin(self, images, ahead=False):
        self.calls.append(len(images))
        if len(images) > self.room or len(self.calls) <= self.failures:
            raise self.error
        return self.inner.begin(images)


@pytest.fixture
def told():
    return []


def predictor(told, **how):
    network = BrightRegionNetwork()
    return PlanePredictor(network, encode_planes=Tight(network, **how), told=told.append)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError(OPENVINO_SAYS), True),
        (RuntimeError("Exception from src/inference: std::bad_alloc"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("Invalid buffer size: 19.45 GB"), True),  # of Apple's graphics
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_shortages_are_told_from_other_errors(error, expected):
    assert is_shortage(error) is expected


@pytest.mark.parametrize("error", [None, MemoryError(), RuntimeError(OPENVINO_SAYS)])
def test_one_shortage_is_survived_in_silence_by_forgetting(told, error):
    worker = predictor(told, failures=1, error=error)
    worker.encode(plane(9), [])
    worker.cache.put("old", worker.network.encode(torch.zeros(1, 3, 4, 4)))
    assert worker.predict(plane(0), PlanePrompts(box_xyxy=(15, 15, 55, 45))).mask.any()
    assert "old" not in worker.cache
    assert told == []


def test_less_is_computed_at_a_time_and_told_once(told):
    worker = predictor(told, room=2)
    answers = worker.begin_encode([(plane(i), WHOLE) for i in range(5)]).result()
    assert len(answers) == 5
    assert worker.encode_planes.calls == [5, 5, 1, 1, 1, 1, 1]
    assert told == ["Memory is short, so one plane is computed at a time."]
    worker.begin_encode([(plane(i), WHOLE) for i in range(10, 14)]).result()
    assert worker.encode_planes.calls[7:] == [1, 1, 1, 1], "the rung is kept"
    assert len(told) == 1


def test_each_work_may_be_saved_by_forgetting_alone(told):
    worker = predictor(told, failures=1)
    worker.predict(plane(0), BOX)
    worker.encode_planes.calls.clear()
    worker.predict(plane(1), BOX)
    assert worker.planes_at_once == predictor(told).planes_at_once
    assert told == []


def test_prompts_are_decoded_one_at_a_time_where_planes_already_are(told):
    worker = predictor(told, failures=2)
    worker.planes_at_once = 1
    assert worker.prompts_at_once > 1
    worker.predict(plane(0), BOX)
    assert (worker.planes_at_once, worker.prompts_at_once) == (1, 1)


def test_a_shortage_while_decoding_gives_the_same_answers_in_smaller_batches(told):
    worker = predictor(told)
    decode, sizes = worker.network.decode, []

    def tight_decode(embedding, prompts):
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise MemoryError
        return decode(embedding, prompts)

    worker.network.decode = tight_decode
    boxes = [PlanePrompts(box_xyxy=(15, 15, 50 + i, 45)) for i in range(3)]
    answers = worker.predict_many([PlaneRequest(plane(0), box) for box in boxes])
    assert sizes[-3:] == [1, 1, 1]
    for answer, box in zip(answers, boxes, strict=True):
        alone = PlanePredictor(BrightRegionNetwork()).predict(plane(0), box)
        np.testing.assert_array_equal(answer.logits, alone.logits)


def test_where_nothing_helps_the_user_is_told_and_the_next_prompt_is_answered(told):
    worker = predictor(told, failures=100)
    with pytest.raises(MemoryShortageError, match="not enough memory"):
        worker.predict(plane(0), PlanePrompts(box_xyxy=(15, 15, 55, 45)))
    worker.encode_planes.failures = 0
    assert worker.predict(plane(0), PlanePrompts(box_xyxy=(15, 15, 55, 45))).mask.any()


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported at some other call",
        "CUDA error: no kernel image is available for execution on the device\nCompile with TORCH_USE_CUDA_DSA",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "The operator 'aten::some_op' is not currently implemented for the MPS device.",
    ],
)
def test_a_card_that_fails_is_told_in_plain_words_with_the_way_on(told, message):
    worker = predictor(told, failures=1, error=RuntimeError(message))
    with pytest.raises(UserError, match=r"card has failed \(.+\)\. Choose the processor") as told_error:
        worker.predict(plane(0), PlanePrompts(box_xyxy=(15, 15, 55, 45)))
    assert "\n" not in str(told_error.value)
    assert len(worker.encode_planes.calls) == 1


CARD = torch.device("meta")  # stands in for a graphics card
BOX = PlanePrompts(box_xyxy=(15, 15, 55, 45))


class Card(Encoder):
    """Takes some polls for each plane; the card has memory for `room` of them in all, the processor for any number."""

    def __init__(self, network, room):
        self.network, self.room, self.begun = network, room, 0

    def begin(self, images, ahead=False):
        self.begun += 1
        if images.device == CARD and self.begun > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return SteppedJob(self._steps(images))

    def _steps(self, images):
        for _ in range(3):
            yield
        return self.network.encode(images)


def on_card(told, monkeypatch, room=100):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 1e-9)
    network = BrightRegionNetwork()
    return PlanePredictor(network, CARD, encode_planes=Card(network, room), told=told.append)


def test_a_network_too_large_for_the_card_is_opened_on_the_processor(told):
    class Large(BrightRegionNetwork):
        def to(self, device):
            if device == CARD:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().to(device)

    worker = PlanePredictor(Large(), CARD, told=told.append)
    assert worker.predict(plane(0), BOX).mask.any()
    assert told == ["The graphics card has not enough memory; the work goes on on the processor, more slowly."]


def devices_of_encodings(worker):
    return {e.features["grey"].device.type for e in worker.cache._entries.values()}


@pytest.mark.parametrize("polls", [1, 4, 8, 30])
def test_after_a_move_nothing_is_used_that_was_begun_ahead_on_the_former_device(told, monkeypatch, polls):
    worker = on_card(told, monkeypatch)
    worker.encode_ahead(PlaneRequest(plane(0), BOX))
    for _ in range(polls):
        worker.poll_ahead()
    worker.move_to(torch.device("cpu"))
    answer = worker.predict(plane(0), BOX)
    np.testing.assert_array_equal(answer.logits, PlanePredictor(BrightRegionNetwork()).predict(plane(0), BOX).logits)
    assert devices_of_encodings(worker) == {"cpu"}
    assert worker.poll_ahead()


@pytest.mark.parametrize("polls", range(2, 9))
def test_a_job_that_is_interrupted_by_a_move_begins_anew(told, monkeypatch, polls):
    worker = on_card(told, monkeypatch)
    job = worker.begin_encode([(plane(0), WHOLE), (plane(1), WHOLE)])
    for _ in range(polls):
        assert not job.poll()
    worker.move_to(torch.device("cpu"))
    assert {e.features["grey"].device.type for e in job.result()} == {"cpu"}
    assert devices_of_encodings(worker) == {"cpu"}


def test_a_shortage_of_work_ahead_moves_all_that_is_under_way(told, monkeypatch):
    worker = on_card(told, monkeypatch, room=1)
    worker.encode_ahead(PlaneRequest(plane(0), BOX))
    while not worker.encode_planes.begun:
        worker.poll_ahead()
    worker.encode_ahead(PlaneRequest(plane(1), BOX))
    _, second = worker._ahead.values()
    while worker.device == CARD:
        second.poll()
    while worker.count_ahead:
        worker.poll_ahead()
    assert devices_of_encodings(worker) == {"cpu"}
    assert len(worker.cache) == 2
    for number in (0, 1):
        assert worker.predict(plane(number), BOX).mask.any()
    assert told == ["The graphics card has not enough memory; the work goes on on the processor, more slowly."]


def test_other_errors_are_not_taken_for_shortages(told):
    worker = predictor(told, failures=1, error=RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        worker.encode(plane(0), [WHOLE])
    assert len(worker.encode_planes.calls) == 1


def test_a_graphics_card_goes_to_half_precision_and_then_gives_way_to_the_processor(told, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    network = BrightRegionNetwork()
    worker = PlanePredictor(network, encode_planes=TorchEncoder(network, Precision.FULL), told=told.append)
    worker.device, worker.prompts_at_once = torch.device("cuda"), 1
    ladder, shortage = MemoryLadder(told.append), torch.OutOfMemoryError("x")
    rungs = []
    for _ in range(3):
        ladder.step_down(worker, shortage)
        rungs.append((worker.encode_planes.precision, worker.device.type))
    assert rungs[:2] == [(Precision.FULL, "cuda"), (Precision.HALF, "cuda")]
    assert rungs[2][1] == "cpu"
    ladder.succeeded()
    assert told == ["The graphics card has not enough memory; the work goes on on the processor, more slowly."]
    with pytest.raises(MemoryShortageError):
        for _ in range(3):
            ladder.step_down(worker, shortage)


@pytest.mark.parametrize(("able", "precision"), [(False, Precision.FULL), (True, Precision.HALF)])
def test_the_processor_computes_in_half_precision_only_where_that_is_fast(told, monkeypatch, able, precision):
    monkeypatch.setattr("SAMUNetSlicerLib.inference.memory_ladder.computes_in_bfloat16", lambda _device: able)
    network = BrightRegionNetwork()
    worker = PlanePredictor(network, CARD, encode_planes=TorchEncoder(network, Precision.HALF))
    worker.prompts_at_once = 1
    ladder = MemoryLadder(told.append)
    for _ in range(2):
        ladder.step_down(worker, torch.OutOfMemoryError("x"))
    assert (worker.device.type, worker.encode_planes.precision) == ("cpu", precision)


def test_the_card_gives_back_what_failed_work_held_and_the_weights_once_they_have_left_it(told, monkeypatch):
    worker = PlanePredictor(BrightRegionNetwork())
    worker.device, worker.prompts_at_once = torch.device("cuda"), 1
    monkeypatch.setattr(worker, "move_to", lambda device: setattr(worker, "device", device))
    held, given_back = [], []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append((held[-1]() is None, worker.device.type)))

    def work():
        activations = torch.zeros(8)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory")

    ladder = MemoryLadder(told.append)
    for _ in range(3):
        try:
            work()
        except torch.OutOfMemoryError as error:
            ladder.step_down(worker, error)
    assert given_back == [(True, "cuda"), (True, "cuda"), (True, "cpu")]
