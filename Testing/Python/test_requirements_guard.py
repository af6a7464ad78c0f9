"""What is missing is skipped with its reason on a machine of one's own, and fails in continuous integration."""

import pytest
from _pytest.outcomes import Failed, Skipped

from requirements_guard import need


@pytest.mark.parametrize("name", ["no_such_module", "libNoSuchLibrary.so.7"])
def test_a_missing_requirement_is_skipped_with_its_name(name, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(Skipped, match=name):
        need(name)


@pytest.mark.parametrize("name", ["no_such_module", "libNoSuchLibrary.so.7"])
def test_a_missing_requirement_fails_in_continuous_integration(name, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Failed, match=name):
        need(name)


def test_what_is_there_is_handed_back():
    assert need("json").dumps([]) == "[]"
