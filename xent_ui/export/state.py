"""What the export page keeps between runs: the file that was read, and the format of the pictures."""

from __future__ import annotations

from xent_core.codec import Document, InvalidFile
from xent_core.columns import ColumnChoices
from xent_ui.state.kept import Kept

# id of the upload, what was said of its columns, and its content, or why it has none
READ = Kept[tuple[str, ColumnChoices, Document | InvalidFile] | None]("import_read", None)
FIGURE_FORMAT = Kept[str]("figure_format", "png")
