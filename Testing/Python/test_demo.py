"""The demo's command says in a line what is wrong with its folders."""

from __future__ import annotations

from SAMUNetSlicerLib import demo
from SAMUNetSlicerLib.errors import ExitCode


def test_a_missing_folder_of_data_is_one_line(tmp_path, capsys):
    assert demo.main(["--data", str(tmp_path / "nothing"), "--output", str(tmp_path / "out")]) == ExitCode.INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("demo: There is no file or folder")


def test_an_output_that_cannot_be_a_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert demo.main(["--output", str(tmp_path / "file" / "out")]) == ExitCode.OUTPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("demo: The folder")
