"""A network that takes its time, as real ones do."""

from __future__ import annotations


def slow(network, monkeypatch, steps: int = 8) -> None:
    """Let the network encode in several steps, between which the window lives."""
    from SAMUNetSlicerLib.inference import jobs

    encode = type(network).encode

    def encode_steps(images):
        for _ in range(steps):
            yield
        return encode(network, images)

    monkeypatch.setattr(jobs, "TURN_S", 0.0)
    monkeypatch.setattr(network, "encode_steps", encode_steps, raising=False)
