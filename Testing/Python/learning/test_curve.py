import numpy as np
from PIL import Image

from SAMUNetSlicerLib.learning.curve import _smooth, draw_curve
from SAMUNetSlicerLib.learning.logs import append_line


def test_a_curve_is_drawn_with_and_without_development_figures(tmp_path):
    rows = "\n".join(f"{step},{2 / step},0.1,0.2,1,3" for step in range(1, 40))
    (tmp_path / "log.csv").write_text(f"step,loss,first_dice,last_dice,rate,seconds\n{rows}\n")
    without = np.asarray(Image.open(draw_curve(tmp_path)))
    (tmp_path / "development.csv").write_text("time,step,box,point\n10:00:00,20,0.7,0.5\n10:10:00,39,0.8,0.6\n")
    with_figures = np.asarray(Image.open(draw_curve(tmp_path)))
    half = without.shape[1] // 2
    assert (without[:, :half] < 128).any()
    assert (with_figures[:, half:] != without[:, half:]).any()


def test_a_noisy_curve_is_the_mean_of_the_last_25_steps():
    smooth = _smooth(np.arange(60.0))
    assert smooth[[0, 10, 24, 59]].tolist() == [0, 5, 12, 47]


def test_a_line_of_a_log_has_four_decimals(tmp_path):
    for step in (1, 2):
        append_line(tmp_path / "log.csv", {"step": step, "loss": 0.123456})
    assert (tmp_path / "log.csv").read_text() == "step,loss\n1,0.1235\n2,0.1235\n"
