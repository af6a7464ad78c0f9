"""Options with numbers that would fail only after long work, or say something else than what is wrong."""

import pytest

from SAMUNetSlicerLib.cli.main import build_parser

EVALUATE = ("evaluate", "--data", "d", "--output", "o")
BANK = ("data", "bank", "--sources", "s", "--data", "d", "--weights", "w", "--bank", "b")
STUDY = ("evaluate-propagation", "--data", "d", "--output", "o")


@pytest.mark.parametrize(
    ("command", "option", "value", "said"),
    [
        (EVALUATE, "--limit", "0", "'0' is not a whole number above 0"),
        (EVALUATE, "--limit", "few", "'few' is not a whole number above 0"),
        (EVALUATE, "--seed", "-1", "'-1' is not a whole number of 0 or more"),
        (EVALUATE, "--tolerance", "-1", "'-1' is not a number of 0 or more"),
        (EVALUATE, "--tolerance", "nan", "'nan' is not a number of 0 or more"),
        (EVALUATE, "--tolerance", "wide", "'wide' is not a number of 0 or more"),
        (STUDY, "--limit", "0", "'0' is not a whole number above 0"),
        (BANK, "--zoom", "0", "'0' is not a number of 1 or more"),
        (BANK, "--zoom", "inf", "'inf' is not a number of 1 or more"),
        (BANK, "--synthetic", "1.5", "'1.5' is not a number from 0 to 1"),
        (("benchmark",), "--repetitions", "0", "'0' is not a whole number above 0"),
    ],
)
def test_unusable_numbers_are_refused_before_any_work(command, option, value, said, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args([*command, f"{option}={value}"])
    assert said in capsys.readouterr().err


def test_usable_numbers_are_read():
    arguments = build_parser().parse_args([*EVALUATE, "--limit", "3", "--seed", "0", "--tolerance", "0.5"])
    assert (arguments.limit, arguments.seed, arguments.tolerance) == (3, 0, 0.5)
