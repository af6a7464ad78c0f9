"""`samunet evaluate` from a data folder to its report."""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from fakes import ALL_PROMPTS, BrightRegionNetwork
from requirements_guard import need
from SAMUNetSlicerLib.checkpoints.loading import LoadedModel
from SAMUNetSlicerLib.errors import ModelError, OutputError, UserError
from SAMUNetSlicerLib.evaluation import command
from SAMUNetSlicerLib.networks.base import PromptKind

need("monai")

from SAMUNetSlicerLib.evaluation.contact_sheet import TILES, Extremes  # noqa: E402
from SAMUNetSlicerLib.evaluation.metrics import Scores  # noqa: E402
from SAMUNetSlicerLib.evaluation.report import ReportFacts, markdown  # noqa: E402
from SAMUNetSlicerLib.evaluation.running import Result, Shown  # noqa: E402

SET = """
[[sources]]
name = "discs"
folder = "discs"
masks = ["*_mask.png"]
case = '^\\d+'
image = "{case}_image.png"
objects = "binary"

[[sources]]
name = "balls"
folder = "balls"
masks = ["*_labels.nii.gz"]
case = '^\\d+'
image = "{case}_image.nii.gz"
window = "0:255"
volumes = true

[groups]
"round things" = ["balls"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    (root / "discs").mkdir()
    (root / "balls").mkdir()
    rows, columns = np.mgrid[:60, :70]
    for number in range(3):
        disc = (rows - 30) ** 2 + (columns - 30 - number) ** 2 < (12 + number) ** 2
        Image.fromarray(np.where(disc, 200, 30).astype(np.uint8)).save(root / "discs" / f"{number}_image.png")
        Image.fromarray(disc.astype(np.uint8) * 255).save(root / "discs" / f"{number}_mask.png")
    k, j, i = np.mgrid[:11, :40, :40]
    ball = (2 * (k - 5)) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 < 100
    for name, array in (("image", np.where(ball, 200, 30).astype(np.int16)), ("labels", ball.astype(np.uint8))):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 2.0))
        sitk.WriteImage(image, str(root / "balls" / f"0_{name}.nii.gz"))
    (root / "set.toml").write_text(SET, encoding="utf-8")
    return root


@pytest.fixture
def evaluate(data, tmp_path, monkeypatch):
    def load(name, device):
        network = BrightRegionNetwork(PromptKind.BOX if "boxes" in name else ALL_PROMPTS)
        network.spec = replace(network.spec, classes=int("classes" in name))
        return LoadedModel(network, "bright_region", "0" * 64, Path(name).name, "Apache-2.0")

    def run(*options: str, output: str = "report"):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        fixed = ["--data", str(data), "--set", str(data / "set.toml"), "--output", str(tmp_path / output)]
        report = command.run_evaluation(parser.parse_args([*fixed, *options]))
        with (report.parent / "results.csv").open(encoding="utf-8") as stream:
            return report, list(csv.DictReader(stream))

    monkeypatch.setattr(command, "load_network", load)
    return run


def test_every_protocol_reaches_the_report(evaluate):
    report, rows = evaluate("--protocols", *command.PLANE_PROTOCOLS, "volume", "--limit", "1")
    prompts = {row["prompt"] for row in rows}
    assert {"exact box", "jittered box", "1 point", "3 random points", "box + 2 corrections"} <= prompts
    assert {"one box in 3D", "one box in 3D + 3 corrections"} <= prompts
    text = report.read_text(encoding="utf-8")
    assert all(f"## Dice: {prompt}" in text for prompt in prompts)
    assert "**without round things**" in text
    pictures = {path.name for path in report.parent.glob("*.png")}
    assert {"worst_best_exact_box.png", "worst_best_one_box_in_3D.png"} <= pictures
    with Image.open(report.parent / "worst_best_exact_box.png") as picture:
        assert min(picture.size) > 200
    by_method = {row["method"]: float(row["dice"]) for row in rows if row["prompt"] == "exact box"}
    assert by_method["sam_unet_tiny, zoomed"] > 0.9 > by_method["filled box"]


def test_the_same_seed_gives_the_same_files_and_a_limit_the_same_prompts(evaluate):
    first, rows = evaluate("--protocols", "jittered-box", "random-points", "--peers", "rules")
    second, _ = evaluate("--protocols", "jittered-box", "random-points", "--peers", "rules", output="again")
    assert first.read_bytes() == second.read_bytes()
    assert (first.parent / "results.csv").read_bytes() == (second.parent / "results.csv").read_bytes()
    _, few = evaluate("--protocols", "jittered-box", "--peers", "rules", "--limit", "2", output="few")
    assert all(row in rows for row in few)
    assert len({row["target"] for row in few if row["source"] == "discs"}) == 2


def test_no_peers_are_asked_where_none_is_wanted(evaluate):
    _, rows = evaluate("--protocols", "box", "--peers")
    assert {row["method"] for row in rows} == {"sam_unet_tiny, zoomed"}


def test_files_of_one_name_are_told_apart_by_their_folders(evaluate):
    report, rows = evaluate(
        "--protocols", "box", "--limit", "1", "--peers", "--model", "one/a.pth", "two/a.pth", "b.pth"
    )
    assert {row["method"] for row in rows} == {"one/a.pth, zoomed", "two/a.pth, zoomed", "b.pth, zoomed"}
    assert "- Model two/a.pth: family" in report.read_text(encoding="utf-8")


def test_nothing_to_measure_is_told(evaluate):
    with pytest.raises(UserError, match="Nothing was measured"):
        evaluate("--protocols", "points", "--peers", "--model", "boxes.pth")


def test_models_that_take_no_prompts_are_refused(evaluate):
    with pytest.raises(ModelError, match="finds its classes by itself"):
        evaluate("--model", "classes.pth")


def test_a_report_that_could_not_be_written_is_refused_before_the_work(evaluate, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "plane_cases", lambda *_: pytest.fail("the work began"))
    (tmp_path / "report" / "results.csv").mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder"):
        evaluate("--protocols", "box")


def test_what_is_finished_is_written_when_interrupted(evaluate, monkeypatch, tmp_path):
    def two_cases(source, limit):
        yield from list(plane_cases(source, limit))[:2]
        raise KeyboardInterrupt

    plane_cases = command.plane_cases
    monkeypatch.setattr(command, "plane_cases", two_cases)
    with pytest.raises(KeyboardInterrupt):
        evaluate("--protocols", "box", "--peers")
    assert len((tmp_path / "report" / "results.csv").read_text(encoding="utf-8").splitlines()) == 3


def result(source: str, case: str, dice: float, method: str = "m", unit: str = "mm") -> Result:
    return Result(source, case, case, "exact box", method, Scores(dice, dice / 2, dice - 0.1, 1 - dice), unit)


def test_the_tables_count_sources_alike_and_show_what_was_not_asked():
    results = [result("a", "1", 0.5), result("a", "2", 0.7), result("b", "1", 1.0), result("b", "1", 0.1, "other")]
    text = markdown(
        results, ReportFacts("Title", ("a line",), {"seen": ("b",), "absent": ("c",), "all": ("a", "b")}, 0)
    )
    by_source = {line.split(" | ")[0]: line for line in text.split("## Dice: exact box")[1].splitlines()}
    assert by_source["| a"].startswith("| a | 2 | 0.600 (")
    assert by_source["| a"].endswith("| – |")
    assert by_source["| b"] == "| b | 1 | 1.000 (1.000 to 1.000) | 0.100 (0.100 to 0.100) |"
    assert by_source["| **mean over sources**"].startswith("| **mean over sources** | 3 | 0.800 (")
    assert by_source["| **without seen**"].startswith("| **without seen** | 2 | 0.600 (")
    assert "without absent" not in text
    assert "without all" not in text
    (overview,) = (line for line in text.splitlines() if line.startswith("| exact box | m |"))
    assert [cell.split(" (")[0] for cell in overview.split(" | ")[2:]] == [
        "2", "3", "0.800", "0.600", "0.400", "0.700", "0.2", "– |",  # all, without seen, IoU, NSD, HD95 in mm and px
    ]  # fmt: skip


def test_distances_in_millimetres_and_pixels_are_not_mixed():
    text = markdown([result("a", "1", 0.5), result("b", "1", 0.2, unit="px")], ReportFacts("T", (), {}, 0))
    assert text.split("## Dice")[0].rstrip().endswith("| 0.5 | 0.8 |")


def test_only_the_worst_and_best_are_kept():
    extremes = Extremes()
    values = np.random.default_rng(0).permutation(50) / 50
    for value in values:
        extremes.add(Shown(result("a", "1", float(value)), None, None, None, None))
    assert [s.result.scores.dice for s in extremes.worst] == sorted(values)[:TILES]
    assert [s.result.scores.dice for s in extremes.best] == sorted(values, reverse=True)[:TILES]
