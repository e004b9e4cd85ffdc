"""Write tests/data/noise_matrix.json: how often cleanlab says each class is labelled as another, on small dumps.

Run it from the root of the repository, with cleanlab installed: python -m scripts.measure_noise_matrix
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from scripts.calibration_sets import drawn, mixed, on_edges

RESULT = Path(__file__).parents[1] / "tests" / "data" / "noise_matrix.json"


def one_way(rows: int, classes: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits in so few steps that many are equal, and labels of which a sixth are one too high; the last is rare."""
    chance = mixed(rows * (classes + 1)).reshape(rows, classes + 1)
    true = chance[:, 0] % (classes * 10) // 10 if classes < 4 else chance[:, 0] % (classes - 1)
    logits = (chance[:, 1:] >> 8) % steps * (3.0 / steps)
    logits[np.arange(rows), true] += 2.5
    return logits, np.where((chance[:, 0] >> 20) % 6 == 0, (true + 1) % classes, true)


SETS = {
    "drawn": drawn(600),
    "few": drawn(9),
    "class without a label": (drawn(120)[0], drawn(120)[1] % 4),
    "on edges": on_edges(200),
    "two classes": one_way(300, 2, 12),
    "equal logits": one_way(500, 6, 4),
    "many classes": one_way(900, 30, 500),
}


def main() -> None:
    """Writes tests/data/noise_matrix.json."""
    from cleanlab.count import compute_confident_joint, estimate_latent

    versions = {name: version(name) for name in ("cleanlab", "numpy")}
    found = {}
    for name, (logits, target) in SETS.items():
        powers = np.exp(logits - logits.max(1, keepdims=True))
        probs = powers / powers.sum(1, keepdims=True)
        joint = compute_confident_joint(target, probs)
        _prior, matrix, _inverse = estimate_latent(joint, target)
        found[name] = matrix.T.tolist()  # theirs has a column for each class
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(matrix)}" for name, matrix in found.items())
    RESULT.write_text(f'{{"versions": {json.dumps(versions)}, "sets": {{\n{lines}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
