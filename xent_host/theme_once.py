"""Has Streamlit read the options of its theme once: it reads all of them at the beginning of each run.

That took a sixth of the processor time of a server whose visitors all edit.
"""

from __future__ import annotations

from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session


def apply() -> None:
    """From now on, a message gets what was read the first time; a server does not change its theme."""
    try:
        read = app_session._populate_theme_msg
    except AttributeError:  # Streamlit has moved it: then it goes on reading them
        return
    known: dict[str, CustomThemeConfig] = {}

    def fill(msg: CustomThemeConfig, section: str = "theme") -> None:
        if section not in known:
            known[section] = CustomThemeConfig()
            read(known[section], section)
        if known[section].ByteSize():  # merging nothing would say that there is an empty one
            msg.MergeFrom(known[section])

    app_session._populate_theme_msg = fill
