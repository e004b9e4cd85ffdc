"""Reads a Problem from a file, whose name says of which kind it is; other kinds are refused unread."""

from __future__ import annotations

from pathlib import PurePath

from xent_core.codec.array_files import (
    npz_is_of_others,
    npz_is_ours,
    read_npz,
    read_safetensors,
    safetensors_is_of_others,
    safetensors_is_ours,
)
from xent_core.codec.csv_table import read_csv
from xent_core.codec.document import Document, from_json, json_is_of_others, shown
from xent_core.codec.dump_files import read_dump_of_bytes, too_many_bytes, unpacked
from xent_core.codec.logits_asked import of_logits
from xent_core.codec.refusals import InvalidFile
from xent_core.columns import ColumnChoices
from xent_core.dump.formats.opening import converting_program
from xent_core.language import N_, _

MAX_FILE_BYTES = 16 * 2**20
NOTHING_SAID = ColumnChoices()
OF_OTHERS = (".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc")
TEXTS = (".csv", ".tsv", ".txt")
KINDS = (".json", *TEXTS, ".npz", ".safetensors", *OF_OTHERS)
PACKED = (".gz", ".bz2", ".zst")
OF_TORCH = (".pt", ".pth", ".bin", ".ckpt")
PICKLES = (*OF_TORCH, ".pkl", ".pickle", ".joblib", ".dill")
KINDS_IN_WORDS = N_(".json, .csv, .npz, .safetensors, .parquet, .feather or .jsonl")


def read_file(name: str, data: bytes, choices: ColumnChoices = NOTHING_SAID, *, in_sandbox: bool = False) -> Document:
    """The Problem in a file, as we write it or as `dump.open_dump` reads it; its name says of which kind it is.

    Args:
      choices: which columns of a table, or which arrays, are what, where that is not clear.
      in_sandbox: this process is a sandbox, which may be ended by what it reads.

    Nothing in it is run, and nothing is unpacked beyond its limits. docs/format.md describes each kind.
    Raises: InvalidFile for whatever is not a whole, honest file of a known kind.
    """
    kind = PurePath(name).suffix.lower()
    if kind in PICKLES:
        advice = (
            _("On your own computer this saves the numbers, and runs nothing that is in the file:")
            + "\n"
            # words for whoever has the file, never run here; with weights_only nothing in the file is run
            + converting_program("torch.load('your_file.pt', weights_only=True)")
        )
        if kind not in OF_TORCH:
            advice = _('Where it was made, save the numbers: np.savez("batch.npz", logits=logits, target=target).')
        raise InvalidFile(
            _("a file of the kind {kind}, which may run code when it is opened").format(kind=kind),
            _("numbers alone: {kinds}").format(kinds=_(KINDS_IN_WORDS)),
            advice,
        )
    if kind == ".npy":
        raise InvalidFile(
            _("an .npy file, which holds one array"),
            _("logits and target in one file"),
            _("Save both: np.savez('batch.npz', logits=logits, target=target)."),
        )
    if kind not in (*KINDS, *PACKED):
        raise InvalidFile(
            _("a file of the kind {kind}").format(kind=shown(kind)),
            _(KINDS_IN_WORDS),
            _("Save it as one of these."),
        )
    if not data:
        raise InvalidFile(_("an empty file"), _("logits and target"), _("Save it again."))
    if len(data) > MAX_FILE_BYTES:
        raise too_many_bytes(len(data), MAX_FILE_BYTES)
    if kind in PACKED and PurePath(PurePath(name).stem).suffix.lower() in TEXTS:
        return read_csv(_text(unpacked(name, data, MAX_FILE_BYTES, in_sandbox=in_sandbox)), choices)
    if kind in PACKED or kind in OF_OTHERS or _is_of_others(kind, data, choices):
        return read_dump_of_bytes(name, data, choices, in_sandbox=in_sandbox)
    match kind:
        case ".npz":
            return of_logits(read_npz(data), choices.logits_are, is_ours=npz_is_ours(data))
        case ".safetensors":
            return of_logits(read_safetensors(data), choices.logits_are, is_ours=safetensors_is_ours(data))
        case ".json":
            return of_logits(from_json(_text(data)), choices.logits_are, is_ours=True)
    return read_csv(_text(data), choices)


def _is_of_others(kind: str, data: bytes, choices: ColumnChoices) -> bool:
    """Whether a file of a kind that we write too has other arrays than ours, or says nothing of our format."""
    is_told = choices.classes is not None or choices.target is not None
    match kind:
        case ".npz":
            return is_told or npz_is_of_others(data)
        case ".safetensors":
            return is_told or safetensors_is_of_others(data)
        case ".json":
            return is_told or json_is_of_others(_text(data))
    return False


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(
            _("text that is not UTF-8 (byte {place})").format(place=error.start), "UTF-8", _("Save it as UTF-8.")
        ) from error
