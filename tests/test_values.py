"""What the library gives, in others' hands: pickled, copied, compared and written into."""

import copy
import importlib
import inspect
import io
import multiprocessing
import pickle  # other people's way between processes; what is read here, this test has written
import pkgutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import xent_core
from xent_core import InvalidProblem, Problem, codec, compare, descend, diagnose, dump, evaluate, gradient_check, trace
from xent_core.check_loss import check_loss, standard_cases
from xent_core.codec.refusals import RefusedProblem
from xent_core.errors import Portable
from xent_core.problem import copied_when_written
from xent_core.tensor_headers import HeaderLength
from xent_core.values import Value, same

PROBLEM = Problem([[1, 2, float("nan")], [3, 1, 2]], [2, 0], weight=[1, 2, 3], label_smoothing=0.1)
LOGITS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
TARGET = np.arange(60) % 3


def batch() -> dump.Batch:
    return dump.Batch(torch.arange(60), torch.tensor(LOGITS), torch.tensor(TARGET))


def summary(**options: Any) -> dump.DumpSummary:
    return replace(dump.analyse(LOGITS, TARGET, **options), seconds=0.0)


VALUES: dict[str, Callable[[], Any]] = {
    "Problem": lambda: PROBLEM.to(torch.float64),
    "Evaluation": lambda: evaluate(PROBLEM),
    "GradientCheck": lambda: gradient_check(PROBLEM),
    "Finding": lambda: diagnose([[1, 2]], [7]),
    "compare": lambda: compare(PROBLEM),
    "descend": lambda: descend(Problem([[1, 2, 3]], [0]), learning_rate=0.1, steps=3),
    "trace": lambda: trace(PROBLEM, 1),
    "check_loss": lambda: check_loss(F.cross_entropy, cases=standard_cases()[:3]),
    "Case": lambda: standard_cases()[0],
    "Document": lambda: codec.Document(PROBLEM, ("a", "b", "c")),
    "LossOptions": lambda: PROBLEM.options,
    "DumpSummary": summary,
    "Batch": batch,
    "Scores": lambda: dump.score(batch(), dump.LossOptions()),
    "PairDetail": lambda: dump.pair_detail(dump.open_dump(LOGITS, TARGET), range(3), range(3), dump.LossOptions()),
}
PUBLIC = (xent_core, codec, dump)


def each_round_trip() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield f"pickle {protocol}", lambda x, protocol=protocol: pickle.loads(pickle.dumps(x, protocol))
    yield "copy", copy.copy
    yield "deepcopy", copy.deepcopy


ROUND_TRIPS = dict(each_round_trip())


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_the_same(name: str) -> None:
    value = VALUES[name]()
    for way, again in ROUND_TRIPS.items():
        returned = again(value)

        assert returned == value, way
        assert same(returned, value), way
        if not isinstance(value, list):
            assert hash(returned) == hash(value), way


@pytest.mark.parametrize("name", VALUES)
def test_a_value_equals_another_of_the_same_numbers(name: str) -> None:
    assert VALUES[name]() == VALUES[name]()


def test_a_value_is_not_that_of_other_numbers() -> None:
    other = evaluate(replace(PROBLEM, temperature=2.0))

    assert evaluate(PROBLEM) != other
    assert gradient_check(PROBLEM) != gradient_check(other.problem)
    assert summary() != summary(temperature=2.0)
    assert trace(PROBLEM, 0) != trace(PROBLEM, 1)
    assert same([0.0], [-0.0]) is False
    assert same({"a": np.array([np.nan])}, {"a": np.array([np.nan])})


def public_values() -> set[type]:
    found = {getattr(module, name) for module in PUBLIC for name in module.__all__}
    return {one for one in found if inspect.isclass(one) and is_dataclass(one)}


def test_every_public_dataclass_is_compared_by_value() -> None:
    """Those without tensors may leave it to `dataclass`."""
    assert len(public_values()) > 20
    for one in public_values():
        assert one.__eq__ is not object.__eq__, one
        text = str(inspect.get_annotations(one))
        if "Tensor" in text or "ndarray" in text:
            assert issubclass(one, Value) or "__eq__" in vars(one), one


def test_progress_goes_to_another_process_with_the_summary_of_now() -> None:
    seen: list[dump.Progress] = []
    dump.analyse(LOGITS, TARGET, batch_rows=20, fit_temperature=False, progress=seen.append)
    again = pickle.loads(pickle.dumps(seen[-1]))

    assert again == seen[-1]
    assert again.summary().rows == 60


def test_statistics_go_to_another_process_and_merge_there() -> None:
    whole, part = dump.Statistics(3), dump.Statistics(3)
    scores = dump.score(batch(), dump.LossOptions())
    whole.update(60, scores)
    part.update(60, scores)
    for again in (pickle.loads(pickle.dumps(part)), copy.deepcopy(part)):
        assert again.compute(dump.LossOptions()) == whole.compute(dump.LossOptions())
    copied = copy.deepcopy(part)
    copied.update(60, scores)
    assert part.compute(dump.LossOptions()) == whole.compute(dump.LossOptions())


ERRORS = [
    InvalidProblem("code", "a weight of 4", "3", "Remove one."),
    dump.InvalidDump("code", "a weight of 4", "3", "Remove one.", ({"target": "y"},)),
    codec.InvalidToken("a weight of 4", "3", "Remove one."),
    codec.TokenTooLong("a weight of 4", "3", "Remove one."),
    codec.InvalidFile("a weight of 4", "3", "Remove one.", ({"target": "y"},)),
    codec.UnsupportedInJax("a weight of 4", "3", "Remove one."),
    RefusedProblem(InvalidProblem("code", "a", "b", "C."), {"logits": torch.tensor([np.nan])}, {"reduction": "mean"}),
    HeaderLength(7),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ROUND_TRIPS)
def test_an_error_comes_back_the_same(error: Exception, way: str) -> None:
    returned = ROUND_TRIPS[way](error)

    assert type(returned) is type(error)
    assert str(returned) == str(error)
    assert same(vars(returned), vars(error))
    assert returned == error
    assert hash(returned) == hash(error)
    assert returned != InvalidProblem("other", "a", "b", "C.")


def exceptions() -> set[type[BaseException]]:
    for module in pkgutil.walk_packages(xent_core.__path__, "xent_core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = set(), [BaseException]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("xent_core"):
                found.add(kind)
    return found


def test_every_error_that_is_built_in_its_own_way_can_be_pickled() -> None:
    own = {kind for kind in exceptions() if "__init__" in vars(kind)}

    assert len(own) >= 6
    for kind in own:
        if not issubclass(kind, OSError):  # these know how, if their first arguments are those of OSError
            assert issubclass(kind, Portable), kind
    unwritten = dump.UnwrittenScores(28, "No space left on device", "s.csv", summary())
    again = pickle.loads(pickle.dumps(unwritten))
    assert (str(again), again.filename, again.summary) == (str(unwritten), "s.csv", unwritten.summary)


def refuse(label: int) -> Problem:
    return Problem([[1.0, 2.0]], [label])


@pytest.mark.long
def test_a_pool_hears_of_a_refusal() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool, pytest.raises(InvalidProblem, match="target row 0 is 7") as caught:
        pool.map_async(refuse, [0, 7]).get(timeout=120)
    assert caught.value.code == "target-out-of-range"
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        with pytest.raises(InvalidProblem):
            executor.submit(refuse, 7).result(timeout=120)
        assert executor.submit(refuse, 1).result(timeout=120) == refuse(1)  # and goes on


def into_numpy(problem: Problem) -> None:
    problem.logits.numpy()[:] = 99


def by_out(problem: Problem) -> None:
    torch.add(problem.logits, 1, out=problem.logits)


def into_storage(problem: Problem) -> None:
    problem.logits.untyped_storage().fill_(0)


def by_optimizer(problem: Problem) -> None:
    leaf = problem.logits.requires_grad_()
    F.cross_entropy(leaf, problem.target).backward()
    torch.optim.SGD([leaf], lr=10.0).step()


WRITERS: dict[str, Callable[[Problem], object]] = {
    "index": lambda p: p.logits.__setitem__((0, 0), 99),
    "row": lambda p: p.logits[0].zero_(),
    "transposed": lambda p: p.logits.T.zero_(),
    "target": lambda p: p.target.fill_(1),
    "weight": lambda p: p.weight.mul_(2) if p.weight is not None else None,
    "options": lambda p: p.options.weight.mul_(2) if p.options.weight is not None else None,
    "data": lambda p: p.logits.data.zero_(),
    "detach": lambda p: p.logits.detach().zero_(),
    "in inference": lambda p: torch.inference_mode()(lambda: p.logits.zero_())(),
    "numpy": into_numpy,
    "dlpack": lambda p: torch.from_dlpack(p.logits).zero_(),
    "buffer": lambda p: np.asarray(p.logits).fill(7),
    "out": by_out,
    "storage": into_storage,
    "optimizer": by_optimizer,
    "set_": lambda p: p.logits.set_(torch.zeros(2, 3)),
    "resize": lambda p: p.logits.resize_(1, 1),
    "shared": lambda p: p.logits.share_memory_().zero_(),
    "vars": lambda p: [x.zero_() for x in (p.logits, p.target)],
}


@pytest.mark.parametrize("name", WRITERS)
def test_writing_into_a_tensor_leaves_a_problem_as_it_is(name: str) -> None:
    problem = Problem([[1, 2, 3], [3, 1, 2]], [2, 0], weight=[1, 2, 3])
    before, number = evaluate(copy.deepcopy(problem)), hash(problem)

    WRITERS[name](problem)

    assert problem.logits.tolist() == [[1, 2, 3], [3, 1, 2]]
    assert hash(problem) == number
    assert problem == before.problem
    assert evaluate(problem) == before
    assert evaluate(problem).problem.logits.tolist() == [[1, 2, 3], [3, 1, 2]]


def test_a_field_cannot_be_set() -> None:
    with pytest.raises(FrozenInstanceError):
        PROBLEM.logits = torch.zeros(2, 3)  # type: ignore[misc]  # frozen, as mypy says
    with pytest.raises(FrozenInstanceError):
        PROBLEM.temperature = 2.0  # type: ignore[misc]  # as above


def test_reading_a_large_matrix_copies_nothing() -> None:
    problem = Problem(torch.zeros(1000, 1000), torch.zeros(1000, dtype=torch.int64))
    first, second = problem.logits, problem.logits

    assert torch._C._data_address(first) == torch._C._data_address(second)


def test_a_tensor_that_pytorch_cannot_share_is_copied() -> None:
    shared = torch.tensor([1.0, 2.0]).share_memory_()
    copied = copied_when_written(shared)
    copied[0] = 9

    assert shared.tolist() == [1.0, 2.0]


def test_a_problem_out_of_another_process_is_as_safe() -> None:
    """PyTorch sends tensors through memory that both processes see."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        problem = pool.apply_async(refuse, [1]).get(timeout=120)
    problem.logits.zero_()

    assert problem == refuse(1)


def test_threads_may_read_one_problem_at_once() -> None:
    problem = Problem(torch.arange(12.0).reshape(4, 3), [0, 1, 2, 0])
    expected, wrong = problem.logits.tolist(), []

    def read_and_write() -> None:
        for _ in range(500):
            mine = problem.logits
            mine.zero_()
            if problem.logits.tolist() != expected:
                wrong.append(1)

    threads = [threading.Thread(target=read_and_write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_torch_saves_it_as_others_do() -> None:
    file = io.BytesIO()
    torch.save({"logits": PROBLEM.logits}, file)
    file.seek(0)

    assert same(torch.load(file, weights_only=True)["logits"], PROBLEM.logits)
