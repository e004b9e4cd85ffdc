"""The report about known weaknesses: which packages it asks about, and that it does not call silence good news."""

from scripts.audit import packages, report


def test_the_audit_asks_about_what_the_app_needs_and_what_that_needs() -> None:
    names = packages()

    assert {"streamlit", "torch", "starlette", "uvicorn", "pillow", "pyarrow"} <= set(names)
    assert not {"pytest", "playwright", "ruff"} & set(names)
    assert "+" not in "".join(names.values())


def test_a_package_that_was_not_found_counts_as_unknown_and_not_as_safe() -> None:
    weak = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}
    text = report(
        {
            "dependencies": [
                {"name": "good", "version": "1.0", "vulns": []},
                {"name": "bad", "version": "1.0", "vulns": [weak]},
                {"name": "lost", "skip_reason": "not found"},
            ]
        }
    )

    assert text.splitlines() == [
        "bad 1.0: PYSEC-1, mended in 2.0",
        "2 of 3 packages looked up, 1 known weaknesses.",
        "Nothing is known about: lost.",
    ]
