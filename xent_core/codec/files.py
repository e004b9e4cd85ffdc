"""Reads a Problem from a file, whose name says of which kind it is; other kinds are refused unread."""

from __future__ import annotations

from pathlib import PurePath

from xent_core.codec.array_files import read_npz, read_safetensors
from xent_core.codec.csv_table import read_csv
from xent_core.codec.document import Document, from_json, shown
from xent_core.codec.refusals import InvalidFile
from xent_core.columns import ColumnChoices
from xent_core.language import _

MAX_FILE_BYTES = 16 * 2**20
NOTHING_SAID = ColumnChoices()
KINDS = (".json", ".csv", ".tsv", ".txt", ".npz", ".safetensors")
OF_TORCH = (".pt", ".pth", ".bin", ".ckpt")
PICKLES = (*OF_TORCH, ".pkl", ".pickle", ".joblib", ".dill")

_CONVERT = """import safetensors.torch, torch
batch = torch.load("your_file.pt", weights_only=True)
parts = {name: torch.as_tensor(batch[name]).detach().contiguous() for name in ("logits", "target")}
safetensors.torch.save_file(parts, "batch.safetensors")"""


def read_file(name: str, data: bytes, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """The Problem in a file; its name says of which kind it is: .json, .csv, .npz or .safetensors.

    `choices` says which columns of a table are what, where that is not clear.

    Nothing in it is run, and nothing is unpacked beyond its limits. docs/format.md describes each kind.
    Raises: InvalidFile for whatever is not a whole, honest file of a known kind.
    """
    kind = PurePath(name).suffix.lower()
    if kind in PICKLES:
        advice = (
            _("On your own computer this saves the numbers, and runs nothing that is in the file:") + f"\n{_CONVERT}"
        )
        if kind not in OF_TORCH:
            advice = _("Load it where you trust whoever wrote it, and save the numbers:")
            advice += " np.savez('batch.npz', logits=logits, target=target)"
        raise InvalidFile(
            _("a file of the kind {kind}, which may run code when it is opened").format(kind=kind),
            _("numbers alone: .json, .csv, .npz or .safetensors"),
            advice,
        )
    if kind == ".npy":
        raise InvalidFile(
            _("an .npy file, which holds one array"),
            _("logits and target in one file"),
            _("Save both: np.savez('batch.npz', logits=logits, target=target)."),
        )
    if kind not in KINDS:
        raise InvalidFile(
            _("a file of the kind {kind}").format(kind=shown(kind)),
            _(".json, .csv, .npz or .safetensors"),
            _("Save it as one of these."),
        )
    if not data:
        raise InvalidFile(_("an empty file"), _("logits and target"), _("Save it again."))
    if len(data) > MAX_FILE_BYTES:
        raise InvalidFile(
            _("a file of {size} bytes").format(size=f"{len(data):,}"),
            _("at most {limit}").format(limit=f"{MAX_FILE_BYTES:,}"),
            _("Take fewer rows; for a large dump use: python -m xent_core analyse."),
        )
    match kind:
        case ".npz":
            return read_npz(data)
        case ".safetensors":
            return read_safetensors(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(
            _("text that is not UTF-8 (byte {place})").format(place=error.start), "UTF-8", _("Save it as UTF-8.")
        ) from error
    return from_json(text) if kind == ".json" else read_csv(text, choices)
