"""The command as a process: its output, its errors and its warnings."""

from __future__ import annotations

import io
import locale
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from repository import MODULE_FOLDER, ROOT
from SAMUNetSlicerLib.cli import main
from SAMUNetSlicerLib.errors import ExitCode


def started(*arguments, stdout=subprocess.PIPE, libraries=()) -> subprocess.Popen:
    """`samunet` with these arguments. libraries: folders that are looked into before all others for imports."""
    return subprocess.Popen(
        [sys.executable, "-m", "SAMUNetSlicerLib.cli", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*libraries, MODULE_FOLDER]))},
    )


def test_ctrl_c_while_libraries_are_imported_ends_as_quietly_as_later(tmp_path):
    Path(tmp_path, "SimpleITK.py").write_text("raise KeyboardInterrupt")
    command = started("models", libraries=[tmp_path])
    assert command.communicate() == (b"", b"samunet: Stopped.\n".replace(b"\n", os.linesep.encode()))
    assert command.returncode == ExitCode.CANCELLED


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_seen_enough_is_no_error():
    """As in `samunet models | head -1`."""
    command = started("models")
    command.stdout.close()
    command.stdout = None
    assert command.communicate() == (None, b"")
    assert command.returncode == ExitCode.OUTPUT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_behind_standard_output_is_told_in_a_sentence():
    with Path("/dev/full").open("w") as full:
        command = started("models", stdout=full)
        _, said = command.communicate()
    assert (command.returncode, said.count(b"\n")) == (ExitCode.OUTPUT, 1)
    assert b"No space left" in said


def test_warnings_are_sentences_without_the_programs_lines(tmp_path):
    for number in (1, 2, 5, 6):
        shutil.copy(ROOT / "Testing" / "Data" / "ct_abdomen_dicom" / f"slice_{number:02}.dcm", tmp_path)
    command = started("info", str(tmp_path))
    _, said = command.communicate()
    assert command.returncode == ExitCode.OK
    assert said.startswith(b"samunet: The DICOM slices are not evenly spaced")
    assert said.count(b"\n") == 1


def test_a_closed_standard_error_is_replaced(monkeypatch):
    """The progress bar writes to it."""
    monkeypatch.setattr("sys.stderr", None)
    assert main(["models", "delete", "missing"]) == ExitCode.MODEL
    assert sys.stderr is not None


def test_names_that_the_terminal_cannot_show_do_not_end_a_command(tmp_path, monkeypatch):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16)), str(tmp_path / "käse.nrrd"))
    stream = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(stream, encoding="ascii"))
    assert main(["info", str(tmp_path / "käse.nrrd")]) == ExitCode.OK
    assert b"name: k\\xe4se" in stream.getvalue()


@pytest.mark.parametrize("refused", [False, True])
def test_files_on_windows_may_have_names_in_any_alphabet(monkeypatch, capsys, refused):
    """SimpleITK's manual names this remedy."""
    asked = []

    def set_locale(*category_and_name):
        asked.append(category_and_name)
        if refused:
            raise locale.Error

    monkeypatch.setattr("locale.setlocale", set_locale)
    assert main(["models"]) == ExitCode.OK
    assert asked == []
    monkeypatch.setattr("sys.platform", "win32")
    assert main(["models"]) == ExitCode.OK
    assert asked == [(locale.LC_CTYPE, ".UTF-8")]
