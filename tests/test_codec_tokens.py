import base64
import contextlib
import json
import math
import random
import re
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from tests.problems import Call, assert_same_bits, valid_calls
from xent_core import Problem
from xent_core.codec import MAX_TOKEN, InvalidToken, TokenTooLong, from_json, from_token, to_token
from xent_core.presets import PRESETS

FIXTURE = json.loads((Path(__file__).parent / "data" / "tokens.json").read_text("utf-8"))
SECONDS, MEGABYTES = 0.1, 50  # what a token may cost; the time is tested with a margin for busy machines
MARGIN = 5


def token_of(body: str) -> str:
    return "1" + base64.urlsafe_b64encode(zlib.compress(body.encode(), 9)).decode().rstrip("=")


def refusal(token: str) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        from_token(token)
    return caught.value


@given(valid_calls(odd=True, min_size=0))
@settings(max_examples=500)
def test_a_token_gives_the_problem_back(call: Call) -> None:
    problem = call.problem()
    try:
        token = to_token(problem)
    except TokenTooLong:
        assert problem.logits.numel() >= 150  # float64 twice: 8 bytes each, and a third more in base64
        return

    again = from_token(token)

    assert again == problem
    assert_same_bits(again.logits, problem.logits)


@pytest.mark.parametrize("entry", FIXTURE)
def test_an_old_token_stays_readable(entry: dict[str, object]) -> None:
    assert from_token(str(entry["token"])) == from_json(json.dumps(entry["problem"])).problem


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "digits"])
def test_the_worked_examples_are_short(name: str) -> None:
    assert len(to_token(PRESETS[name].problem)) < 100


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000 - 2**32, 0x7FC01234, -(2**31), 1, 0x3DCCCCCD])
def test_a_number_keeps_every_bit(bits: int) -> None:
    logits = torch.tensor([[bits, 0, 0]], dtype=torch.int32).view(torch.float32)

    again = from_token(to_token(Problem(logits, [0]))).logits

    assert torch.equal(again.view(torch.int32), logits.view(torch.int32))


def test_decimals_as_typed_cost_less_than_their_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(16, 20, generator=generator, dtype=torch.float64) * 3

    typed = to_token(Problem(values.round(decimals=3).float(), [0] * 16))
    drawn = to_token(Problem(values.float(), [0] * 16))

    assert len(typed) < 0.6 * len(drawn)


def test_a_large_problem_says_that_a_file_can_carry_it() -> None:
    with pytest.raises(TokenTooLong) as caught:
        to_token(Problem(torch.randn(64, 64), [0] * 64))

    assert f"at most {MAX_TOKEN:,} characters" in str(caught.value)
    assert "file" in caught.value.fix


def test_a_token_is_safe_in_an_address() -> None:
    for preset in PRESETS.values():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", to_token(preset.problem))


def mutated(count: int) -> list[str]:
    """Tokens with characters changed, cut out or put in, cut off, joined, deflated anew, and pure noise."""
    chance = random.Random(5)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    tokens = [str(entry["token"]) for entry in FIXTURE]
    bodies = [zlib.decompress(base64.urlsafe_b64decode(token[1:] + "=" * (-len(token[1:]) % 4))) for token in tokens]
    found = []
    for number in range(count):
        token = list(chance.choice(tokens))
        kind = number % 5
        if kind == 0:
            for _ in range(chance.randint(1, 3)):
                token[chance.randrange(len(token))] = chance.choice([*alphabet, "=", "%", "é", "\x00"])
        elif kind == 1:
            del token[chance.randrange(len(token)) :]
        elif kind == 2:
            token = chance.choices(alphabet, k=chance.choice([0, 1, 5, 50, 500, 7000]))
            token[:1] = ["1"]
        elif kind == 3:
            token += chance.choice(tokens)
        else:  # a body that was changed, under a checksum that is right
            body = list(chance.choice(bodies).decode())
            for _ in range(chance.randint(1, 4)):
                place = chance.randrange(len(body))
                body[place : place + chance.randint(0, 2)] = chance.choice(
                    ["", ",", ";", ":", "/", "x", "-", "e", "nan", "inf", "9" * 19, "1e400", "0", "f", "q", "w", "\n"]
                )
            token = list(token_of("".join(body)))
        found.append("".join(token))
    return found


def test_ten_thousand_damaged_tokens_are_refused_or_valid_problems() -> None:
    read = refused = unclear = 0
    slowest = 0.0
    for token in mutated(10_000):
        start = time.perf_counter()
        try:
            problem = from_token(token)
        except InvalidToken as error:
            refused += 1
            unclear += not (error.came and error.expected and error.fix)
        else:
            read += 1
            assert isinstance(problem, Problem)
        slowest = max(slowest, time.perf_counter() - start)

    assert read > 50
    assert refused > 5000
    assert unclear == 0
    assert slowest < MARGIN * SECONDS


@pytest.mark.parametrize("position", range(36))
def test_one_changed_character_is_noticed(position: int) -> None:
    token = to_token(PRESETS["worked-batch"].problem)
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]

    refusal(changed)


WORST = {
    "a column of zeros": "f15000,1:" + ",".join("0" * 15_000) + ";q:" + ",".join("0" * 15_000),
    "a row of zeros": "d1,31000:" + ",".join("0" * 31_000) + ";q:0",
    "one digit each": "d1,31900/0x" + "1" * 31_900 + ";q:0",
    "exponents": "d1,12000:" + ",".join(["1e-5"] * 12_000) + ";q:0",
    "long decimals": "d1,150:" + ",".join(["1." + "3" * 400] * 150) + ";q:0",
    "large integers": "d1,3000:" + ",".join(["9" * 20] * 3000) + ";q:0",
    "many fields": "f1,2:0,1;q:0" + ";" * 60_000,
    "a bomb": "f1,2:0,1;q:0" + " " * 3_000_000,
    "a shape that lies": "f999999999,0:;f:",
    "a huge empty shape": "f30000,0:;f:",
    "64 axes": "f" + ",".join(["1"] * 64) + ":0;q:0",
    "65 axes": "f" + ",".join(["1"] * 65) + ":0;q:0",
}


@pytest.mark.parametrize("body", WORST.values(), ids=WORST)
def test_the_worst_tokens_cost_little(body: str) -> None:
    token = token_of(body)

    def read() -> None:
        with contextlib.suppress(InvalidToken):
            from_token(token)

    start = time.perf_counter()
    read()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert seconds < MARGIN * SECONDS
    assert peak < MEGABYTES * 1e6


@pytest.mark.parametrize(
    ("token", "came"),
    [
        ("", "no text"),
        ("1" * (MAX_TOKEN + 1), "6,001 characters"),
        ("1<script>", "do not belong"),
        ("2" + to_token(PRESETS["uniform"].problem)[1:], "version '2'"),
        (to_token(PRESETS["uniform"].problem)[:-4], "cut off"),
        (to_token(PRESETS["uniform"].problem) + "AAAA", "more at its end"),
        (token_of("f1,2:0,1;q:0" + " " * 70_000), "64,000 bytes"),
        (token_of("f1,2:0;q:0"), "1 numbers for 2"),
        (token_of("f1,2:0,1;q:0;e0.1;e0.2"), "an option"),
        (token_of("f1,2:0,1;q:0;rx"), "an option"),
        (token_of("f1,2:0,1"), "no logits and target"),
        (token_of("f1,2:0,__import__;q:0"), "a number"),
        (token_of("f1,2:0,1;C:300"), "its type cannot hold"),
        (token_of("f1,2:0,1;q:7"), "is 7"),
        (token_of("f1,2x00;q:0"), "digits"),
    ],
)
def test_a_bad_token_says_what_came(token: str, came: str) -> None:
    assert came in refusal(token).came


@pytest.mark.parametrize("value", [None, 7, b"1eNpL", math.nan])
def test_what_is_no_text_is_no_token(value: object) -> None:
    refusal(value)
