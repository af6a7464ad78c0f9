import numpy as np
import pytest
import torch
from learning_examples import two_discs, write_bank
from lightning_fabric import Fabric
from PIL import Image
from safetensors.torch import load_file, save_file

from repository import LIBRARY
from SAMUNetSlicerLib.errors import InputError, ModelError, UserError
from SAMUNetSlicerLib.learning import command, training
from SAMUNetSlicerLib.learning.command import Files, run_training
from SAMUNetSlicerLib.learning.data import examples
from SAMUNetSlicerLib.learning.data.examples import PictureExamples
from SAMUNetSlicerLib.learning.data.sources import SourceSpec, find_pairs
from SAMUNetSlicerLib.learning.losses import LossWeights, PromptLoss
from SAMUNetSlicerLib.learning.prompts import Habits, first_prompt
from SAMUNetSlicerLib.learning.settings import ForwardPrecision, Optimizer, TrainingSettings, rate_factor, read_settings
from SAMUNetSlicerLib.learning.start import start_network
from SAMUNetSlicerLib.networks.base import Decoded
from SAMUNetSlicerLib.networks.registry import build

CONFIG = LIBRARY / "learning" / "configs" / "sam_unet_published.toml"


def pairs_of_two_discs(folder):
    picture = two_discs()
    Image.fromarray(picture.image[:80]).save(folder / "a_image.png")
    Image.fromarray(picture.labels[:80]).save(folder / "a_labels.png")
    return find_pairs(SourceSpec("discs", "."), folder)


def test_the_recipe_is_the_published_one():
    settings = read_settings(CONFIG)
    assert (settings.optimizer, settings.rate, settings.precision) == (Optimizer.ADAM, 1e-4, ForwardPrecision.FLOAT32)
    assert (settings.loss.dice, settings.loss.focal, settings.loss.pooled) == (20, 1, True)
    epoch = settings.steps // 12
    rates = [rate_factor(int((number + 0.5) * epoch), settings) for number in range(12)]
    assert rates == [1] * 5 + [0.5] * 5 + [0.25] * 2


def test_json_states_the_same_as_toml(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"training": {"steps": 5, "rounds": [1.0], "habits": {"shift": 5.0}}}')
    settings = read_settings(path)
    assert (settings.steps, settings.rounds, settings.habits.shift) == (5, (1.0,), 5.0)


def test_a_wrong_key_of_a_recipe_is_named(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[training]\nstep = 5\n")
    with pytest.raises(InputError, match="step"):
        read_settings(path)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("rounds = [0.5, 0.4]", "rounds"),
        ("rounds = []", "rounds"),
        ("images = 0", "images"),
        ("checkpoint_every = 0", "checkpoint_every"),
        ('steps = "4"', "steps"),
        ("rate = nan", "rate"),
        ("seed = -1", "seed"),
        ("milestones = ['half']", "milestones"),
        ("loss_side = 100", "loss_side"),
        ("habits = 3", "int"),
        ("habits = {shares = [1.0, 1.0]}", "shares"),
        ("habits = {shares = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]}", "only 5 first prompts"),
        ("seed = 0.5", "seed"),
        ("warm_up = 0.5", "warm_up"),
        ("cool_down = 1.5", "cool_down is not from 0 to 1"),
        ("decay = 1.01", "decay is not from 0 to 1"),
        ("milestones = [0.5, 1.5]", "milestones is not from 0 to 1"),
        ("rate = -1e-3", "rate is below 0"),
        ("weight_decay = -0.1", "weight_decay is below 0"),
        ("clip = -1.0", "clip is below 0"),
        ("loss = {dice = -1.0}", "dice is below 0"),
        ("habits = {negative_points = 2.0}", "negative_points is not from 0 to 1"),
        ("habits = {shift = -3.0}", "shift is below 0"),
        ("rounds = [0.3333333, 0.3333333, 0.3333333]", "rounds"),  # which numpy would refuse when it draws
    ],
)
def test_a_value_that_cannot_be_is_told_before_the_training(tmp_path, line, named):
    path = tmp_path / "config.toml"
    path.write_text(f"[training]\n{line}\n")
    with pytest.raises(InputError, match=named):
        read_settings(path)


def test_torchrun_and_the_option_must_agree(tmp_path, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "any", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="--processes 8"):
        run_training(CONFIG, Files(tmp_path / "start", tmp_path / "run"))


def test_more_processes_than_graphics_cards_are_refused_in_plain_words(tmp_path, monkeypatch):
    from lightning_fabric.accelerators import cuda

    monkeypatch.setattr(cuda, "num_cuda_devices", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(InputError, match=r"fewer graphics cards than processes \(4\)"):
        run_training(CONFIG, Files(tmp_path / "start", tmp_path / "run"), processes=4)


@pytest.mark.parametrize(
    ("device", "processes", "asked"),
    [
        ("auto", 2, {"accelerator": "cuda", "devices": 2, "strategy": "ddp"}),
        ("cuda", 1, {"accelerator": "cuda", "devices": 1, "strategy": "auto"}),
        ("cuda:1", 1, {"accelerator": "cuda", "devices": [1], "strategy": "auto"}),
        ("cpu", 2, {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}),
    ],
)
def test_the_device_that_is_wished_for_trains(tmp_path, monkeypatch, device, processes, asked):
    class Asked(Exception):
        pass

    def fabric(**how):
        raise Asked(how)

    monkeypatch.setattr(command, "Fabric", fabric)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(Asked) as raised:
        run_training(CONFIG, Files(tmp_path / "start", tmp_path / "run"), processes=processes, device=device)
    assert raised.value.args == (asked,)


@pytest.mark.parametrize(("device", "told"), [("cuda:1", "share one graphics card"), ("gpu", "not known")])
def test_a_device_that_cannot_train_is_told(tmp_path, monkeypatch, device, told):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match=told):
        run_training(CONFIG, Files(tmp_path / "start", tmp_path / "run"), processes=2, device=device)


def test_an_empty_development_bank_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "SAMUNetSlicerLib.learning.command.start_network", lambda family, start: build(family, device="cpu")
    )
    write_bank(tmp_path / "bank")
    files = Files(tmp_path / "start", tmp_path / "run", bank=tmp_path / "bank", development_bank=tmp_path / "held")
    with pytest.raises(InputError, match="held is empty"):
        run_training("sam_unet_tiny", files)


def test_boxes_are_moved_as_a_whole():
    mask = np.zeros((256, 256), bool)
    mask[60:100, 50:130] = True
    habits = Habits(shares=(1, 0, 0, 0, 0), shift=5.0)
    moved = np.subtract(first_prompt(mask, habits, np.random.default_rng(0)).box, (50, 60, 130, 100))
    assert moved[0] == pytest.approx(moved[2])
    assert moved[1] == pytest.approx(moved[3])
    assert 0 < np.abs(moved).max() <= 5


def test_pooled_dice_is_one_number_for_the_batch():
    loss = PromptLoss(LossWeights(cross_entropy=0, pooled=True))
    targets = torch.zeros(2, 1, 16, 16)
    targets[0, :, :12] = 1
    targets[1, :, :1] = 1
    logits = torch.where(targets > 0, 20.0, -20.0)
    logits[1] *= -1
    first, second = loss(Decoded(logits, None), targets).tolist()
    assert first == second > 0.1


def test_pictures_come_whole_with_their_objects_in_place(tmp_path):
    network = build("sam_unet_res34")
    (example,) = PictureExamples(pairs_of_two_discs(tmp_path), network).draw(1, np.random.default_rng(0))
    assert example.image.shape == (3, 256, 256)
    assert len(example.objects) == 2
    bright = example.image[0].numpy() > 0.5
    assert np.mean(bright != (example.parts > 0)) < 0.02
    assert not example.parts[205:].any()  # 80 of 100 rows


def test_pictures_without_objects_end_a_training(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "PATIENCE", 20)
    pairs = pairs_of_two_discs(tmp_path)
    Image.fromarray(np.zeros((80, 100), np.uint8)).save(pairs[0].mask)
    with pytest.raises(InputError, match="shows an object"):
        PictureExamples(pairs, build("sam_unet_res34")).draw(1, np.random.default_rng(0))


def test_other_families_are_not_trained(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "any.safetensors")
    with pytest.raises(ModelError, match="lite_medsam"):
        start_network("lite_medsam", tmp_path / "any.safetensors")


@pytest.mark.parametrize("family", ["sam_unet_tiny", "sam_unet_res34"])
def test_missing_data_is_explained(tmp_path, monkeypatch, family):
    monkeypatch.setattr("SAMUNetSlicerLib.learning.command.start_network", lambda family, start: build(family))
    (tmp_path / "config.toml").write_text(f'[training]\nfamily = "{family}"\n')
    with pytest.raises(InputError, match="trained on"):
        run_training(tmp_path / "config.toml", Files(tmp_path / "start", tmp_path / "run"))


@pytest.mark.slow
def test_sam_unet_learns_all_but_its_vit(tmp_path):
    torch.manual_seed(0)
    network = build("sam_unet_res34", device="cpu")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    settings = TrainingSettings(
        family="sam_unet_res34", steps=1, images=1, objects=2, rounds=(1.0,), precision=ForwardPrecision.FLOAT32,
        loss_side=256, warm_up=0, cool_down=0.0, decay=0.0, habits=Habits(shares=(1, 0, 0, 0, 0)),
    )  # fmt: skip
    drawn = PictureExamples(pairs_of_two_discs(tmp_path), network)
    trainer = training.Trainer(network, drawn, settings, Fabric(accelerator="cpu", devices=1))
    training.train(trainer, tmp_path, None, lambda now: None)
    moved = {
        name.split(".")[0] for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert moved == {"resnet", "adapters_in", "adapters_bridge", "embedding_encoder", "mask_decoder", "prompt_encoder"}
    stored = load_file(tmp_path / "checkpoint.safetensors")
    assert torch.equal(stored["buffer.resnet.stage0.1.running_mean"], network.resnet.stage0[1].running_mean)
