"""The pinned settings: to a sheet and back, and onto tables of another size or another kind of target."""

from xent_core.presets import PRESETS
from xent_ui.state.sheet import sheet_of_preset
from xent_ui.widgets.pinned_settings import Settings, settings_of, with_settings

WORKED = sheet_of_preset(PRESETS["worked-batch"])


def test_settings_and_sheet_tell_the_same() -> None:
    for name, preset in PRESETS.items():
        sheet = sheet_of_preset(preset)
        assert with_settings(sheet, settings_of(sheet)) == sheet, name


def test_a_pin_of_more_classes_fits_a_smaller_table() -> None:
    settings = Settings(weight=("1", "2", "3"))

    assert with_settings(WORKED.resized(3, 2), settings).weight == ("1", "2")
    assert with_settings(WORKED.resized(3, 4), settings).weight == ("1", "2", "3", "1")


def test_a_class_cannot_be_ignored_where_the_target_holds_probabilities() -> None:
    sheet = with_settings(WORKED, Settings(form="probabilities", ignore_index=2))

    assert sheet.ignore_index == -100
    sheet.to_problem()
