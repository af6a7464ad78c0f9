"""A model that can be downloaded from this computer, added to the program's own list of models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flaky_server import FlakyServer
from SAMUNetSlicerLib.checkpoints import catalogue

NAME, TITLE, LICENCE, SOURCE = "published", "A published model", "MIT", "a paper"


@contextmanager
def published(content: bytes, folder: Path, monkeypatch, algorithm: str = "sha256") -> Iterator[FlakyServer]:
    """The server that has the file `content`. folder: where the longer list is kept; algorithm: of the known hash."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    own = catalogue.resources_folder() / "Models" / "catalogue.json"
    (folder / "Models").mkdir(parents=True)
    with FlakyServer(content) as server:
        file = {"name": f"{NAME}.pth", "size": len(content), "sha256": None}
        file |= {algorithm: hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}
        model = {
            "name": NAME,
            "title": TITLE,
            "family": "lite_medsam",
            "input_size": 256,
            "trained_prompts": ["box"],
            "licence": LICENCE,
            "source": SOURCE,
            "file": file | {"url": f"{server.address}/{NAME}.pth"},
        }
        listed = json.loads(own.read_text(encoding="utf-8"))
        listed["models"].append(model)
        (folder / "Models" / "catalogue.json").write_text(json.dumps(listed), encoding="utf-8")
        monkeypatch.setattr(catalogue, "resources_folder", lambda: folder)
        yield server
