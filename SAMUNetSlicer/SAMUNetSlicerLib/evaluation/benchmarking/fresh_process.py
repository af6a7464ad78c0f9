"""A session of its own: how soon the first mask is there, and how memory grows with the number of planes.

`python -m SAMUNetSlicerLib.evaluation.benchmarking.fresh_process MODEL DEVICE ENGINE PLANES MORE_PLANES` prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from ... import own_process
from .table import Row, limit_row

PLANES, MORE_PLANES = 100, 400
_MOST_GROWTH_BYTES = 500 * 2**20
_FLAT = 0.05
_FIRST_MASK_PLANES = 10


@dataclass(frozen=True)
class SessionFacts:
    """first_mask_s: from the start of the process. Resident bytes after loading and after so many planes, or None."""

    first_mask_s: float
    loaded: int | None
    after_planes: int | None
    after_more: int | None


def measure_session(
    model: str, device: str, engine: str, planes: int = PLANES, more: int = MORE_PLANES
) -> SessionFacts:
    """In a new process. The time is by this process's clock, which both share."""
    arguments = [model, device, engine, str(planes), str(more), str(time.time())]
    command = [sys.executable, "-m", __name__, *arguments]
    done = subprocess.run(command, env=own_process.environment(), stdout=subprocess.PIPE, check=True, text=True)
    return SessionFacts(**json.loads(done.stdout))


def session_rows(facts: SessionFacts, forward_s: float, planes: int = PLANES, more: int = MORE_PLANES) -> list[Row]:
    """forward_s: (a)'s encode and decode of one plane, which is the unit of the first mask."""
    units = facts.first_mask_s / forward_s
    text = f"{facts.first_mask_s:.1f} s = {units:.1f} planes of (a)"
    first = limit_row(
        "first mask of a new process, files warm", units, text, _FIRST_MASK_PLANES, f"<= {_FIRST_MASK_PLANES} planes"
    )
    if facts.loaded is None or facts.after_planes is None or facts.after_more is None:
        return [first, Row("memory", value="not told by this system")]
    growth = facts.after_planes - facts.loaded
    change = facts.after_more / facts.after_planes - 1
    return [
        first,
        limit_row(
            f"memory (RSS) after loading and {planes} planes more than after loading",
            growth,
            f"{facts.loaded / 2**20:.0f} + {growth / 2**20:.0f} MB",
            _MOST_GROWTH_BYTES,
            "<= 500 MB",
        ),
        limit_row(f"memory from {planes} to {more} planes", change, f"{change:+.1%}", _FLAT, "<= 5 %"),
    ]


def main(model: str, device_name: str, engine: str, planes: int, more: int, started: float) -> None:
    """The work of the new process."""
    from ...checkpoints.loading import load_network
    from ...inference.devices import choose_device
    from ...inference.encoding.engines import EngineChoice
    from ...inference.opening import open_predictor
    from ...inference.predictor import PlaneRequest
    from .machine import resident_bytes
    from .phantom import PhantomPlanes

    device = choose_device(device_name)
    predictor = open_predictor(load_network(model, device=device), device, engine=EngineChoice(engine))
    predictor.encode_planes.prepare_ahead()
    loaded = resident_bytes()
    phantom = PhantomPlanes(more)
    predictor.predict(phantom.image(0), phantom.box(0))
    first_mask_s = time.time() - started
    after_planes = loaded
    for index in range(1, more):
        for beyond in range(index + 1, min(index + 3, more)):  # as a propagation does
            predictor.encode_ahead(PlaneRequest(phantom.image(beyond), phantom.box(beyond)))
        predictor.predict(phantom.image(index), phantom.box(index))
        if index + 1 == planes:
            after_planes = resident_bytes()
    facts = SessionFacts(first_mask_s, loaded, after_planes, resident_bytes())
    sys.stdout.write(json.dumps(asdict(facts)))


if __name__ == "__main__":
    _model, _device, _engine, _planes, _more, _started = sys.argv[1:]
    main(_model, _device, _engine, int(_planes), int(_more), float(_started))
