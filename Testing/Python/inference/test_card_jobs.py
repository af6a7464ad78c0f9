"""Encoding on a graphics card, with stand-ins for what torch has of one: streams, events, memory of the card."""

import contextlib

import pytest
import torch

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.encoding import encoders
from SAMUNetSlicerLib.inference.encoding.encoders import _CudaJob
from SAMUNetSlicerLib.networks.base import Embedding


class Event:
    """Happens when the test says so; `error` is what the card tells of work that failed."""

    def __init__(self):
        self.happened, self.error = False, None

    def query(self):
        if self.error:
            raise self.error
        return self.happened

    def synchronize(self):
        if self.error:
            raise self.error
        self.happened = True


class Stream:
    made = 0

    def __init__(self, _device):
        Stream.made += 1
        self.waited_for, self.events = [], []

    def wait_stream(self, other):
        self.waited_for.append(other)

    def record_event(self):
        self.events.append(Event())
        return self.events[-1]


@pytest.fixture
def stream(monkeypatch):
    """The stream on which the card encodes."""
    Stream.made = 0
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: "the usual stream")
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _tensor, _stream: None)
    encoders._encoding_stream.cache_clear()
    yield encoders._encoding_stream(torch.device("cpu"))
    encoders._encoding_stream.cache_clear()


def begin() -> _CudaJob:
    return _CudaJob(BrightRegionNetwork(), torch.rand(2, 3, 8, 8), torch.float32)


def test_all_encodings_share_one_stream_since_each_stream_keeps_memory_of_its_own(stream):
    begin(), begin()
    assert Stream.made == 1
    assert stream.waited_for == ["the usual stream"] * 2
    assert len(stream.events) == 2


def test_an_encoding_is_over_once_the_card_says_so(stream):
    job = begin()
    assert not job.poll()
    stream.events[-1].happened = True
    assert job.poll()
    assert isinstance(job.result(), Embedding)


def test_what_fails_on_the_card_ends_the_job_and_is_raised_by_its_result(stream):
    job = begin()
    stream.events[-1].error = RuntimeError("CUDA error: out of memory")
    assert job.poll()
    with pytest.raises(RuntimeError, match="out of memory"):
        job.result()
