"""While something is computed the window lives, and what its user does then is neither lost nor done too early."""

from __future__ import annotations

import pytest

from SAMUNetSlicerLib.errors import EditError
from SAMUNetSlicerLib.inference import jobs
from SAMUNetSlicerLib.inference.jobs import CancelledError, SteppedJob
from SAMUNetSlicerLib.scene.logic import SegmentationLogic
from SAMUNetSlicerLib.widgets.controllers import breathing
from SAMUNetSlicerLib.widgets.controllers.breathing import Breather, Interrupted
from SAMUNetSlicerLib.widgets.controllers.work import Tone, Work


@pytest.fixture(autouse=True)
def _one_step_a_poll(monkeypatch):
    monkeypatch.setattr(jobs, "TURN_S", 0.0)


def steps(count: int, done: list[int] | None = None):
    for number in range(count):
        if done is not None:
            done.append(number)
        yield
    return "answer"


def test_every_poll_is_followed_by_a_breath():
    breaths = []
    breather = Breather(lambda: breaths.append(breather.is_breathing))
    with breather.turn(lambda: False):
        assert breather.wait_for(SteppedJob(steps(5))) == "answer"
    assert breaths == [True] * 5
    assert not breather.is_breathing
    assert breather.longest_block_s > 0


def test_stopping_cancels_the_job_at_the_next_poll():
    done = []
    breather = Breather(lambda: None)
    job = SteppedJob(steps(50, done))
    with pytest.raises(Interrupted), breather.turn(lambda: len(done) >= 3):
        breather.wait_for(job)
    assert done == [0, 1, 2]
    with pytest.raises(CancelledError):
        job.result()


def test_what_a_job_raises_is_raised():
    def fail():
        yield
        raise EditError("no")

    with pytest.raises(EditError):
        Breather(lambda: None).wait_for(SteppedJob(fail()))


def test_a_wait_within_a_breath_does_not_nest():
    depths = []

    def breathe() -> None:
        depths.append(1)
        assert breather.wait_for(SteppedJob(steps(9))) == "answer"

    breather = Breather(breathe)
    breather.wait_for(SteppedJob(steps(2)))
    assert len(depths) == 2


def test_a_long_wait_is_shown_once(monkeypatch):
    monkeypatch.setattr(breathing, "_LONG_S", -1.0)
    shown = []
    breather = Breather(lambda: None, lambda: shown.append(breather.is_breathing))
    breather.wait_for(SteppedJob(steps(5)))
    assert shown == [True]


@pytest.fixture
def desk():
    """Work whose window does what the test puts into `events`, one a breath."""
    events = []
    work = Work(SegmentationLogic(), lambda: events.pop(0)() if events else None)
    work.events = events
    return work


def test_what_is_done_meanwhile_is_done_afterwards_in_order(desk):
    order = []

    def answer() -> None:
        desk.breather.wait_for(SteppedJob(steps(6)))
        order.append("answer")

    desk.events += [
        lambda: desk.attempt(order.append, "first click"),
        lambda: desk.attempt(order.append, "second click"),
        lambda: desk.when_free(lambda: order.append("third")),
    ]
    assert desk.attempt(answer)
    assert order == ["answer", "first click", "second click", "third"]


def test_cancel_stops_an_answer_and_what_was_to_follow(desk):
    order = []

    def answer() -> None:
        desk.breather.wait_for(SteppedJob(steps(60)))
        order.append("answer")

    desk.session = None
    desk.events += [lambda: desk.attempt(order.append, "click"), desk.cancel]
    assert not desk.attempt(answer)
    assert order == []
    assert desk.attempt(order.append, "next"), "the next action is not stopped"


def test_the_window_says_that_it_is_computing_and_then_no_more(desk, monkeypatch):
    monkeypatch.setattr(breathing, "_LONG_S", -1.0)
    told = []
    desk.listeners.append(lambda: told.append((desk.message.text, desk.answering)))
    desk.attempt(lambda: desk.breather.wait_for(SteppedJob(steps(3))))
    assert told[0] == ("Computing... Esc or Cancel stops it.", True)
    assert told[-1] == ("", False)


def test_what_is_announced_can_be_stopped_from_the_first_moment(desk):
    told = []
    desk.listeners.append(lambda: told.append((desk.message.text, desk.answering)))
    desk.attempt(desk.announce, "Loading...")
    assert told[0] == ("Loading...", True), "before the window lives for the first time"
    assert told[-1] == ("", False)


def test_an_error_meanwhile_is_told(desk):
    def fail() -> None:
        desk.breather.wait_for(SteppedJob(steps(2)))
        raise EditError("That cannot be done.")

    assert not desk.attempt(fail)
    assert (desk.message.text, desk.message.tone) == ("That cannot be done.", Tone.ERROR)
