"""The catalogue says which file and which thing of it is wrong; the one in the repository is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.errors import ConfigError
from training.made.catalogue import CATALOGUE, load

GOODS = """
section = ["Велосипеды"]
[[thing]]
name = "горный велосипед"
head = "{head}"
price = [4000, 60000]
params = [{params}]
[param.wheels]
labels = ["Колёса"]
values = ["26", "29"]
{more}
"""


def _catalogue(folder: Path, *, head: str = "велосипед", params: str = '"wheels"', more: str = "") -> Path:
    (folder / "common.toml").write_text("[param.colour]\nlabels = ['Цвет']\nvalues = ['синий']\n", "utf-8")
    (folder / "bicycles.toml").write_text(GOODS.format(head=head, params=params, more=more), "utf-8")
    return folder


def test_repository_catalogue_is_valid() -> None:
    categories = load(CATALOGUE)
    assert all(category.thing for category in categories)


def test_common_params_belong_to_every_category(tmp_path: Path) -> None:
    (category,) = load(_catalogue(tmp_path, params='"wheels", "colour"'))
    assert set(category.param) == {"wheels", "colour"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"params": '"weels"'}, "bicycles.toml: горный велосипед: unknown params: weels"),
        ({"head": "самокат"}, "head «самокат» does not stand in name"),
        ({"more": 'form = ["26"]'}, "form has 1 entries for 2 values"),
        ({"more": "colour = 1"}, "Extra inputs are not permitted"),
        ({"more": 'clauses = ["{vaule}"]'}, "unknown places: vaule"),
        ({"more": "range = [1, 2, 1]"}, "needs either values or a range"),
        ({"more": "= ="}, "bicycles.toml"),
    ],
)
def test_fault_is_named_with_its_file(tmp_path: Path, words: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(_catalogue(tmp_path, **words))
    assert "bicycles.toml" in str(raised.value)
    assert message in str(raised.value)
