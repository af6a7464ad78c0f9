import pytest

from fakes import Done
from SAMUNetSlicerLib.inference.jobs import CancelledError, SteppedJob


class Elsewhere(Done):
    """Work that somebody else does: over when told."""

    def __init__(self, result):
        super().__init__(result)
        self.over = self.cancelled = False

    def poll(self):
        return self.over

    def cancel(self):
        self.cancelled = True


def steps(log, count=3, needed=None):
    for number in range(count):
        log.append(number)
        yield
    return (yield needed) if needed is not None else "answer"


def test_nothing_is_done_before_it_is_asked_for():
    log = []
    SteppedJob(steps(log))
    assert log == []


def test_a_result_is_waited_for():
    log = []
    assert SteppedJob(steps(log)).result() == "answer"
    assert log == [0, 1, 2]


def test_polling_brings_a_job_to_its_end():
    job = SteppedJob(steps([]))
    while not job.poll():
        pass
    assert job.result() == "answer"
    assert job.poll()


def test_a_poll_ends_after_a_step_that_took_its_turn(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("SAMUNetSlicerLib.inference.jobs.time.perf_counter", lambda: next(now))
    log = []
    job = SteppedJob(steps(log))
    assert not job.poll()
    assert len(log) <= 1


def test_work_done_elsewhere_is_not_waited_for_by_polling():
    needed = Elsewhere("theirs")
    job = SteppedJob(steps([], needed=needed))
    assert not any(job.poll() for _ in range(5))
    needed.over = True
    assert job.poll()
    assert job.result() == "theirs"


def test_an_error_is_told_with_the_result_and_ends_the_job():
    def fail():
        yield
        raise ValueError("no")

    job = SteppedJob(fail())
    assert job.poll()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            job.result()


def test_the_error_of_needed_work_can_be_survived_by_who_needs_it():
    def fail():
        yield
        raise MemoryError

    def careful():
        try:
            yield SteppedJob(fail())
        except MemoryError:
            return "survived"

    assert SteppedJob(careful()).result() == "survived"


def test_cancelling_ends_the_work_and_what_it_waits_for():
    log, needed = [], Elsewhere("theirs")
    job = SteppedJob(steps(log, needed=needed))
    job.poll()
    job.cancel()
    assert needed.cancelled
    assert job.poll()
    with pytest.raises(CancelledError):
        job.result()


def test_a_finished_job_cannot_be_cancelled():
    job = SteppedJob(steps([]))
    job.result()
    job.cancel()
    assert job.result() == "answer"


def test_ctrl_c_reaches_who_waits_and_leaves_no_half_result():
    def stopped():
        yield
        raise KeyboardInterrupt

    job = SteppedJob(stopped())
    with pytest.raises(KeyboardInterrupt):
        job.result()
    with pytest.raises(KeyboardInterrupt):
        job.result()
