"""That the benchmark measures what it says; how fast anything is, no test asks."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel
from SAMUNetSlicerLib.checkpoints.places import MODELS_FOLDER_VARIABLE
from SAMUNetSlicerLib.cli import benchmark, main
from SAMUNetSlicerLib.errors import ExitCode, ModelError
from SAMUNetSlicerLib.evaluation.benchmarking import (
    fresh_process,
    host,
    machine,
    plane_rows,
    propagation_rows,
    run,
    scene_figures,
    timing,
)
from SAMUNetSlicerLib.evaluation.benchmarking.fresh_process import SessionFacts, session_rows
from SAMUNetSlicerLib.evaluation.benchmarking.phantom import PhantomPlanes
from SAMUNetSlicerLib.evaluation.benchmarking.propagation_rows import (
    TimedPropagation,
    mean_dice_difference,
    straightforward,
)
from SAMUNetSlicerLib.evaluation.benchmarking.table import as_markdown, ratio_row
from SAMUNetSlicerLib.inference.encoding.engines import EngineChoice
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.volumes.propagation.steps import Direction

CPU = torch.device("cpu")
RATES = machine.MatrixRates(fp32=1e9, bf16=2e9)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "sleep", lambda _seconds: None)
    return now


@pytest.fixture
def predictor():
    return PlanePredictor(BrightRegionNetwork())


def takes(clock, *seconds):
    left = iter(seconds)

    def work():
        clock[0] += next(left)

    return work


def test_the_warming_round_does_not_count_and_medians_do(clock):
    works = {"a": takes(clock, 100, 1, 9, 2), "b": takes(clock, 100, 5, 5, 5)}
    assert timing.interleaved_medians(works, 3) == {"a": 2, "b": 5}


@pytest.mark.parametrize(("while_encoding", "while_decoding"), [((0.1, 0.7, 0.2), (0.3,)), ((0.1,), (0.3, 0.7, 0.1))])
def test_the_longest_block_of_a_host_is_found(monkeypatch, while_encoding, while_decoding):
    class Heavy(BrightRegionNetwork):
        def encode_steps(self, images):
            for seconds in while_encoding:
                now[0] += seconds
                yield
            return self.encode(images)

        def decode_steps(self, embedding, prompts):
            for seconds in while_decoding:
                now[0] += seconds
                yield
            return self.decode(embedding, prompts)

    predictor = PlanePredictor(Heavy())
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert host.longest_block(predictor, 4) == pytest.approx(0.7)


@pytest.mark.parametrize("good_answers", [0, 2, 5])
def test_a_model_that_loses_the_object_has_a_row_that_says_so(good_answers):
    class Weak(BrightRegionNetwork):
        answers = 0

        def decode(self, embedding, prompts):
            decoded = super().decode(embedding, prompts)
            self.answers += 1
            return decoded if self.answers <= good_answers else replace(decoded, logits=decoded.logits * 0 - 5)

    (row,) = propagation_rows.propagation_rows(PlanePredictor(Weak()), 10)
    assert row.value == "not measured: the model loses the object at once"


@pytest.mark.parametrize(("able", "said"), [(True, "50% of (b) bf16, 100% of (b) fp32"), (False, "= 100% of (b) fp32")])
def test_the_limit_in_half_precision_is_told_where_there_is_one(monkeypatch, able, said):
    monkeypatch.setitem(machine._SIDES, "cpu", 8)
    monkeypatch.setattr(machine, "computes_in_bfloat16", lambda device: able)
    rates = machine.measure_matrix_rates(CPU, 1)
    assert rates.fp32 > 0
    assert (rates.bf16 is not None) == able
    rates = machine.MatrixRates(1e9, 2e9 if able else None)
    monkeypatch.setattr(plane_rows, "count_encode_flops", lambda network, device: 1e9)
    times = plane_rows.PlaneTimes(*[1.0] * 6)
    row = plane_rows.plane_rows(times, rates, PlanePredictor(BrightRegionNetwork()), 2)[1]
    assert row.value.endswith(said)


def test_arithmetic_of_a_known_network_is_counted():
    class OneConvolution(BrightRegionNetwork):
        def encode(self, images):
            torch.nn.functional.conv2d(images, torch.ones(4, 3, 1, 1))
            return super().encode(images)

    assert machine.count_encode_flops(OneConvolution(), CPU) == 2 * 3 * 4 * 64 * 64


def propagated(predictor, count, planes_a_turn=2):
    walk = TimedPropagation(predictor, count)
    while walk.turn(planes_a_turn):
        pass
    return walk


def test_a_propagation_between_two_key_planes_answers_twice_and_encodes_once(predictor):
    ours, theirs = propagated(predictor, 6), propagated(straightforward(predictor), 6)
    assert set(ours.masks) == set(theirs.masks) == set(range(6))
    assert ours.answers == theirs.answers == 2 + 2 * 4
    assert ours.encodes < theirs.encodes
    assert mean_dice_difference(ours.masks, theirs.masks) == 0


@pytest.mark.parametrize("planes_a_turn", [1, 3, 4, 9])
def test_a_propagations_time_is_that_of_its_planes_however_they_are_dealt_out(clock, planes_a_turn):
    class Slow(PlanePredictor):
        def predict(self, *arguments):
            clock[0] += 2.0
            return super().predict(*arguments)

    walk = propagated(Slow(BrightRegionNetwork()), 6, planes_a_turn)
    assert walk.seconds(Direction.UP) == pytest.approx(4 * 2.0)
    assert walk.seconds(Direction.UP, Direction.DOWN) == pytest.approx(8 * 2.0)


def test_a_plane_that_only_one_has_counts_as_wrong():
    mask = np.ones((4, 4), dtype=bool)
    assert mean_dice_difference({0: mask, 1: mask}, {0: mask}) == 0.5
    half = mask.copy()
    half[2:] = False
    assert mean_dice_difference({0: half}, {0: mask}) == pytest.approx(1 - 2 * 8 / 24)


def test_the_phantoms_object_is_where_its_box_is_and_planes_differ():
    planes = PhantomPlanes(3)
    x0, y0, x1, y1 = (round(v) for v in planes.box(2).box_xyxy)
    picture = planes.image(2).rgb[..., 0].astype(float)
    assert picture[y0 + 20 : y1 - 20, x0 + 20 : x1 - 20].mean() > 1.5 * np.median(picture)
    assert planes.image(0).key != planes.image(1).key
    assert (planes.image(1).rgb == PhantomPlanes(9).image(1).rgb).all()


def test_ratios_are_of_the_baseline_over_ours_and_are_judged():
    assert ratio_row("x", 4.0, 2.0, 1.5).met is True
    assert ratio_row("x", 4.0, 2.0, 2.5).met is False
    assert ratio_row("x", 4.0, 2.0).met is None
    assert "| 2.00 x | >= 2.5 x | missed |" in as_markdown("t", [ratio_row("x", 4.0, 2.0, 2.5)])


def test_memory_is_judged_by_growth_and_flatness():
    mb = 2**20
    facts = SessionFacts(5.0, 400 * mb, 800 * mb, 880 * mb)
    first, growth, flat = session_rows(facts, forward_s=1.0)
    assert (first.met, growth.met, flat.met) == (True, True, False)
    assert session_rows(SessionFacts(11.0, None, None, None), 1.0)[0].met is False


def test_a_session_tells_when_its_first_mask_was_there(monkeypatch, capsys):
    monkeypatch.setattr("SAMUNetSlicerLib.checkpoints.loading.load_network", lambda *a, **k: "model")
    opened = PlanePredictor(BrightRegionNetwork())
    monkeypatch.setattr("SAMUNetSlicerLib.inference.opening.open_predictor", lambda *a, **k: opened)
    fresh_process.main("model", "cpu", "torch", 3, 5, started=0.0)
    facts = SessionFacts(**json.loads(capsys.readouterr().out))
    assert opened.counts.answered == 5
    assert facts.first_mask_s > 1e9, "counted from the given start"
    assert facts.after_planes is None or facts.after_planes > 0


def test_the_whole_benchmark_prints_every_row(monkeypatch, capsys):
    loaded = LoadedModel(BrightRegionNetwork(), "bright_region", "ab" * 32, "fake", "none")
    monkeypatch.setattr(run, "locate", lambda name, catalogue: Path(name))
    monkeypatch.setattr(run, "load_network", lambda *a, **k: loaded)
    monkeypatch.setattr(run, "open_predictor", lambda model, *a, **k: PlanePredictor(model.network))
    monkeypatch.setattr(run, "measure_session", lambda *a: SessionFacts(5.0, 2**28, 2**29, 2**29))
    monkeypatch.setattr(benchmark, "measure_matrix_rates", lambda device: RATES)
    assert main(["benchmark", "--model", "fake", "--quick", "--no-scene", "--json", "--device", "cpu"]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)["models"]["fake"]
    wanted = ["encode one plane", "decode", "on an encoded crop", "new plane", "longest block", "propagation over 10"]
    wanted += ["Dice", "first mask", "memory (RSS)", "memory from 10 to 20"]
    for words in wanted:
        assert any(words in row["what"] for row in rows), words
    assert main(["benchmark", "--model", "fake", "--quick", "--no-scene", "--device", "cpu"]) == ExitCode.OK
    assert "(b), this machine's limit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "repetitions", "planes"),
    [([], 7, 100), (["--quick"], 3, 10), (["--quick", "--repetitions", "5"], 5, 10)],
)
def test_repetitions_are_those_asked_for(monkeypatch, options, repetitions, planes):
    extents = []
    monkeypatch.setattr(run, "locate", lambda name, catalogue: Path(name))
    monkeypatch.setattr(benchmark, "measure_matrix_rates", lambda device: RATES)
    monkeypatch.setattr(benchmark, "open_subject", lambda *_: run.Subject("fake", None, None))
    monkeypatch.setattr(
        benchmark, "measure", lambda _subject, _rates, _engine, extent, *_: extents.append(extent) or []
    )
    assert main(["benchmark", "--model", "fake", "--no-scene", "--device", "cpu", *options]) == ExitCode.OK
    assert [(e.repetitions, e.propagated) for e in extents] == [(repetitions, planes)]


def test_the_new_process_computes_on_the_same_card(monkeypatch):
    asked = []
    monkeypatch.setattr(run, "measure_session", lambda *a: asked.append(a) or SessionFacts(5.0, None, None, None))
    loaded = LoadedModel(BrightRegionNetwork(), "bright_region", "ab" * 32, "fake", "none")
    subject = run.Subject("fake", loaded, PlanePredictor(loaded.network, torch.device("cpu:0")))
    list(run.measure(subject, RATES, EngineChoice.TORCH, run.Extent(1, 10, 2, 2, 3), False, lambda _what: None))
    assert asked[0][:2] == ("fake", "cpu:0")


def test_a_family_without_weights_is_measured_with_random_ones(monkeypatch, tmp_path):
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(run, "build", lambda *a, **k: BrightRegionNetwork())
    subject = run.open_subject("sam_unet_res34", CPU, run.EngineChoice.TORCH)
    assert subject.loaded is None
    assert "random weights" in subject.title


def test_a_family_whose_weights_are_damaged_is_not_measured_with_random_ones(monkeypatch, tmp_path):
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "sam_unet_res34.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="damaged"):
        run.open_subject("sam_unet_res34", CPU, run.EngineChoice.TORCH)


def test_unknown_models_are_refused_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure_matrix_rates", lambda device: pytest.fail("it measures"))
    asked = ["benchmark", "--model", "sam_unet_tiny", "no_such_thing", "--device", "cpu"]
    assert main(asked) == ExitCode.MODEL
    assert "no_such_thing" in capsys.readouterr().err


def test_networks_without_prompts_are_not_measured(monkeypatch, tmp_path):
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path))
    network = BrightRegionNetwork()
    network.spec = replace(network.spec, classes=8)
    monkeypatch.setattr(run, "build", lambda *a, **k: network)
    with pytest.raises(ModelError, match="no prompts"):
        run.open_subject("samed", CPU, run.EngineChoice.TORCH)


def test_without_slicer_core_the_scene_says_so(monkeypatch):
    monkeypatch.setattr(scene_figures.importlib.util, "find_spec", lambda name: None)
    assert "slicer-core" in scene_figures.scene_report()


def test_a_failing_scene_benchmark_is_told(monkeypatch):
    monkeypatch.setattr(scene_figures.importlib.util, "find_spec", lambda name: "there")
    failed = subprocess.CompletedProcess([], 1, "", "no scene")
    monkeypatch.setattr(scene_figures.subprocess, "run", lambda *a, **k: failed)
    assert "no scene" in scene_figures.scene_report()


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_the_clock_stops_once_a_graphics_card_has_computed(monkeypatch, device):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(str(device)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    plane_rows._finished("answer", torch.device(device))
    assert waited == [device]


def test_nothing_of_a_measured_plane_is_in_double_precision_which_apples_graphics_do_not_know(predictor):
    decode, dtypes = predictor.network.decode, set()

    def noting(embedding, prompts):
        dtypes.add(prompts.boxes_xyxy.dtype)
        return decode(embedding, prompts)

    predictor.network.decode = noting
    plane_rows.measure_plane(predictor, 1)
    assert dtypes == {torch.float32}
