"""The names under which Export writes a Problem: what readers of Problems and of dumps know our files by."""

from __future__ import annotations

FORMAT = "cross-entropy-problem"
FORMAT_VERSION = 1
DOCUMENT_OPTIONS = ("ignore_index", "reduction", "label_smoothing", "temperature")
NAMES = ("class_names", "row_names")
TENSORS = ("logits", "target", "weight")
METADATA = "problem"  # the key under which safetensors keep options and names
BFLOAT16 = ".bfloat16"  # NumPy has none: its bits travel as uint16 under a name that says so
NPZ_MEMBERS = frozenset({*TENSORS, *DOCUMENT_OPTIONS, *NAMES, *(name + BFLOAT16 for name in TENSORS)})
