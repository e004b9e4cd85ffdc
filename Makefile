PYTHON ?= python

.DEFAULT_GOAL := help
.PHONY: help run test lint types audit check bench attack screenshots messages

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## Open the app in your browser, and watch its source: a page follows what is saved
	$(PYTHON) -m streamlit run app.py --server.fileWatcherType=auto

test:  ## Run the tests, those in Chromium included but the long ones, and name the ten slowest
	$(PYTHON) -m pytest --durations=10

lint:  ## Check style and formatting
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:  ## Check the types
	$(PYTHON) -m mypy

audit:  ## Ask which packages of the app have known weaknesses; a report, which fails nothing
	@$(PYTHON) -m scripts.audit

check: lint types test audit  ## What a change must pass: lint, types, test; and the report of audit

bench:  ## Measure speed and memory, as ratios, side by side in one run of a quarter of an hour
	$(PYTHON) -m benchmarks

attack:  ## Attack a public server as strangers would, beside neighbours who edit; NAMES="empty-pings text" for some
	$(PYTHON) -m scripts.attack $(NAMES)

screenshots:  ## Photograph every page, light and dark, wide and narrow
	$(PYTHON) -m scripts.screenshots

messages:  ## Collect every sentence that can be translated
	$(PYTHON) -m babel.messages.frontend extract --keywords="_ N_ ngettext:1,2" --no-location --sort-output --omit-header \
		--output-file=xent_core/locales/xent.pot app.py pages xent_core xent_host xent_ui
