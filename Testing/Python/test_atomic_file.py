import contextlib
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from SAMUNetSlicerLib.atomic_file import check_destination, written_whole
from SAMUNetSlicerLib.checkpoints import writing
from SAMUNetSlicerLib.errors import OutputError
from SAMUNetSlicerLib.learning import state


def test_the_file_appears_with_its_whole_content(tmp_path):
    target = tmp_path / "result.bin"
    with written_whole(target) as stream:
        stream.write(b"first ")
        assert not target.exists()
        stream.write(b"second")
    assert target.read_bytes() == b"first second"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_keeps_the_earlier_file_and_leaves_nothing_behind(tmp_path, interruption):
    target = tmp_path / "result.bin"
    target.write_bytes(b"earlier")
    with pytest.raises(interruption), written_whole(target) as stream:
        stream.write(b"half of")
        raise interruption
    assert target.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_and_keeps_the_earlier_file(tmp_path):
    resource = pytest.importorskip("resource", reason="a small disk is simulated by a limit that Windows lacks")
    target = tmp_path / "result.bin"
    target.write_bytes(b"earlier")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OutputError, match="could not be written"), written_whole(target) as stream:
            stream.write(b"x" * 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["x" * 255, "\u809d" * 85], ids=["letters", "signs"])
def test_the_longest_name_that_the_system_allows_can_be_written(tmp_path, name):
    with written_whole(tmp_path / name) as stream:
        stream.write(b"content")
    assert (tmp_path / name).read_bytes() == b"content"


def test_a_file_that_a_library_puts_in_its_place_can_be_read_by_others(tmp_path):
    """safetensors writes a private file of its own and renames it."""
    target = tmp_path / "result.bin"
    (tmp_path / "other.bin").touch()
    with written_whole(target) as stream:
        stream.close()
        own = tmp_path / "own.bin"
        own.write_bytes(b"content")
        own.chmod(0o600)
        own.replace(stream.name)
    assert target.read_bytes() == b"content"
    assert target.stat().st_mode == (tmp_path / "other.bin").stat().st_mode


@pytest.mark.parametrize("module", [writing, state])
def test_safetensors_replaces_a_file_that_is_not_open(tmp_path, monkeypatch, module):
    """Windows refuses to rename a file onto one that is open."""
    opened = []

    @contextlib.contextmanager
    def watched(path):
        with written_whole(path) as stream:
            opened.append(stream)
            yield stream

    def save(tensors, name, *given, **named):
        assert opened[-1].name == name
        assert opened[-1].closed
        save_file(tensors, name, *given, **named)

    monkeypatch.setattr(module, "written_whole", watched)
    monkeypatch.setattr(module, "save_file", save)
    tensors, target = {"a": torch.ones(2)}, tmp_path / "a.safetensors"
    if module is writing:
        writing.write_safetensors(tensors, target, {})
    else:
        state.write_tensors(target, tensors, {})
    assert torch.equal(load_file(target)["a"], torch.ones(2))


def test_places_where_nothing_can_be_written_are_refused_beforehand(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="does not exist"):
        check_destination(tmp_path / "missing" / "a.bin")
    with pytest.raises(OutputError, match="is a folder"):
        check_destination(tmp_path)
    with pytest.raises(OutputError, match="Choose another name"):
        check_destination(tmp_path / ("x" * 300))
    protected = tmp_path / "kept.bin"
    protected.write_bytes(b"earlier")
    monkeypatch.setattr("os.access", lambda path, mode: path != protected)
    with pytest.raises(OutputError, match="protected against writing"), written_whole(protected):
        pass
    assert protected.read_bytes() == b"earlier"
    protected.unlink()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OutputError, match="may not be written"), written_whole(tmp_path / "a.bin"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_rights_only_writing_tells_is_refused_beforehand(tmp_path, monkeypatch):
    """Windows answers `os.access` without a look at its lists of rights, and leaves bad names to the first writing."""

    def refuse(path, **_how):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        check_destination(tmp_path / "a.bin")


def test_looking_beforehand_leaves_nothing_behind(tmp_path):
    (tmp_path / "kept.bin").write_bytes(b"earlier")
    for name in ("kept.bin", "new.bin", "x" * 255):
        check_destination(tmp_path / name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("kept.bin", b"earlier")]


def test_a_file_in_use_which_windows_keeps_is_told_as_such(tmp_path, monkeypatch):
    target = tmp_path / "result.bin"
    target.write_bytes(b"earlier")

    def refuse(path, onto):
        raise PermissionError(13, "Permission denied", str(onto))

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(OutputError, match="close what uses it"), written_whole(target) as stream:
        stream.write(b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("result.bin", b"earlier")]


def test_a_name_that_windows_takes_for_a_stream_of_another_file_is_refused_there_alone(tmp_path, monkeypatch):
    if sys.platform != "win32":
        check_destination(tmp_path / "scan:12.nrrd")
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(OutputError, match="colon"):
        check_destination(tmp_path / "scan:12.nrrd")
    assert list(tmp_path.iterdir()) == []


def _held(times, waits, monkeypatch):
    """A scanner that holds each fresh file for a number of attempts to rename it; waiting takes no time."""
    replace, refused = Path.replace, []

    def refuse(path, onto):
        if len(refused) < times:
            refused.append(path)
            raise PermissionError(13, "Permission denied", str(onto))
        return replace(path, onto)

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    monkeypatch.setattr("time.sleep", waits.append)


def test_a_file_that_a_scanner_holds_for_a_moment_is_written_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    waits = []
    _held(3, waits, monkeypatch)
    with written_whole(tmp_path / "result.bin") as stream:
        stream.write(b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("result.bin", b"new")]
    assert len(waits) == 3


@pytest.mark.parametrize(("system", "longest_s"), [("win32", 1.0), ("linux", 0.0)])
def test_a_file_that_stays_in_use_is_given_up_after_a_second_at_most(tmp_path, monkeypatch, system, longest_s):
    monkeypatch.setattr("sys.platform", system)
    waits = []
    _held(1000, waits, monkeypatch)
    with pytest.raises(OutputError, match="close what uses it"), written_whole(tmp_path / "result.bin") as stream:
        stream.write(b"new")
    assert sum(waits) <= longest_s
    assert list(tmp_path.iterdir()) == []
