import json
import sys

import pytest
import torch
from safetensors.torch import save_file

from SAMUNetSlicerLib.checkpoints.download import Phase, Progress
from SAMUNetSlicerLib.checkpoints.places import MODELS_FOLDER_VARIABLE, weights_folder
from SAMUNetSlicerLib.checkpoints.tensors import read_tensors
from SAMUNetSlicerLib.cli import main, models
from SAMUNetSlicerLib.errors import ExitCode


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path


def listed(capsys):
    capsys.readouterr()
    assert main(["models", "--json"]) == ExitCode.OK
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def trained_further():
    tensors = read_tensors(weights_folder() / "lite_medsam.safetensors")
    return {name: t + 0 if "num_batches" in name else t * 1.001 for name, t in tensors.items()}


def test_a_checkpoint_is_converted_installed_listed_and_deleted(own_models, capsys):
    torch.save({"model": trained_further()}, own_models / "mine.pth")
    converted = own_models / "mine.safetensors"
    assert main(["models", "convert", str(own_models / "mine.pth"), "-o", str(converted)]) == ExitCode.OK
    assert main(["models", "install", str(converted), "--name", "mine"]) == ExitCode.OK
    assert listed(capsys)["mine"]["family"] == "lite_medsam"
    assert main(["models", "delete", "mine"]) == ExitCode.OK
    assert "mine" not in listed(capsys)


def test_a_model_of_ones_own_is_replaced_only_after_a_yes(own_models, monkeypatch, capsys):
    file = own_models / "mine.safetensors"
    save_file(trained_further(), file)
    there = own_models / "models" / "mine.safetensors"
    there.parent.mkdir()
    there.write_bytes(b"trained for weeks")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["models", "install", str(file)]) == ExitCode.USAGE
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", no)
    assert main(["models", "install", str(file), "--name", "mine"]) == ExitCode.CANCELLED
    assert there.read_bytes() == b"trained for weeks"
    assert main(["models", "install", str(file), "--yes"]) == ExitCode.OK
    assert there.read_bytes() != b"trained for weeks"


def test_a_model_under_a_known_name_is_replaced_only_after_a_yes_in_whatever_case(own_models, monkeypatch, capsys):
    there = own_models / "models" / "samed.safetensors"
    there.parent.mkdir()
    there.write_bytes(b"trained for weeks")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["models", "install", str(own_models / "SAMed.pth")]) == ExitCode.USAGE
    assert "There is a model called samed already" in capsys.readouterr().err


def no(_question):
    return "n"


def end_of_input(_question):
    raise EOFError


@pytest.mark.parametrize("there", [None, b"damaged"])
@pytest.mark.parametrize("answer", [no, end_of_input])
def test_nothing_is_downloaded_without_a_yes(own_models, there, answer, monkeypatch, capsys):
    if there is not None:
        (own_models / "models").mkdir()
        (own_models / "models" / "sam_vit_b_01ec64.pth").write_bytes(there)
    monkeypatch.setattr(models, "_follow", lambda _steps: pytest.fail("a download began"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["models", "download", "sam_vit_b"]) == ExitCode.USAGE
    assert "Licence: Apache-2.0" in capsys.readouterr().out, "which is to be read before --yes"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)
    assert main(["models", "download", "sam_vit_b"]) == ExitCode.CANCELLED
    assert "Licence: Apache-2.0" in capsys.readouterr().out


def test_what_cannot_describe_an_export_is_told(capsys):
    with pytest.raises(SystemExit):
        main(["models", "export", "a", "--from", "b", "-o", "c.safetensors", "--about", "{"])
    assert "--about: the entries must be a JSON object" in capsys.readouterr().err


def test_what_cannot_be_downloaded_is_not_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _question: pytest.fail("it asks"))
    assert main(["models", "download", "medsam_vit_b"]) == ExitCode.MODEL
    assert "Install it from a file" in capsys.readouterr().err
    assert main(["models", "download", "sam_unet_tiny"]) == ExitCode.MODEL
    assert "installed already" in capsys.readouterr().err


def test_nothing_is_deleted_at_once_without_a_yes_to_the_list(own_models, monkeypatch, capsys):
    folder = own_models / "models"
    folder.mkdir()
    for name in ("mine.pth", "half.pth.part", "notes.txt"):
        (folder / name).write_text("")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["models", "delete", "all"]) == ExitCode.USAGE
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert main(["models", "delete", "all"]) == ExitCode.CANCELLED
    assert len(list(folder.iterdir())) == 3
    capsys.readouterr()
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    assert main(["models", "delete", "all"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert str(folder) in said
    assert "mine.pth" in said
    assert "half.pth.part" in said
    assert "Deleted 2 files" in said
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "other.pth").write_text("")
    monkeypatch.setattr("builtins.input", lambda _question: pytest.fail("it asks in spite of --yes"))
    assert main(["models", "delete", "all", "--yes"]) == ExitCode.OK
    assert main(["models", "delete", "all"]) == ExitCode.OK
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_yes_downloads(monkeypatch, capsys):
    asked = []

    def steps(name):
        asked.append(name)
        yield Progress(Phase.RECEIVING, 5, 10)
        yield Progress(Phase.DONE, 10, 10)

    monkeypatch.setattr(models, "download_model", steps)
    assert main(["models", "download", "sam_vit_b", "--yes"]) == ExitCode.OK
    assert asked == ["sam_vit_b"]


WRITING = [
    ["convert", "absent.pth"],
    ["adapt", "--vit", "absent.pth"],
    ["export", "absent.safetensors", "--from", "absent.pth"],
]


@pytest.mark.parametrize("arguments", WRITING)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(own_models, arguments, capsys):
    assert main(["models", *arguments, "-o", str(own_models / "start.pth")]) == ExitCode.MODEL
    assert "must end in .safetensors" in capsys.readouterr().err
    assert main(["models", *arguments, "-o", str(own_models / "missing" / "a.safetensors")]) == ExitCode.OUTPUT
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("entries", ["no JSON", "[1]"])
def test_entries_of_a_header_that_are_no_object_are_said_so(entries, capsys):
    with pytest.raises(SystemExit):
        main(["models", "export", "a", "--from", "b", "-o", "c.safetensors", "--about", entries])
    assert "--about: the entries must be a JSON object" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["delete", "lite_medsam"],
        ["delete", "nothing_of_this_name"],
        ["install", "missing.pth"],
        ["convert", "lite_medsam", "-o", "out.pth"],
        ["adapt", "--vit", "missing.pth", "-o", "start.safetensors"],
        ["download", "nothing_of_this_name", "--yes"],
    ],
)
def test_what_cannot_be_done_is_a_model_error(arguments, capsys):
    assert main(["models", *arguments]) == ExitCode.MODEL
    assert capsys.readouterr().err.count("samunet: ") == 1
    assert (weights_folder() / "lite_medsam.safetensors").is_file()
