"""cleanlab's noise matrix: rows are counted for a class that is as probable to them as to those labelled so.

Northcutt, Jiang and Chuang 2021, Confident learning, section 3.1; the same numbers as cleanlab 2.9.0,
`compute_confident_joint` and `estimate_latent`.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

MAX_JOINT_CLASSES = 100  # of more nobody is shown a matrix
ROUNDING = 1e-6  # a probability so little below a threshold reaches it
NEVER = 2.0  # the threshold of a class that no row is labelled
LARGEST_RATE = 0.9999  # of one wrong label


def confident_thresholds(own: Tensor, labelled: Tensor) -> Tensor:
    """The mean probability of each class over the rows labelled so, (C,) float64.

    Args:
      own: Σ p_iy by label, (C,).
      labelled: rows by label, (C,).
    """
    mean = (own.double() / labelled.clamp(min=1)).clamp(min=2 * ROUNDING)
    return mean.where(labelled > 0, NEVER)


def confident_class(probs: Tensor, prediction: Tensor, thresholds: Tensor) -> Tensor:
    """The class whose threshold each row reaches, (n,): the prediction where it reaches several, C where none.

    Args:
      probs: (n, C).
      prediction: the most probable class, (n,).
    """
    reached = probs >= thresholds - ROUNDING
    how_many = reached.sum(1)
    one = reached.byte().argmax(1).where(how_many > 0, probs.shape[1])
    return prediction.where(how_many > 1, one)


def cleanlab_noise_matrix(counted: np.ndarray) -> np.ndarray | None:
    """P(label j | class k), row by row, (C, C); a row of NaN where no row of the dump is taken for k.

    The counts of each label are scaled to all rows labelled so, made whole numbers whose sum stays,
    and divided by those of each class.

    Args: counted: rows by label and `confident_class`, (C, C + 1).
    Returns: None without a row.
    """
    labelled = counted.sum(1)
    if not labelled.sum():
        return None
    joint = counted[:, :-1].astype(np.float64)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))  # a class is never taken for wrong throughout
    joint = joint / joint.sum(1, keepdims=True) * labelled[:, None]
    joint = np.stack([_whole(row) for row in joint / joint.sum() * labelled.sum()])
    with np.errstate(invalid="ignore"):
        matrix = joint.T / joint.sum(0)[:, None]
        right = matrix.diagonal().copy()
        matrix = np.minimum(matrix, LARGEST_RATE)
        np.fill_diagonal(matrix, right)
        return np.asarray(matrix / matrix.sum(1, keepdims=True))


def _whole(row: np.ndarray) -> np.ndarray:
    """Whole numbers with the same sum, which differ from the rounded ones where rounding changed most."""
    whole = row.round()
    missing = round(float(row.sum().round() - whole.sum()))
    by_loss = np.argsort(row - whole)  # rounded up the most first, rounded down the most last
    if missing > 0:
        whole[by_loss[::-1][:missing]] += 1
    elif missing < 0:
        whole[by_loss[:-missing]] -= 1
    return whole
