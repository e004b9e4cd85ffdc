"""The editors in Firefox, over WebDriver BiDi: no key is lost, and both matrices answer."""

import random

import pytest
import torch

from harness.firefox import FirefoxPage
from xent_core import Problem
from xent_core.codec import to_token

NUMBERS = 8
MATRIX = "document.querySelector('.st-key-{key} .heatmap').values"


@pytest.mark.long
@pytest.mark.parametrize("size", [10, 30])
def test_no_key_is_lost_in_firefox(firefox: FirefoxPage, app_url: str, size: int) -> None:
    firefox.open(f"{app_url}/?p={to_token(Problem(torch.zeros(size, size), torch.arange(size)))}")
    firefox.wait_for_editor()
    logits, rhythm = torch.zeros(size, size), random.Random(size)
    for waits in ((40,), (5, 15, 40, 90, 160)):
        texts = [f"{rhythm.choice(('', '-'))}{rhythm.randint(0, 3)}.{rhythm.randint(10, 99)}" for _ in range(NUMBERS)]
        logits[:NUMBERS, 0] = torch.tensor([float(text) for text in texts])
        firefox.select_first_cell()
        keys = [key for text in texts for key in (*text, "Enter")]
        firefox.press(keys, [rhythm.choice(waits) for _ in keys])

        probs = logits.softmax(1)
        gradient = (probs - torch.eye(size)) / size
        firefox.wait_for(f"Math.abs({MATRIX.format(key='probs')}[{NUMBERS - 1}][0] - {probs[NUMBERS - 1, 0]}) < 1e-6")
        torch.testing.assert_close(torch.tensor(firefox.evaluate(MATRIX.format(key="probs"))), probs)
        torch.testing.assert_close(torch.tensor(firefox.evaluate(MATRIX.format(key="grad"))), gradient)
