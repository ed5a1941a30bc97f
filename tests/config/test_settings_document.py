"""docs/configuration.md holds every setting as the model has it, and no other."""

from __future__ import annotations

from pathlib import Path

from config.settings import load_settings
from config.settings_table import settings_table

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_rows_are_those_of_the_model() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert rows == [setting.row() for setting in settings_table()]


def test_every_setting_of_the_model_is_described() -> None:
    settings = list(settings_table())
    assert len({setting.name for setting in settings}) == len(settings) >= 50
    assert all(setting.description.endswith(".") for setting in settings)


def test_the_example_loads(tmp_path: Path) -> None:
    (body,) = [block.split("```")[0] for block in TEXT.split("```yaml settings\n")[1:]]
    path = tmp_path / "live.yaml"
    path.write_text(body, encoding="utf-8")
    assert load_settings(path, {"KAFKA_PASSWORD": "x"}).lateness_ms == 500
