"""What the doctor's page keeps between runs: what is examined, what was pasted, and the pitfall on screen."""

from __future__ import annotations

from xent_core import Finding
from xent_core.doctor.pitfalls import PITFALLS
from xent_ui.state.kept import Kept
from xent_ui.table.loss_options_form import loss_option_entries

TABLE, PASTE, FILE, MESSAGE = ("table", "paste", "file", "message")
SOURCE = Kept[str]("doctor_source", TABLE)
LOGITS, TARGET = Kept[str]("doctor_logits", ""), Kept[str]("doctor_target", "")
LOGITS_DTYPE, TARGET_DTYPE = Kept[str]("doctor_logits_dtype", "float32"), Kept[str]("doctor_target_dtype", "int64")
OPTION_ENTRIES = loss_option_entries("doctor_", "reduction", "label_smoothing", "ignore_index", "weight")
ERROR_MESSAGE = Kept[str]("doctor_message", "")
# id of the upload and the language of the findings; these, or why it cannot be read
READ = Kept[tuple[tuple[str, str | None], list[Finding] | str] | None]("doctor_read", None)
SYMPTOM = Kept[str]("doctor_symptom", "")
# of each box of text, what was in it when a pitfall was chosen for it
MATCHED = {entry.name: Kept[str](f"{entry.name}_matched", "") for entry in (SYMPTOM, ERROR_MESSAGE)}
PITFALL = Kept[str | None]("doctor_pitfall", next(iter(PITFALLS)))  # None after a text that nothing fits
EXAMPLE_MESSAGE = Kept[str]("doctor_example_message", "")  # the message that the example is to show
