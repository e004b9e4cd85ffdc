"""A Problem written down: as a token for a link, as a file, as a program that runs alone."""

from xent_core.codec.array_files import to_npz, to_safetensors
from xent_core.codec.csv_table import to_csv
from xent_core.codec.document import Document, from_json, to_json
from xent_core.codec.files import MAX_FILE_BYTES, read_file
from xent_core.codec.notebook import to_notebook
from xent_core.codec.refusals import InvalidFile, InvalidToken, TokenTooLong, UnsupportedInJax
from xent_core.codec.sandboxed_reading import read_file_in_sandbox
from xent_core.codec.script import to_script
from xent_core.codec.tokens import MAX_TOKEN, from_token, to_token

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_TOKEN",
    "Document",
    "InvalidFile",
    "InvalidToken",
    "TokenTooLong",
    "UnsupportedInJax",
    "from_json",
    "from_token",
    "read_file",
    "read_file_in_sandbox",
    "to_csv",
    "to_json",
    "to_notebook",
    "to_npz",
    "to_safetensors",
    "to_script",
    "to_token",
]
