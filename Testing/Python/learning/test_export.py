import pytest
import torch
from learning_examples import write_bank
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file

from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.cli.main import main
from SAMUNetSlicerLib.errors import ExitCode, ModelError
from SAMUNetSlicerLib.learning.data.bank import Bank
from SAMUNetSlicerLib.learning.data.examples import BankExamples
from SAMUNetSlicerLib.learning.export import export_weights
from SAMUNetSlicerLib.learning.settings import TrainingSettings
from SAMUNetSlicerLib.learning.start import start_from_lite_medsam, start_network
from SAMUNetSlicerLib.learning.training import Trainer
from SAMUNetSlicerLib.networks.lite_medsam import LiteMedSam
from SAMUNetSlicerLib.networks.registry import build
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(3)
    save_file(LiteMedSam().state_dict(), tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


def train_a_step(network, folder):
    """A trainer after one step on a bank, and its checkpoint."""
    write_bank(folder / "bank")
    settings = TrainingSettings(steps=1, images=1, objects=1, rounds=(1.0,))
    trainer = Trainer(network, BankExamples(Bank(folder / "bank")), settings, Fabric(accelerator="cpu", devices=1))
    list(trainer.run())
    trainer.save(folder / "checkpoint.safetensors")
    return trainer, folder / "checkpoint.safetensors"


def test_exported_weights_load_as_the_averaged_network(start, tmp_path):
    network = SamUnetTiny()
    start_from_lite_medsam(network, load_file(start))
    trainer, checkpoint = train_a_step(network, tmp_path)
    output = tmp_path / "tiny.safetensors"
    about = '--about={"licence": "Apache-2.0", "family": "sam_vit_b"}'  # what it is, it knows best itself
    assert main(["models", "export", str(checkpoint), "--from", str(start), about, "-o", str(output)]) == ExitCode.OK
    model = load_network(output)
    assert (model.family, model.licence) == ("sam_unet_tiny", "Apache-2.0")
    state = model.network.state_dict()
    for name, value in trainer.average.values.items():
        torch.testing.assert_close(state[name], value, rtol=2e-3, atol=1e-4)
    positions = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(state[positions], load_file(start)[positions])
    assert load_file(output)["image_encoder.layers.3.blocks.1.mlp.fc1.weight"].dtype == torch.float16


def test_a_share_of_what_was_learned_is_the_mean_with_the_start(start, tmp_path):
    before = SamUnetTiny()
    own_start, output = tmp_path / "own.safetensors", tmp_path / "mean.safetensors"
    save_file(before.state_dict(), own_start)
    trainer, checkpoint = train_a_step(start_network("sam_unet_tiny", own_start), tmp_path)
    options = ["--from", str(own_start), "--share", "0.25", "-o", str(output)]
    assert main(["models", "export", str(checkpoint), *options]) == ExitCode.OK
    state, was = load_network(output).network.state_dict(), before.state_dict()
    for name, value in trainer.average.values.items():
        torch.testing.assert_close(state[name], 0.75 * was[name] + 0.25 * value, rtol=2e-3, atol=1e-4)
    with pytest.raises(ModelError, match="no weights of the family sam_unet_tiny"):
        export_weights(checkpoint, start, output, {}, share=0.25)


def test_a_share_takes_running_statistics_along(tmp_path):
    """Those of batch norms, which sam_unet_tiny has none of."""
    family = "sam_unet_res34"
    network = build(family, "cpu")
    statistics = {name: tensor for name, tensor in network.named_buffers() if "running_mean" in name}
    assert statistics
    save_file(network.state_dict(), tmp_path / "start.safetensors")
    reached = {f"buffer.{name}": torch.full_like(tensor, 8) for name, tensor in statistics.items()}
    trained = start_network(family, tmp_path / "start.safetensors").named_parameters()
    reached |= {f"average.{name}": parameter.detach() for name, parameter in trained if parameter.requires_grad}
    save_file(reached, tmp_path / "reached.safetensors", {"family": family, "step": "1"})
    export_weights(tmp_path / "reached.safetensors", tmp_path / "start.safetensors", tmp_path / "mean", {}, share=0.25)
    mean = load_file(tmp_path / "mean")
    for name, tensor in statistics.items():
        torch.testing.assert_close(mean[name].float(), 0.75 * tensor + 2)


@pytest.mark.parametrize("about", ["[1]", "no json"])
def test_entries_that_are_none_are_told(start, tmp_path, about, capsys):
    with pytest.raises(SystemExit):
        main(
            [
                "models",
                "export",
                str(start),
                "--from",
                str(start),
                "-o",
                str(tmp_path / "a.safetensors"),
                "--about",
                about,
            ]
        )
    assert "--about" in capsys.readouterr().err


def test_the_file_is_named_as_what_it_is(start, tmp_path, capsys):
    output = str(tmp_path / "a.pth")
    assert main(["models", "export", str(start), "--from", str(start), "-o", output]) == ExitCode.MODEL
    assert ".safetensors" in capsys.readouterr().err


def test_something_else_than_a_checkpoint_is_refused(start, tmp_path):
    with pytest.raises(ModelError, match="not a checkpoint"):
        export_weights(start, start, tmp_path / "out.safetensors", {})
