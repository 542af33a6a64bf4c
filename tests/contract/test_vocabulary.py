"""Plan and helper speak of the same steps, with the same parameters."""

import inspect
from dataclasses import fields

import pytest

from aiocontainer.plan.steps import VOCABULARY
from aiocontainer.proc.helper.steps import STEPS


def test_there_is_a_step_for_each_function_and_a_function_for_each_step() -> None:
    assert set(VOCABULARY) == set(STEPS)


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_a_step_has_the_parameters_of_its_function(name: str) -> None:
    _context, *parameters = inspect.signature(STEPS[name]).parameters
    assert [field.name for field in fields(VOCABULARY[name])] == parameters


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_a_step_says_why_it_is_there(name: str) -> None:
    text = VOCABULARY[name].__doc__ or ""
    assert not text.startswith(f"{VOCABULARY[name].__name__}("), "a generated docstring"
