"""Models are installed, listed, converted and deleted in the user's folder, and nowhere else."""

import io
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import published_model
from parity import manifest_of, parity_state
from SAMUNetSlicerLib.atomic_file import written_whole
from SAMUNetSlicerLib.checkpoints import download as download_module
from SAMUNetSlicerLib.checkpoints.catalogue import read_catalogue
from SAMUNetSlicerLib.checkpoints.download import Patience
from SAMUNetSlicerLib.checkpoints.identity import sha256_of
from SAMUNetSlicerLib.checkpoints.listing import ModelState, list_models
from SAMUNetSlicerLib.checkpoints.loading import AmbiguousFamilyError, load_network
from SAMUNetSlicerLib.checkpoints.metadata import read_metadata
from SAMUNetSlicerLib.checkpoints.places import MODELS_FOLDER_VARIABLE, weights_folder
from SAMUNetSlicerLib.checkpoints.steps import Phase
from SAMUNetSlicerLib.checkpoints.store import (
    all_model_files,
    convert_model,
    delete_model,
    delete_model_files,
    download_model,
    install_in_steps,
    install_model,
)
from SAMUNetSlicerLib.checkpoints.tensors import read_tensors
from SAMUNetSlicerLib.errors import ModelError, OutputError
from SAMUNetSlicerLib.networks.registry import build

SHIPPED = weights_folder() / "lite_medsam.safetensors"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The user's folder of models."""
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "models"


@pytest.fixture
def own_file(tmp_path):
    """A checkpoint of the user's own, as a trainer leaves it."""
    tensors = read_tensors(SHIPPED)
    tensors["mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    torch.save({"model": tensors, "epoch": 7}, tmp_path / "my run.pth")
    return tmp_path / "my run.pth"


@pytest.fixture(params=["sha256", "md5"])
def published(request, tmp_path, monkeypatch, own_file):
    """A published model that can be downloaded, and the server that has it."""
    with published_model.published(own_file.read_bytes(), tmp_path / "resources", monkeypatch, request.param) as server:
        yield server


def listed(name):
    return next((model for model in list_models() if model.name == name), None)


def test_before_anything_is_installed_every_model_says_how_it_comes():
    states = {model.name: model.state for model in list_models()}
    assert states["lite_medsam"] is ModelState.SHIPPED
    assert states["sam_vit_b"] is ModelState.DOWNLOADABLE
    assert states["medsam_vit_b"] is ModelState.FROM_FILE


def test_a_model_that_is_not_installed_says_how_to_get_it():
    with pytest.raises(ModelError, match="samunet models download sam_vit_b"):
        load_network("sam_vit_b")
    with pytest.raises(ModelError, match="samunet models install FILE --name medsam_vit_b"):
        load_network("medsam_vit_b")


def test_a_published_model_is_downloaded_loaded_and_deleted(published, folder):
    assert listed("published").state is ModelState.DOWNLOADABLE
    list(download_model("published"))
    assert listed("published").state is ModelState.INSTALLED
    model = load_network("published")
    assert (model.name, model.family, model.licence) == ("published", "lite_medsam", "MIT")
    with pytest.raises(ModelError, match="installed already"):
        download_model("published")
    assert delete_model("published") == folder / "published.pth"
    assert listed("published").state is ModelState.DOWNLOADABLE
    assert list(folder.iterdir()) == []


def test_a_download_that_was_cancelled_is_listed_resumed_and_deleted(published, folder):
    few = Patience(chunk_bytes=2**16)

    def begin():
        steps = download_model("published", few)
        next(step for step in steps if step.done_bytes > 2**17)
        steps.close()

    begin()
    model = listed("published")
    assert (model.state, model.path) == (ModelState.PARTIAL, None)
    assert model.partial_bytes == (folder / "published.pth.part").stat().st_size > 2**17
    list(download_model("published", few))
    assert listed("published").state is ModelState.INSTALLED
    assert published.requests[1][1]["Range"] == f"bytes={model.partial_bytes}-"
    delete_model("published")
    begin()
    delete_model("published")
    assert list(folder.iterdir()) == []


def test_a_damaged_file_is_listed_refused_and_downloaded_anew(published, folder):
    list(download_model("published"))
    path = folder / "published.pth"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert listed("published").state is ModelState.DAMAGED
    path.write_bytes(content[:5_000_000] + b"?" + content[5_000_001:])
    with pytest.raises(ModelError, match="published is damaged"):
        load_network("published")
    path.write_bytes(content[:1000])
    list(download_model("published"))
    assert path.read_bytes() == content
    assert listed("published").state is ModelState.INSTALLED


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_file_of_the_users_own_does_not_hide_the_list(own_file, folder, suffix):
    whole = install_model(own_file).path.read_bytes() if suffix == ".safetensors" else own_file.read_bytes()
    folder.mkdir(exist_ok=True)
    (folder / f"broken{suffix}").write_bytes(whole[: len(whole) // 2])
    assert listed("broken").state is ModelState.DAMAGED
    assert listed("lite_medsam").state is ModelState.SHIPPED
    delete_model("broken")
    assert listed("broken") is None


def _lead_nowhere(path):
    path.symlink_to(path.parent / "removed.pth")


@pytest.mark.parametrize("put", [Path.mkdir, _lead_nowhere])
def test_what_is_no_file_does_not_hide_the_list(folder, put):
    folder.mkdir()
    put(folder / "mine.pth")
    assert listed("mine") is None
    assert listed("lite_medsam").state is ModelState.SHIPPED


@pytest.fixture
def unreadable(own_file, folder, monkeypatch):
    """A file that only another user may read."""
    path = folder / "secret.pth"
    folder.mkdir()
    shutil.copy(own_file, path)
    path_open = Path.open

    def refuse(self, *arguments, **options):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return path_open(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    return path


def test_a_file_that_may_not_be_read_is_said_so(unreadable, tmp_path):
    assert listed("secret").state is ModelState.DAMAGED
    for work in (install_model, load_network, lambda path: convert_model(path, tmp_path / "out.safetensors")):
        with pytest.raises(ModelError, match="cannot be read: Permission denied"):
            work(unreadable)


def test_a_disk_that_goes_while_a_file_is_hashed_is_said_so(own_file, folder, monkeypatch):
    class Gone(io.BytesIO):
        def read(self, *_arguments):
            raise OSError(5, "Input/output error")

    path_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *how, **more: Gone() if path == own_file else path_open(path, *how, **more)
    )
    for work in (install_model, load_network):
        with pytest.raises(ModelError, match="cannot be read: Input/output error"):
            work(own_file)
    assert not folder.exists()


@pytest.mark.parametrize(
    "work",
    [lambda name: install_model(Path(name)), load_network, delete_model, lambda name: convert_model(name, Path("x"))],
)
def test_a_name_that_the_system_does_not_allow_is_no_model(work):
    with pytest.raises(ModelError, match="is no file|not installed|neither a file"):
        work("x" * 300)


@pytest.mark.parametrize("phase", [Phase.VERIFYING, Phase.STORING])
def test_an_installation_that_is_cancelled_leaves_nothing(own_file, folder, phase):
    steps = install_in_steps(own_file)
    next(step for step in steps if step.phase is phase)
    steps.close()
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("phase", [Phase.VERIFYING, Phase.STORING])
def test_an_installation_of_a_published_file_that_is_cancelled_leaves_nothing(published, own_file, folder, phase):
    test_an_installation_that_is_cancelled_leaves_nothing(own_file, folder, phase)


def test_who_can_tell_sam_from_medsam_is_asked(tmp_path):
    base = {name: torch.zeros(key["shape"]) for name, key in manifest_of("sam_vit_b")["keys"].items()}
    save_file(base, tmp_path / "vit.safetensors")
    with pytest.raises(AmbiguousFamilyError) as caught:
        install_model(tmp_path / "vit.safetensors")
    assert caught.value.families == ("sam_vit_b", "medsam_vit_b")
    assert install_model(tmp_path / "vit.safetensors", family=caught.value.families[1]).family == "medsam_vit_b"


def test_a_published_file_that_the_user_has_is_known_by_its_hash(published, own_file, folder):
    installed = install_model(own_file, name="whatever")
    assert (installed.name, installed.path) == ("published", folder / "published.pth")
    assert installed.path.read_bytes() == own_file.read_bytes()
    assert published.requests == []


def test_a_file_of_the_users_own_is_installed_under_its_name(own_file, folder):
    installed = install_model(own_file)
    assert (installed.name, installed.family, installed.licence) == ("my_run", "lite_medsam", "unknown")
    assert installed.path == folder / "my_run.safetensors"
    assert read_metadata(installed.path)["source_sha256"] == sha256_of(own_file)
    model = load_network("my_run")
    assert model.network.mask_decoder.iou_token.weight.abs().max() == 0
    assert listed("my_run").state is ModelState.INSTALLED
    delete_model("my_run")
    assert listed("my_run") is None


def test_another_name_may_be_chosen_but_not_one_that_is_taken_or_unsafe(own_file, folder):
    assert install_model(own_file, name="Liver-2.1").path == folder / "Liver-2.1.safetensors"
    for name in ("../up", "a/b", ".hidden", "a b", "a\n", "all", "sam_vit_b", "SAM_ViT_B"):
        with pytest.raises(ModelError, match=r"cannot be a model's name|not the published"):
            install_model(own_file, name=name)
    with pytest.raises(ModelError, match="does not fit the network sam_med2d"):
        install_model(own_file, name="sam_med2d")


def test_a_model_installed_over_a_file_of_another_ending_is_listed_once(own_file, folder):
    folder.mkdir()
    shutil.copy(own_file, folder / "liver.pth")
    installed = install_model(own_file, name="liver")
    assert [model.path for model in list_models() if model.name == "liver"] == [installed.path]


def test_a_file_called_all_gets_a_name_that_does_not_stand_for_every_model(own_file, tmp_path):
    assert install_model(own_file.rename(tmp_path / "all.pth")).name == "model"


def test_a_family_without_a_published_hash_may_be_filled_by_the_user(tmp_path):
    network = build("sam_unet_res34", "cpu")
    torch.save(network.state_dict(), tmp_path / "trained.pth")
    assert install_model(tmp_path / "trained.pth", name="sam_unet_res34").state is ModelState.INSTALLED
    assert load_network("sam_unet_res34").family == "sam_unet_res34"


def test_another_case_of_a_known_name_is_that_name(tmp_path, folder):
    """On Windows and macOS both are one file, and the one would answer for the other."""
    torch.save(build("sam_unet_res34", "cpu").state_dict(), tmp_path / "SAM_UNet_Res34.pth")
    installed = install_model(tmp_path / "SAM_UNet_Res34.pth")
    assert installed.name == "sam_unet_res34"
    assert [path.name for path in folder.iterdir()] == ["sam_unet_res34.safetensors"]


def test_a_name_that_is_kept_for_another_family_is_refused(own_file):
    with pytest.raises(ModelError, match="kept for models of the family sam_unet_res34"):
        install_model(own_file, name="sam_unet_res34", family="lite_medsam")


def test_a_file_under_the_name_of_a_model_without_a_hash_has_its_licence(tmp_path):
    torch.save(build("sam_unet_res34", "cpu").state_dict(), tmp_path / "trained.pth")
    install_model(tmp_path / "trained.pth", name="sam_unet_res34")
    assert listed("sam_unet_res34").licence == read_catalogue().get("sam_unet_res34").licence
    assert read_metadata(listed("sam_unet_res34").path)["licence"] == listed("sam_unet_res34").licence


def test_what_the_user_said_at_installation_is_remembered(tmp_path):
    base = {name: torch.zeros(key["shape"]) for name, key in manifest_of("sam_vit_b")["keys"].items()}
    save_file(base, tmp_path / "sam.safetensors")
    delta = manifest_of("ma_sam")["delta"]
    torch.save(parity_state(delta["keys"], delta["salt"]), tmp_path / "delta.pth")
    with pytest.raises(ModelError, match="on top of sam_vit_b"):
        install_model(tmp_path / "delta.pth", input_size=256)
    install_model(tmp_path / "delta.pth", base=tmp_path / "sam.safetensors", input_size=256)
    model = load_network("delta", base=tmp_path / "sam.safetensors")
    assert model.network.spec.preprocessing.input_size == 256
    assert model.base_sha256 == sha256_of(tmp_path / "sam.safetensors")
    assert model.sha256 in model.identity
    assert model.base_sha256 in model.identity


def test_files_that_do_not_load_are_not_installed(tmp_path, folder):
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04")
    save_file({"a": torch.ones(1)}, tmp_path / "unknown.safetensors")
    for name in ("broken.pth", "unknown.safetensors", "absent.pth"):
        with pytest.raises(ModelError):
            install_model(tmp_path / name)
    assert not folder.exists()


def test_the_shipped_model_is_neither_installed_nor_deleted():
    with pytest.raises(ModelError, match="comes with the program"):
        install_model(SHIPPED)
    with pytest.raises(ModelError, match="comes with the program"):
        delete_model("lite_medsam")


@pytest.mark.parametrize("file", ["sam_vit_b_01ec64.pth", "sam_vit_b_01ec64.pth.part"])
def test_a_file_in_use_which_windows_keeps_is_told(folder, monkeypatch, file):
    folder.mkdir()
    (folder / file).write_bytes(b"half")

    def refuse(path, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=f"{file} cannot be deleted: Permission denied"):
        delete_model("sam_vit_b")


@pytest.mark.parametrize("name", ["sam_vit_b", "nothing", "../resources/x"])
def test_what_is_not_installed_cannot_be_deleted(name):
    with pytest.raises(ModelError, match="not installed"):
        delete_model(name)


def test_everything_may_be_deleted_at_once(own_file, folder):
    install_model(own_file)
    left_over = ["half.pth.lock", "half.pth.part", "half.pth.tag"]
    for name in left_over:
        (folder / name).write_bytes(b"half")
    paths = all_model_files()
    assert [path.name for path in paths] == [*left_over, "my_run.safetensors"]
    delete_model_files(paths)
    assert list(folder.iterdir()) == []
    assert all_model_files() == []


def test_what_a_killed_installation_left_is_deleted_with_everything(folder):
    folder.mkdir()
    killed = written_whole(folder / "my_run.safetensors")
    killed.__enter__()
    assert len(all_model_files()) == 1
    delete_model_files(all_model_files())
    assert list(folder.iterdir()) == []


def test_files_of_the_site_that_are_no_models_stay(folder):
    folder.mkdir()
    others = ["README.txt", "scan.nii.gz", "thesis.part", "price.tag", "results.csv", ".pth", ".hidden.conf"]
    for name in [*others, "model.pth"]:
        (folder / name).write_text("")
    (folder / "folder.pth").mkdir()
    delete_model_files(all_model_files())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "folder.pth"])


def test_too_little_room_is_said_before_copying(own_file, folder, monkeypatch):
    usage = shutil.disk_usage(own_file)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _folder: usage._replace(free=1000))
    with pytest.raises(OutputError, match="MB left"):
        install_model(own_file)
    assert list(folder.iterdir()) == []


def test_conversion_keeps_every_tensor_and_states_the_origin(own_file, tmp_path):
    convert_model(own_file, tmp_path / "out.safetensors")
    assert read_metadata(tmp_path / "out.safetensors") == {
        "family": "lite_medsam",
        "licence": "unknown",
        "source_sha256": sha256_of(own_file),
    }
    before, after = read_tensors(own_file), read_tensors(tmp_path / "out.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_conversion_of_a_published_file_states_its_licence(published, own_file, tmp_path):
    convert_model(own_file, tmp_path / "out.safetensors")
    assert read_metadata(tmp_path / "out.safetensors")["licence"] == published_model.LICENCE


def test_conversion_to_half_precision_halves_the_file(tmp_path):
    network = build("sam_unet_res34", "cpu")
    torch.save(network.state_dict(), tmp_path / "full.pth")
    convert_model(tmp_path / "full.pth", tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.51 * (tmp_path / "full.pth").stat().st_size
    assert load_network(tmp_path / "half.safetensors").family == "sam_unet_res34"
