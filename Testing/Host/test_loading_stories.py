"""Loading a model: the window lives, says what goes on, and Esc stops it."""

from __future__ import annotations

import time

import pytest


@pytest.fixture
def slow_loader(user, monkeypatch):
    """No model is loaded yet, and loading one takes a second of short steps. `done`: steps that were taken."""
    work = user.panel.work
    predictor, identity = work._predictor, work.logic._engine.model
    work._predictor, work._loaded = None, None
    done = []

    def steps(name, wish):
        for number in range(50):
            time.sleep(0.02)
            done.append(number)
            yield
        return predictor, identity

    monkeypatch.setattr(work.loader, "_steps", steps)
    return done


def watch(user, seen: list[str], every_ms: int = 10):
    """Note what the message says, from a timer: it fires only while the window lives."""
    import qt

    timer = qt.QTimer()
    timer.setInterval(every_ms)
    timer.connect("timeout()", lambda: seen.append(user.message))
    timer.start()
    return timer


def test_the_window_lives_and_tells_while_a_model_is_loaded(user, slow_loader):
    seen: list[str] = []
    timer = watch(user, seen)
    user.press("positiveButton")
    timer.stop()
    assert len(slow_loader) == 50
    assert sum("Loading the model" in text for text in seen) > 20
    assert user.message == "", "it is over"
    assert user.ui.positiveButton.checked


def test_esc_stops_loading_and_the_next_prompt_begins_it_again(user, slow_loader):
    import qt

    qt.QTimer.singleShot(200, user.ui.cancelButton.click)
    user.press("positiveButton")
    assert "Loading was stopped" in user.message
    assert len(slow_loader) < 50
    slow_loader.clear()
    user.press("positiveButton")
    assert len(slow_loader) == 50
