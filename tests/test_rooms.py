"""The house: few rooms on few floors, one name for each thing, modules that one can read, each with its test.

A room is what lies at the top of xent_ui: a module or a package. Rooms import only rooms below them.
The last tests break each rule on purpose and expect to be told.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.program import AROUND, PAGES, PROGRAM, ROOT, circles, graph, sources, write

MAX_ROOMS = 22
MAX_FLOORS = 7
MAX_LINES = 500
FLOORS = (
    ("text", "streamlit_internals"),
    ("page_internals", "glossary"),
    ("server",),
    ("state", "figures"),
    ("table",),
    ("widgets", "shell"),
    PAGES,
)  # from the ground up

# longer than MAX_LINES, each with its reason
LISTS_OF_CASES = {"xent_core/doctor/pitfall_examples.py": "a list of cases: every pitfall, wrong and right"}

REPEATED_NAMES = ("__init__", "view", "figures", "state")  # what every page may have

# For modules without a test of their name: the test that covers them, why, and which they are.
TESTED_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "tests/test_share.py": (
        "every page of the menu is opened by a link, through what surrounds them",
        (
            "app.py",
            "xent_ui/shell/navigation.py",
            "xent_ui/shell/page_change.py",
            "xent_ui/state/session.py",
        ),
    ),
    "tests/test_columns.py": (
        "a rule for columns, and how a text is laid out and read, are seen in the tables that are read by them",
        (
            "xent_core/cli/column_options.py",
            "xent_core/column_names.py",
            "xent_core/column_questions.py",
            "xent_core/column_rule.py",
            "xent_core/csv_layout.py",
            "xent_core/dump/formats/spool.py",
            "xent_core/dump/formats/text_stream.py",
        ),
    ),
    "tests/test_evidence.py": (
        "what many rows together show is tried as a whole: the sample, the bounds, and what is counted",
        (
            "xent_core/doctor/symptoms/chance.py",
            "xent_core/doctor/symptoms/class_weights.py",
            "xent_core/doctor/symptoms/context.py",
            "xent_core/doctor/symptoms/finite_masks.py",
            "xent_core/doctor/symptoms/dependence.py",
            "xent_core/doctor/symptoms/last_layer.py",
            "xent_core/doctor/symptoms/sample.py",
            "xent_core/doctor/symptoms/sequences.py",
        ),
    ),
    "tests/test_ordinary_files.py": (
        "rows in another order are told in files as people write them",
        ("xent_core/dump/row_order.py",),
    ),
    "tests/test_array_types.py": (
        "its advice is followed there",
        ("xent_core/advice.py",),
    ),
    "tests/test_referee.py": (
        "the referee is seen in what it says of losses",
        (
            "xent_core/check_loss/cases.py",
            "xent_core/check_loss/child.py",
            "xent_core/check_loss/verdicts.py",
            "xent_core/check_loss/measure.py",
            "xent_core/check_loss/mistakes.py",
            "xent_core/check_loss/property_list.py",
            "xent_core/check_loss/shrinking.py",
            "xent_core/check_loss/subject.py",
            "xent_core/check_loss/trials.py",
            "xent_core/cli/conform_command.py",
        ),
    ),
    "tests/test_calibration.py": (
        "what is said of calibration is tested beside its numbers",
        ("xent_core/dump/calibration_words.py",),
    ),
    "tests/test_outputs.py": (
        "what is read is told from what is written",
        ("xent_core/dump/input_files.py",),
    ),
    "tests/test_examples.py": (
        "its lines are the texts of examples",
        ("xent_core/dump/formats/lines_file.py",),
    ),
    "tests/test_dump_files.py": (
        "files of other libraries are read by it",
        (
            "xent_core/dump/folders.py",
            "xent_core/dump/formats/json_lines_file.py",
            "xent_core/dump/formats/lm_eval_file.py",
        ),
    ),
    "tests/test_visits_apart.py": (
        "what a visitor is told is read from what a started server sends",
        ("xent_host/server_facts.py",),
    ),
    "tests/browser/test_cold_start.py": (
        "what happens before the first page is seen in a browser alone",
        ("xent_ui/shell/warm_up.py",),
    ),
    "tests/browser/test_typing.py": (
        "what an edit runs again, and when, is seen in a browser alone",
        (
            "xent_ui/batch/answers.py",
            "xent_ui/batch/fragments.py",
            "xent_ui/state/rest/__init__.py",
            "xent_ui/table/edit_watch/__init__.py",
        ),
    ),
    "tests/browser/test_hosted.py": (
        "a server that dies is seen in a browser alone",
        ("xent_ui/shell/reconnect.py",),
    ),
    "tests/browser/test_batch.py": (
        "code that runs in a browser",
        (
            "xent_ui/shell/cell_editor_prefetch.py",
            "xent_ui/shell/tab_storage/__init__.py",
        ),
    ),
    "tests/test_batch_page.py": (
        "the table is a part of the page, typed into and read there",
        (
            "xent_ui/batch/why.py",
            "xent_ui/table/editors.py",
            "xent_ui/table/layout.py",
            "xent_ui/table/options.py",
        ),
    ),
    "tests/test_compare_settings_page.py": (
        "drawn by its page",
        (
            "xent_ui/compare_settings/examples.py",
            "xent_ui/compare_settings/figures.py",
            "xent_ui/compare_settings/micro_batches.py",
            "xent_ui/compare_settings/two_gradients.py",
        ),
    ),
    "tests/test_gradient_descent_page.py": (
        "drawn by its page",
        (
            "xent_ui/gradient_descent/descent_run.py",
            "xent_ui/gradient_descent/figures/path_traces.py",
            "xent_ui/gradient_descent/figures/path_values.py",
            "xent_ui/gradient_descent/figures/player.py",
            "xent_ui/gradient_descent/figures/player_layout.py",
        ),
    ),
    "tests/test_one_example_page.py": (
        "drawn by its page",
        ("xent_ui/one_example/figures.py",),
    ),
    "tests/test_your_logits_page.py": (
        "a file is needed before anything can be drawn",
        (
            "xent_ui/your_logits/analysis.py",
            "xent_ui/your_logits/choice.py",
            "xent_ui/your_logits/distributions.py",
            "xent_ui/your_logits/figures.py",
            "xent_ui/your_logits/noise.py",
            "xent_ui/your_logits/pairs.py",
            "xent_ui/your_logits/single_rows.py",
            "xent_ui/your_logits/suspects.py",
            "xent_ui/widgets/segments.py",
        ),
    ),
    "tests/test_decisions.py": (
        "one contract: decisions travel, are merged, and change what PyTorch says they change",
        tuple(
            f"xent_core/dump/decisions/{name}.py"
            for name in (
                "decision",
                "decision_effect",
                "decision_files",
                "decision_merge",
                "decision_snippet",
                "lookup",
            )
        ),
    ),
    "tests/test_decide.py": (
        "what a message of the browser does to the desk is seen on the page",
        ("xent_ui/your_logits/desk.py", "xent_ui/your_logits/merging.py"),
    ),
    "tests/browser/test_decide.py": (
        "code that runs in a browser",
        ("xent_ui/your_logits/gallery/__init__.py",),
    ),
    "tests/test_file_bombs.py": (
        "what reads a stranger's file is tried with files that would cost it too much",
        (
            "xent_core/codec/sandboxed_reading.py",
            "xent_core/dump/formats/sandboxed_files.py",
            "xent_core/sandbox/connection.py",
            "xent_core/sandbox/fork_server.py",
            "xent_core/sandbox/process.py",
            "xent_ui/server/uploads.py",
        ),
    ),
    "tests/test_export_page.py": (
        "offered by its page",
        (
            "xent_ui/export/figures.py",
            "xent_ui/export/html_page.py",
        ),
    ),
    "tests/test_kept.py": (
        "names, types and defaults alone",
        tuple(
            f"xent_ui/{page}/state.py"
            for page in (
                *("batch", "compare_settings", "doctor", "export", "gradient_descent", "implementations"),
                *("one_example", "precision", "step_by_step", "your_logits"),
            )
        ),
    ),
    "tests/test_public.py": (
        "what a server for strangers adds is one promise",
        (
            "xent_host/error_reports.py",
            "xent_host/security_headers.py",
            "xent_host/server_options.py",
            "xent_ui/server/limits.py",
            "xent_ui/server/log.py",
        ),
    ),
    "tests/test_websocket_protocol.py": (
        "how a connection ends is seen at connections that end",
        ("xent_host/closing.py",),
    ),
    "tests/test_startup_check.py": (
        "each line of the list is taken away, and no server starts",
        ("xent_host/connection_internals.py", "xent_host/visit_internals.py", "xent_ui/page_internals.py"),
    ),
    "tests/test_run_lock.py": (
        "it hands Streamlit's runs to the lock",
        ("xent_host/run_scheduler.py",),
    ),
    "tests/test_main.py": (
        "how the command line talks",
        (
            "xent_core/cli/doctor_command.py",
            "xent_core/cli/problem_commands.py",
            "xent_core/cli/terminal.py",
            "xent_core/scores_columns.py",
        ),
    ),
    "tests/test_codec_files.py": (
        "one contract for every kind of file",
        (
            "xent_core/codec/array_files.py",
            "xent_core/codec/csv_table.py",
            "xent_core/codec/document.py",
            "xent_core/codec/tensors.py",
        ),
    ),
    "tests/test_codec_script.py": (
        "programs are judged by what they print",
        (
            "xent_core/codec/jax_program.py",
            "xent_core/codec/literals.py",
            "xent_core/codec/notebook.py",
            "xent_core/codec/program.py",
        ),
    ),
    "tests/test_doctor.py": (
        "one table of cases for the findings, their evidence and their fixes",
        (
            "xent_core/doctor/diagnose.py",
            "xent_core/doctor/findings.py",
        ),
    ),
    "tests/test_dump.py": (
        "any split of a dump gives the whole's summary",
        (
            "xent_core/dump/analysis.py",
            "xent_core/dump/passes.py",
            "xent_core/dump/summary.py",
            "xent_core/dump/temperature.py",
        ),
    ),
    "tests/test_dump_readers.py": (
        "one contract for every kind of file",
        (
            "xent_core/dump/formats/arrays.py",
            "xent_core/dump/formats/checks.py",
            "xent_core/dump/formats/csv_file.py",
            "xent_core/dump/formats/npy_file.py",
            "xent_core/dump/formats/npz_file.py",
            "xent_core/dump/formats/opening.py",
            "xent_core/dump/formats/parquet_file.py",
            "xent_core/dump/formats/parquet_process.py",
            "xent_core/dump/formats/safetensors_file.py",
            "xent_core/dump/formats/table_columns.py",
            "xent_core/dump/formats/torch_file.py",
            "xent_core/dump/formats/torch_process.py",
            "xent_core/dump/parts.py",
            "xent_core/dump/sources.py",
        ),
    ),
    "tests/test_analyse_command.py": (
        "the command by its name",
        ("xent_core/dump/report.py",),
    ),
    "tests/test_own_files.py": (
        "what Export writes is analysed with the options in it",
        ("xent_core/dump/file_options.py", "xent_core/own_format.py"),
    ),
    "tests/test_logits_question.py": (
        "one question for every command and every kind of file",
        ("xent_core/codec/logits_asked.py",),
    ),
    "tests/test_errors.py": (
        "one contract for every error that says what came, what was expected and what to do",
        ("xent_core/codec/refusals.py",),
    ),
    "tests/test_pitfall_search.py": (
        "every mistake is looked for by what is seen of it",
        ("xent_core/doctor/symptom_index.py",),
    ),
    "tests/test_doctor_page.py": (
        "the boxes, their answers and the examples are tried on the page that draws them",
        ("xent_ui/doctor/lookup.py", "xent_ui/doctor/pitfalls.py", "xent_ui/doctor/text_box.py"),
    ),
    "tests/test_pitfalls.py": (
        "the list of cases that the tests run",
        ("xent_core/doctor/pitfall_examples.py", "xent_core/doctor/pitfall_variants.py"),
    ),
    "tests/test_symptoms.py": (
        "one table of cases for what raises a symptom and what comes near it",
        (
            "xent_core/doctor/symptoms/call.py",
            "xent_core/doctor/symptoms/denominator.py",
            "xent_core/doctor/symptoms/half_precision.py",
            "xent_core/doctor/symptoms/logits.py",
            "xent_core/doctor/symptoms/measures.py",
            "xent_core/doctor/symptoms/search.py",
            "xent_core/doctor/symptoms/target.py",
            "xent_core/doctor/symptoms/wording.py",
        ),
    ),
    "tests/test_implementations.py": (
        "one contract for every route",
        (
            "xent_core/implementations/comparison.py",
            "xent_core/implementations/reasons.py",
            "xent_core/implementations/registry.py",
            "xent_core/implementations/routes.py",
        ),
    ),
    "tests/test_parse.py": (
        "one table of texts: what is typed, pasted or printed",
        (
            "xent_core/parse/matrices.py",
            "xent_core/parse/nested_lists.py",
            "xent_core/parse/number.py",
            "xent_core/parse/pasted_text.py",
            "xent_core/parse/tables.py",
        ),
    ),
    "tests/test_precision_page.py": (
        "drawn by its page",
        ("xent_ui/precision/figures.py",),
    ),
    "tests/test_step_by_step_page.py": (
        "drawn by its page",
        (
            "xent_ui/step_by_step/chain_table.py",
            "xent_ui/step_by_step/figures.py",
            "xent_ui/step_by_step/stage.py",
            "xent_ui/step_by_step/step_formulas.py",
            "xent_ui/step_by_step/stepper.py",
            "xent_ui/widgets/row_chooser.py",
        ),
    ),
}


def rooms(root: Path) -> dict[str, frozenset[str]]:
    """For each room of xent_ui, those that it imports."""
    inside = {source.module: source for source in sources(root) if source.module.startswith("xent_ui.")}
    found: dict[str, set[str]] = {_room(module): set() for module in inside}
    for module, imported in graph(inside.values()).items():
        found[_room(module)] |= {_room(other) for other in imported} - {_room(module)}
    return {room: frozenset(below) for room, below in found.items()}


def _room(module: str) -> str:
    return module.split(".")[1]


def floors(imported: dict[str, frozenset[str]]) -> int:
    """How many rooms the longest chain of imports has; there must be no circle."""

    def height(room: str) -> int:
        return 1 + max(map(height, imported[room]), default=0)

    return max(map(height, imported), default=0)


def crowded(root: Path) -> list[str]:
    """Too many rooms, rooms that import each other, or too many floors."""
    imported = rooms(root)
    if len(imported) > MAX_ROOMS:
        return [f"{len(imported)} rooms, at most {MAX_ROOMS}"]
    if around := circles(imported):
        return [" → ".join(way) for way in around]
    if (count := floors(imported)) > MAX_FLOORS:
        return [f"{count} floors, at most {MAX_FLOORS}"]
    return []


def against_the_direction(root: Path) -> list[str]:
    """Rooms that import one that is not below them, and rooms that have no floor."""
    floor = {room: height for height, level in enumerate(FLOORS) for room in level}
    imported = rooms(root)
    unknown = [f"{room} has no place in FLOORS" for room in imported if room not in floor]
    return unknown + [
        f"{room} imports {other}, which is not below it"
        for room, others in imported.items()
        for other in sorted(others)
        if {room, other} <= floor.keys() and floor[room] <= floor[other]
    ]


def names_used_twice(root: Path) -> list[str]:
    """Names of modules and packages that stand twice within xent_ui, or within xent_core."""
    found = []
    for place in ("xent_ui", "xent_core"):
        first: dict[str, str] = {}
        for source in sources(root, [place]):
            name = source.module.rpartition(".")[2]
            if name not in REPEATED_NAMES and first.setdefault(name, source.path) != source.path:
                found.append(f"{source.path} has the name of {first[name]}")
    return found


def long_modules(root: Path) -> list[str]:
    """Modules outside of tests that are longer than one can read, and lists of cases that no longer are."""
    lines = {
        source.path: source.text.count("\n")
        for source in sources(root, (*PROGRAM, *AROUND))
        if not source.under("tests")
    }
    return [f"{path} has {n} lines" for path, n in lines.items() if n > MAX_LINES and path not in LISTS_OF_CASES] + [
        f"{path} needs no exception" for path in LISTS_OF_CASES if lines.get(path, 0) <= MAX_LINES
    ]


def unformatted(root: Path) -> list[str]:
    """Lines that the formatter is told to leave alone, without a reason behind it."""
    return [
        f"{source.path}:{number}"
        for source in sources(root, (*PROGRAM, *AROUND))
        if not source.under("tests")
        for number, line in enumerate(source.text.splitlines(), 1)
        if re.search(r"#\s*fmt:\s*(skip|off)\s*$", line)
    ]


def mirrors(path: str, names: Iterable[str]) -> list[str]:
    """The names that a module's test may have: its own, or with its package's before it.

    Where `names`, those of xent_core, have it too, a module of xent_ui has the second only; a page has its own.
    """
    *folders, name = path.removesuffix(".py").strip("_").split("/")
    name = name.strip("_")
    if name == "init":
        name = folders.pop()
    if folders[:1] == ["pages"]:
        return [f"test_{name}_page"]
    if name == "view" and folders[-1] in PAGES:
        return [f"test_{folders[-1]}_page"]
    within = [f"test_{folders[-1]}_{name}"] if len(folders) > 1 else []
    shared = name in REPEATED_NAMES or (folders[:1] == ["xent_ui"] and name in names)
    return within if shared else [f"test_{name}", *within]


def untested(root: Path, tested_by: dict[str, tuple[str, tuple[str, ...]]]) -> list[str]:
    """Modules without a test of their name and without a stated reason, and reasons that no longer hold."""
    files = {file.stem: file for file in (root / "tests").rglob("test_*.py")}
    covered = {path: test for test, (_, paths) in tested_by.items() for path in paths}
    core = {source.module.rpartition(".")[2] for source in sources(root, ["xent_core"])}
    found = []
    paths = {source.path for source in sources(root) if not _only_a_list_of_names(source.text, source.name)}
    for path in sorted(paths):
        mirrored = any(name in files for name in mirrors(path, core))
        if not mirrored and path not in covered:
            found.append(f"{path} has no test {' or '.join(mirrors(path, core))}, and no reason in TESTED_BY")
        if mirrored and path in covered:
            found.append(f"{path} has its own test and needs no reason")
    found += [f"{path} in TESTED_BY is not there" for path in covered if path not in paths]
    return found + [f"{test} in TESTED_BY is not there" for test in tested_by if not (root / test).is_file()]


def _only_a_list_of_names(text: str, name: str) -> bool:
    """Whether this is a package's __init__ that holds a docstring and names at most."""
    return name == "__init__" and not re.search(r"^\s*(async )?(def|class) ", text, re.MULTILINE)


# The program


@pytest.mark.parametrize(
    "rule",
    [crowded, against_the_direction, names_used_twice, long_modules, unformatted],
    ids=lambda rule: rule.__name__,
)
def test_the_house_keeps_its_rules(rule: Callable[[Path], list[str]]) -> None:
    broken = rule(ROOT)

    assert not broken, "\n".join(broken)


def test_every_module_has_its_test_or_a_reason() -> None:
    broken = untested(ROOT, TESTED_BY)

    assert not broken, "\n".join(broken)


# The checks can fail


def test_too_many_rooms_are_found(tmp_path: Path) -> None:
    for number in range(MAX_ROOMS + 1):
        write(tmp_path / f"xent_ui/room{number}/__init__.py", "")

    assert crowded(tmp_path) == [f"{MAX_ROOMS + 1} rooms, at most {MAX_ROOMS}"]


@pytest.mark.parametrize("line", ["import xent_ui.room{}", "def f():\n    from . import room{}"])
def test_too_many_floors_are_found(tmp_path: Path, line: str) -> None:
    for number in range(MAX_FLOORS):
        write(tmp_path / f"xent_ui/room{number}.py", line.format(number + 1))
    enough = crowded(tmp_path)
    write(tmp_path / f"xent_ui/room{MAX_FLOORS}.py", "")

    assert enough == []
    assert crowded(tmp_path) == [f"{MAX_FLOORS + 1} floors, at most {MAX_FLOORS}"]


def test_rooms_that_import_each_other_are_found_where_their_modules_do_not(tmp_path: Path) -> None:
    write(tmp_path / "xent_ui/table/editors.py", "from xent_ui.shell import cells")
    write(tmp_path / "xent_ui/shell/cells.py", "")
    write(tmp_path / "xent_ui/shell/share.py", "from xent_ui.table import names")
    write(tmp_path / "xent_ui/table/names.py", "")

    assert crowded(tmp_path) == ["shell → table → shell"]


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("xent_ui/table/a.py", "from xent_ui.widgets import b", ["table imports widgets, which is not below it"]),
        ("xent_ui/state/a.py", "from xent_ui.figures import b", ["state imports figures, which is not below it"]),
        ("xent_ui/text.py", "def f():\n    from .server import b", ["text imports server, which is not below it"]),
        ("xent_ui/attic/a.py", "", ["attic has no place in FLOORS"]),
        ("xent_ui/batch/a.py", "from xent_ui.widgets import b\nfrom xent_ui.server import b", []),
    ],
)
def test_a_room_that_imports_what_is_not_below_it_is_found(
    tmp_path: Path, path: str, code: str, found: list[str]
) -> None:
    for room in ("widgets", "figures", "server"):
        write(tmp_path / f"xent_ui/{room}/b.py", "")
    write(tmp_path / path, code)

    assert against_the_direction(tmp_path) == found


def test_a_name_used_twice_is_found(tmp_path: Path) -> None:
    for path in ("batch/view", "batch/figures", "batch/__init__", "figures/bars", "doctor/view", "table/batch"):
        write(tmp_path / f"xent_ui/{path}.py", "")
    write(tmp_path / "xent_core/bars.py", "")
    write(tmp_path / "xent_core/dump/bars.py", "")

    assert names_used_twice(tmp_path) == [
        "xent_ui/table/batch.py has the name of xent_ui/batch/__init__.py",
        "xent_core/dump/bars.py has the name of xent_core/bars.py",
    ]


@pytest.mark.parametrize(("lines", "found"), [(MAX_LINES, []), (501, ["harness/a.py has 501 lines"])])
def test_a_long_module_is_found(tmp_path: Path, lines: int, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_rooms.LISTS_OF_CASES", {"xent_core/cases.py": "a list"})
    write(tmp_path / "harness/a.py", "x = 1\n" * lines)
    write(tmp_path / "xent_core/cases.py", "x = 1\n" * 501)
    write(tmp_path / "tests/test_a.py", "x = 1\n" * 501)

    assert long_modules(tmp_path) == found


def test_a_list_of_cases_that_is_short_by_now_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_rooms.LISTS_OF_CASES", {"xent_core/cases.py": "a list"})
    write(tmp_path / "xent_core/cases.py", "")

    assert long_modules(tmp_path) == ["xent_core/cases.py needs no exception"]


def test_a_line_that_the_formatter_skips_without_a_reason_is_found(tmp_path: Path) -> None:
    write(tmp_path / "xent_core/a.py", "x = 1  # fmt: skip\ny = 2  # fmt: skip  # as it is printed\nz = 3  #fmt:off")

    assert unformatted(tmp_path) == ["xent_core/a.py:1", "xent_core/a.py:3"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("xent_core/problem.py", ["test_problem"]),
        ("xent_core/__main__.py", ["test_main"]),
        ("xent_core/dump/readers.py", ["test_readers", "test_dump_readers"]),
        ("xent_ui/shell/tab_storage/__init__.py", ["test_tab_storage", "test_shell_tab_storage"]),
        ("xent_ui/batch/view.py", ["test_batch_page"]),
        ("xent_ui/batch/figures.py", ["test_batch_figures"]),
        ("xent_ui/one_example/problem.py", ["test_one_example_problem"]),
        ("pages/explore/batch.py", ["test_batch_page"]),
        ("app.py", ["test_app"]),
    ],
)
def test_a_module_knows_the_names_of_its_test(path: str, names: list[str]) -> None:
    assert mirrors(path, ["problem", "readers"]) == names


def test_a_module_without_its_test_is_found(tmp_path: Path) -> None:
    write(tmp_path / "xent_core/__init__.py", '"""Names."""\nfrom xent_core.a import f')
    for name in "abc":
        write(tmp_path / f"xent_core/{name}.py", "")
    write(tmp_path / "tests/test_a.py", "")
    write(tmp_path / "tests/browser/test_b.py", "")
    write(tmp_path / "tests/test_all.py", "")
    missing = untested(tmp_path, {})

    assert missing == ["xent_core/c.py has no test test_c, and no reason in TESTED_BY"]
    assert untested(tmp_path, {"tests/test_all.py": ("a reason", ("xent_core/c.py",))}) == []


def test_a_reason_that_no_longer_holds_is_found(tmp_path: Path) -> None:
    write(tmp_path / "xent_core/a.py", "")
    write(tmp_path / "tests/test_a.py", "")
    stale = {"tests/test_gone.py": ("a reason", ("xent_core/a.py", "xent_core/gone.py"))}

    assert untested(tmp_path, stale) == [
        "xent_core/a.py has its own test and needs no reason",
        "xent_core/gone.py in TESTED_BY is not there",
        "tests/test_gone.py in TESTED_BY is not there",
    ]
