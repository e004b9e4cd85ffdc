"""What the export page keeps between runs: the file that was read, and the format of the pictures."""

from __future__ import annotations

from xent_core.codec import Document
from xent_ui.state.kept import Kept

READ = Kept[tuple[str, Document | str] | None]("import_read", None)  # id of the upload; its content, or why it has none
FIGURE_FORMAT = Kept[str]("figure_format", "png")
