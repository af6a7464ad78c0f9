"""Models by mouse: download with Cancel and resume, install from a file, delete; nothing happens without a yes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder of models."""
    from SAMUNetSlicerLib.checkpoints.places import MODELS_FOLDER_VARIABLE

    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of the user's own."""
    import torch

    from SAMUNetSlicerLib.checkpoints.places import weights_folder
    from SAMUNetSlicerLib.checkpoints.tensors import read_tensors

    tensors = read_tensors(weights_folder() / "lite_medsam.safetensors")
    tensors["mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    torch.save({"model": tensors}, tmp_path / "my run.pth")
    return tmp_path / "my run.pth"


@pytest.fixture
def server(checkpoint, tmp_path, folder, monkeypatch):
    import dataclasses

    import published_model
    from SAMUNetSlicerLib.checkpoints import download

    # However slow the machine, a server that is silent on purpose is not given up before the test has looked.
    patient = dataclasses.replace(download.PATIENCE_OF_A_WINDOW, read_s=120.0)
    monkeypatch.setattr(download, "PATIENCE_OF_A_WINDOW", patient)
    with published_model.published(checkpoint.read_bytes(), tmp_path / "resources", monkeypatch) as running:
        yield running


@pytest.fixture
def dialogs():
    """What message boxes showed and what they are answered with."""
    from slicer_host import messages

    messages.shown.clear()
    messages.answers.clear()
    yield messages
    messages.shown.clear()
    messages.answers.clear()


@pytest.fixture
def shelf(user, folder):
    """The user with the section Set-up open and the list read anew."""
    user.ui.setUpSection.collapsed = False
    user.press("checkButton")
    return user


def yes():
    import qt

    return qt.QMessageBox.Ok


def click_model(user, title: str) -> None:
    from slicer_host import fingers

    table = user.ui.modelTable
    (row,) = [r for r in range(table.rowCount) if table.item(r, 0).text() == title]
    table.scrollToItem(table.item(row, 0))
    spot = table.visualRect(table.model().index(row, 0)).center()
    fingers.click(table.viewport(), spot)
    user.settle()


def state_of(user, title: str) -> str:
    table = user.ui.modelTable
    return next((table.item(r, 1).text() for r in range(table.rowCount) if table.item(r, 0).text() == title), "")


def offered(user) -> list[str]:
    box = user.ui.modelSelector
    return [box.itemText(n) for n in range(box.count)]


def wait_until(user, condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        user.app.processEvents()
    assert condition()


def wait_for_the_end(user) -> None:
    wait_until(user, lambda: not user.ui.cancelModelButton.visible)
    user.settle()


def test_a_download_that_is_not_agreed_to_does_nothing(server, shelf, dialogs, folder):
    user = shelf
    click_model(user, "A published model")
    user.press("downloadModelButton")
    (question,) = dialogs.shown
    for part in ("Licence: MIT", "a paper", server.address, str(folder), " MB"):
        assert part in question
    assert server.requests == []
    assert not folder.exists()
    assert not user.ui.cancelModelButton.visible
    assert state_of(user, "A published model") == "can be downloaded"


def test_a_download_is_cancelled_resumed_and_used(server, shelf, dialogs, folder):
    user = shelf
    half = len(server.content) // 2
    import flaky_server

    server.plan = [flaky_server.stall_after(half, 200)]
    click_model(user, "A published model")
    dialogs.answers.append(yes())
    user.press("downloadModelButton")
    wait_until(user, lambda: user.ui.modelProgressBar.value > 450)
    user.picture("downloading")
    assert "receiving" in user.ui.modelProgressLabel.text
    assert not user.ui.downloadModelButton.enabled
    user.press("cancelModelButton")
    user.picture("download_cancelled")
    assert "goes on from there" in user.message
    assert state_of(user, "A published model").startswith("partly downloaded")
    assert "A published model" not in offered(user)
    kept = (folder / "published.pth.part").stat().st_size
    dialogs.answers.append(yes())
    user.press("downloadModelButton")
    assert "have arrived earlier" in dialogs.shown[-1]
    wait_for_the_end(user)
    user.picture("downloaded")
    assert server.requests[-1][1]["Range"] == f"bytes={kept}-"
    assert "is installed" in user.message
    assert state_of(user, "A published model") == "installed"
    assert user.ui.modelSelector.currentText == "A published model"
    assert user.panel.parameters.modelName == "published"
    assert sorted(path.name for path in folder.iterdir()) == ["published.pth"]


def test_a_download_that_the_server_refuses_is_told_and_leaves_nothing(server, shelf, dialogs, folder):
    import flaky_server

    user = shelf
    server.plan = [flaky_server.fail_with(403)]
    click_model(user, "A published model")
    dialogs.answers.append(yes())
    user.press("downloadModelButton")
    wait_for_the_end(user)
    user.picture("download_refused")
    assert "answers 403" in user.message
    assert list(folder.iterdir()) == []
    assert state_of(user, "A published model") == "can be downloaded"


def test_the_views_live_while_a_download_waits(server, shelf, dialogs):
    """A server that falls silent does not hold the window."""
    import flaky_server
    from phantoms import to_ras

    user = shelf
    server.plan = [flaky_server.stall_after(len(server.content) // 2, 200)]
    click_model(user, "A published model")
    dialogs.answers.append(yes())
    user.press("downloadModelButton")
    wait_until(user, lambda: user.ui.modelProgressBar.value > 450)
    user.key("A")
    user.click("Red", to_ras(user.volume, (8, 32, 20)))
    assert user.proposed()[8].any()
    assert user.ui.cancelModelButton.visible, "the download goes on meanwhile"
    user.press("cancelModelButton")


def test_a_file_is_installed_chosen_and_deleted(shelf, checkpoint, dialogs, folder, monkeypatch):
    import qt

    user = shelf
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: str(checkpoint))
    user.press("installModelButton")
    wait_for_the_end(user)
    user.picture("installed_from_file")
    assert state_of(user, "my_run") == "installed"
    assert user.ui.modelSelector.currentText == "my_run"
    click_model(user, "my_run")
    user.press("deleteModelButton")
    assert (folder / "my_run.safetensors").is_file(), "a No deletes nothing"
    dialogs.answers.append(yes())
    user.press("deleteModelButton")
    user.picture("model_deleted")
    assert "was deleted" in user.message
    assert list(folder.iterdir()) == []
    assert "my_run" not in offered(user)
    assert user.panel.parameters.modelName == user.ui.modelSelector.itemData(0)


def test_a_model_installed_again_under_its_name_answers_from_then_on(shelf, checkpoint, dialogs, folder, monkeypatch):
    import qt
    import torch

    from fakes import Done
    from SAMUNetSlicerLib.checkpoints.identity import sha256_of
    from SAMUNetSlicerLib.checkpoints.tensors import read_tensors
    from SAMUNetSlicerLib.inference import opening

    user, work = shelf, shelf.panel.work
    work._predictor, work._loaded = None, None  # no model is loaded yet
    monkeypatch.setattr(opening, "ConversionJob", lambda _source: Done(False))  # torch is quicker to set up
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: str(checkpoint))

    def install_and_take_the_tool() -> str:
        user.press("installModelButton")
        wait_for_the_end(user)
        user.press("positiveButton")
        assert user.ui.positiveButton.checked, user.message
        user.key("Esc")
        assert work.logic._engine.model.sha256 == sha256_of(folder / "my_run.safetensors")
        return work.logic._engine.model.sha256

    first = install_and_take_the_tool()
    loaded = work._predictor
    user.press("positiveButton")
    assert work._predictor is loaded, "the same file is loaded once"
    user.key("Esc")
    tensors = {name: tensor.clone() for name, tensor in read_tensors(checkpoint).items()}
    tensors["mask_decoder.iou_token.weight"] = torch.ones(1, 256)
    torch.save({"model": tensors}, checkpoint)
    dialogs.answers.append(yes())
    assert install_and_take_the_tool() != first
    (folder / "my_run.safetensors").unlink()
    user.press("positiveButton")
    assert user.ui.positiveButton.checked, "what is loaded answers although its file is gone"


@pytest.fixture
def windows(monkeypatch):
    """Files that are mapped into memory can be neither deleted nor replaced."""
    if not sys.platform.startswith("linux"):
        pytest.skip("what is mapped is read from Linux's own list")

    def guarded(change):
        def act(path, *arguments, **options):
            for concerned in (path, *arguments):
                if str(concerned) in Path("/proc/self/maps").read_text(encoding="utf-8"):
                    raise PermissionError(13, "Permission denied", str(concerned))
            return change(path, *arguments, **options)

        return act

    monkeypatch.setattr(Path, "unlink", guarded(Path.unlink))
    monkeypatch.setattr(Path, "replace", guarded(Path.replace))


def test_a_loaded_model_is_replaced_and_deleted_also_where_files_in_use_are_kept(
    windows, shelf, checkpoint, dialogs, folder, monkeypatch
):
    import qt

    from fakes import Done
    from SAMUNetSlicerLib.inference import opening

    user, work = shelf, shelf.panel.work
    work._predictor, work._loaded = None, None  # no model is loaded yet
    monkeypatch.setattr(opening, "ConversionJob", lambda _source: Done(False))  # torch is quicker to set up
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: str(checkpoint))
    for _ in range(2):
        user.press("installModelButton")
        wait_for_the_end(user)
        assert "is installed" in user.message
        user.press("positiveButton")
        user.click("Red", (0.0, 0.0, 0.0))
        user.key("Esc")
        dialogs.answers.append(yes())
    click_model(user, "my_run")
    user.press("deleteModelButton")
    assert "was deleted" in user.message
    assert not (folder / "my_run.safetensors").exists()
    assert "What computes is shown here" in user.ui.deviceLabel.text


def test_a_model_that_another_program_deleted_leaves_the_list_when_that_shows(
    shelf, checkpoint, dialogs, folder, monkeypatch
):
    import qt

    user = shelf
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: str(checkpoint))
    user.press("installModelButton")
    wait_for_the_end(user)
    click_model(user, "my_run")
    (folder / "my_run.safetensors").unlink()
    user.press("deleteModelButton")
    assert "There is no model called my_run" in user.message
    assert state_of(user, "my_run") == ""
    assert "my_run" not in offered(user)


def test_no_file_chosen_installs_nothing(shelf, dialogs, folder, monkeypatch):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: "")
    shelf.press("installModelButton")
    assert not folder.exists()


def test_a_file_that_is_no_model_is_told(shelf, dialogs, folder, tmp_path, monkeypatch):
    import qt

    (tmp_path / "notes.pth").write_bytes(b"nothing of the kind")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: str(tmp_path / "notes.pth"))
    shelf.press("installModelButton")
    wait_for_the_end(shelf)
    assert "neither a safetensors file nor a torch checkpoint" in shelf.message
    assert not folder.exists()


@pytest.mark.filterwarnings("error:'exec_' will be removed")
@pytest.mark.parametrize("answer", ["MedSAM, ViT-B", None])
def test_sam_or_medsam_is_asked(shelf, dialogs, folder, tmp_path, monkeypatch, answer):
    import qt
    import slicer
    import torch
    from safetensors.torch import save_file

    from parity import manifest_of

    user = shelf
    keys = manifest_of("sam_vit_b")["keys"]
    save_file({name: torch.zeros(key["shape"]) for name, key in keys.items()}, tmp_path / "vit.safetensors")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_arguments: str(tmp_path / "vit.safetensors"))
    seen = []

    def reply() -> None:
        dialog = qt.QApplication.activeModalWidget()
        if dialog is None:
            qt.QTimer.singleShot(50, reply)
            return
        box = slicer.util.findChildren(dialog, className="QComboBox")[0]
        seen.append([box.itemText(n) for n in range(box.count)])
        buttons = slicer.util.findChildren(dialog, className="QDialogButtonBox")[0]
        if answer is not None:
            box.setCurrentText(answer)
        kind = qt.QDialogButtonBox.Ok if answer is not None else qt.QDialogButtonBox.Cancel
        buttons.button(kind).click()

    qt.QTimer.singleShot(50, reply)
    user.press("installModelButton")
    wait_for_the_end(user)
    assert seen == [["SAM, ViT-B", "MedSAM, ViT-B"]]
    if answer is None:
        assert "Nothing was installed" in user.message
        assert not folder.exists()
        return
    from SAMUNetSlicerLib.checkpoints.metadata import read_metadata

    assert read_metadata(folder / "vit.safetensors")["family"] == "medsam_vit_b"


@pytest.mark.parametrize("name", ["exec", "exec_"])
def test_a_dialog_is_shown_whatever_qt_calls_that(slicer_app, name):
    from SAMUNetSlicerLib.widgets.model_table import is_accepted

    assert is_accepted(SimpleNamespace(**{name: lambda: 1}))


def test_the_shipped_model_offers_neither_download_nor_deletion(shelf, dialogs):
    click_model(shelf, "LiteMedSAM")
    assert not shelf.ui.downloadModelButton.enabled
    assert not shelf.ui.deleteModelButton.enabled


def test_unloading_the_module_ends_a_download(server, shelf, dialogs):
    import flaky_server

    user = shelf
    server.plan = [flaky_server.stall_after(1_000_000, 200)]
    click_model(user, "A published model")
    dialogs.answers.append(yes())
    user.press("downloadModelButton")
    assert user.ui.cancelModelButton.visible
    user.panel.close()
    assert not user.ui.cancelModelButton.visible
