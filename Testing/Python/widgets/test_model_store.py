"""What the panel's model section does: asks, works in short steps, tells how it ended, and leaves no rubbish."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import flaky_server as flaky
import published_model
from parity import manifest_of
from SAMUNetSlicerLib.checkpoints import download as download_module
from SAMUNetSlicerLib.checkpoints.places import MODELS_FOLDER_VARIABLE, weights_folder
from SAMUNetSlicerLib.checkpoints.tensors import read_tensors
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.widgets.controllers.model_list import model_rows
from SAMUNetSlicerLib.widgets.controllers.model_store import ModelStore


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The user's folder of models."""
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint of the user's own."""
    tensors = read_tensors(weights_folder() / "lite_medsam.safetensors")
    tensors["mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    path = tmp_path_factory.mktemp("own") / "my run.pth"
    torch.save({"model": tensors}, path)
    return path


@pytest.fixture
def server(checkpoint, tmp_path, monkeypatch):
    with published_model.published(checkpoint.read_bytes(), tmp_path / "resources", monkeypatch) as running:
        yield running


@pytest.fixture
def store():
    return ModelStore()


def row(name: str):
    return next((row for row in model_rows() if row.name == name), None)


def end_of(store: ModelStore, seconds: float = 60):
    """Step as the host's timer does, until the job ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (outcome := store.step()) is not None:
            assert not store.busy
            return outcome
    raise AssertionError("the job did not end")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_question_says_size_licence_source_and_where_it_goes(server, store, folder):
    question = store.download_question("published")
    size = f"{len(server.content) / 1e6:,.0f} MB"
    for part in ("A published model", size, "MIT", "a paper", server.address, str(folder)):
        assert part in question
    assert server.requests == [], "asking downloads nothing"
    assert files_in(folder) == []


def test_a_download_is_told_installed_and_can_be_chosen(server, store, folder):
    before = row("published")
    assert (before.state, before.can_be_chosen, before.can_be_downloaded) == ("can be downloaded", False, True)
    store.start_download("published")
    assert store.busy
    texts, seen = set(), []
    while (outcome := store.step(0)) is None:  # one step at a time
        texts.add(store.text().partition(",")[0])
        seen.append(store.progress())
    assert {"A published model: receiving", "A published model: verifying"} <= texts
    assert (1000, 1000) in seen
    assert (outcome.name, outcome.error) == ("published", "")
    after = row("published")
    assert (after.state, after.can_be_chosen, after.can_be_downloaded) == ("installed", True, False)
    assert files_in(folder) == ["published.pth"]


def test_steps_are_short(server, store):
    """The time that the window has to wait does not grow with the file: a step is a few blocks."""
    store.start_download("published")
    steps = 0
    while store.step(0) is None:
        steps += 1
    assert steps > len(server.content) // download_module.PATIENCE_OF_A_WINDOW.chunk_bytes


def test_cancel_takes_at_once_and_the_next_download_goes_on(server, store, folder):
    store.start_download("published")
    while store.progress()[0] < 300:
        assert store.step(0) is None
    outcome = store.cancel()
    assert not store.busy
    assert "goes on from there" in outcome.text
    partial = row("published")
    assert partial.state.startswith("partly downloaded (")
    assert partial.can_be_downloaded
    assert partial.can_be_deleted
    assert "have arrived earlier" in store.download_question("published")
    kept = (folder / "published.pth.part").stat().st_size
    store.start_download("published")
    assert end_of(store).name == "published"
    assert server.requests[-1][1]["Range"] == f"bytes={kept}-"


def test_what_a_cancelled_download_left_can_be_deleted(server, store, folder):
    store.start_download("published")
    while store.progress()[0] < 300:
        store.step(0)
    store.cancel()
    assert "what has been downloaded of published" in store.delete_question("published")
    store.delete("published")
    assert files_in(folder) == []
    assert row("published").state == "can be downloaded"


def test_cancel_while_the_server_is_silent(server, store, folder):
    server.plan = [flaky.stall(5)]
    store.start_download("published")
    while "receiving" not in store.text():
        store.step(0)
    for _ in range(3):  # a turn ends although nothing comes
        assert store.step(0) is None
    store.cancel()
    assert not store.busy
    # What came before the silence, if anything did, is kept for later.
    assert row("published").state == "can be downloaded" or row("published").state.startswith("partly downloaded")
    assert all(name.endswith(".part") for name in files_in(folder))


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ([flaky.fail_with(403)], "answers 403"),
        ([flaky.serve_other(b"<html>Sign in</html>")], "offers another file"),
        ([flaky.serve_other(bytes(100), length=-1)] * 9, "could not be downloaded|not the published"),
    ],
)
def test_a_download_that_is_refused_leaves_nothing_usable(server, store, folder, plan, reason, monkeypatch):
    monkeypatch.setattr(download_module, "_LONGEST_WAIT_S", 0.01)
    server.plan = plan
    store.start_download("published")
    outcome = end_of(store)
    assert re.search(reason, outcome.error)
    assert outcome.name == ""
    assert "published.pth" not in files_in(folder)
    assert not row("published").can_be_chosen


def test_a_full_disk_is_told_before_anything_arrives(server, store, folder, monkeypatch):
    usage = shutil.disk_usage(folder.parent)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _folder: usage._replace(free=1000))
    store.start_download("published")
    assert "MB left" in end_of(store).error
    assert files_in(folder) == []


def test_a_file_is_installed_under_its_own_name(store, checkpoint, folder):
    assert store.install_question(checkpoint) == ""
    store.start_install(checkpoint)
    assert end_of(store).name == "my_run"
    own = row("my_run")
    assert (own.state, own.prompts, own.licence, own.can_be_chosen) == ("installed", "as its family", "unknown", True)
    assert "Replace it" in store.install_question(checkpoint)
    assert str(folder / "my_run.safetensors") in store.delete_question("my_run")
    assert "was deleted" in store.delete("my_run")
    assert row("my_run") is None
    assert files_in(folder) == []


def test_an_installation_that_is_cancelled_leaves_nothing(store, checkpoint, folder):
    store.start_install(checkpoint)
    assert store.step(0) is None
    assert "Nothing was installed" in store.cancel().text
    assert files_in(folder) == []


def test_the_user_says_which_family_a_file_is_of(store, tmp_path):
    keys = manifest_of("sam_vit_b")["keys"]
    save_file({name: torch.zeros(key["shape"]) for name, key in keys.items()}, tmp_path / "vit.safetensors")
    store.start_install(tmp_path / "vit.safetensors")
    question = end_of(store).question
    assert dict(question.choices) == {"SAM, ViT-B": "sam_vit_b", "MedSAM, ViT-B": "medsam_vit_b"}
    store.start_install(question.path, "medsam_vit_b")
    assert end_of(store).name == "vit"
    from SAMUNetSlicerLib.checkpoints.listing import list_models

    assert {model.name: model.family for model in list_models()}["vit"] == "medsam_vit_b"


def test_a_file_that_is_no_checkpoint_is_told(store, tmp_path, folder):
    (tmp_path / "notes.pth").write_bytes(b"nothing of the kind")
    store.start_install(tmp_path / "notes.pth")
    outcome = end_of(store)
    assert "neither a safetensors file nor a torch checkpoint" in outcome.error
    assert outcome.question is None
    assert files_in(folder) == []


@pytest.mark.parametrize("file", ["published.pth", "Published.pth"])
def test_a_name_that_is_kept_for_a_published_model_is_not_taken(server, store, checkpoint, folder, tmp_path, file):
    server.content = bytes(10)
    tensors = {name: tensor.clone() for name, tensor in read_tensors(checkpoint).items()}
    tensors["mask_decoder.iou_token.weight"] = torch.ones(1, 256)
    torch.save(tensors, tmp_path / file)
    store.start_install(tmp_path / file)
    assert end_of(store).name == "published_own"


def test_one_at_a_time(server, store, checkpoint):
    store.start_download("published")
    with pytest.raises(ModelError, match="Another model is being installed"):
        store.start_install(checkpoint)
    store.cancel()


def test_the_shipped_model_cannot_be_deleted_and_a_damaged_one_can_be_downloaded_anew(server, store, folder):
    assert not row("lite_medsam").can_be_deleted
    folder.mkdir()
    (folder / "published.pth").write_bytes(b"half")
    damaged = row("published")
    assert (damaged.state, damaged.can_be_chosen, damaged.can_be_downloaded) == ("damaged", False, True)
    store.start_download("published")
    assert end_of(store).name == "published"


def test_networks_of_classes_are_not_offered_for_prompts(folder):
    folder.mkdir()
    save_file({"a": torch.zeros(1)}, folder / "samed.safetensors")
    classes = row("samed")
    assert not classes.can_be_chosen
    assert classes.prompts == "none: segments by itself"
    assert "command line" in classes.state
