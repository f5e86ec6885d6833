# Every target sets up what it needs; nothing has to be installed by hand but Python 3.11 or newer.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
INPUT ?= samples/documents
DEMO := progress_note_en.txt progress_note_es.rtf clinic_note_en.png emergency_report_es.pdf progress_note_pt.pdf
LAKE ?= $(if $(MEDPIPE_LAKE),$(MEDPIPE_LAKE),lake)
HOST ?= 127.0.0.1
PORT ?= 3000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup run demo-aws test test-spark test-all ui model engines lint types docs samples clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings: INPUT=$(INPUT) LAKE=$(LAKE) PORT=$(PORT) PYTHON=$(PYTHON)"

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medpipe needs Python 3.11 or newer; say which with make PYTHON=...")'
	@echo "setting up $(VENV) (about a minute with a warm cache)"
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
		uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $(STAMP)

setup: $(STAMP) ## Make the virtual environment and install medpipe into it

run: setup ## Materialise the graph over the samples (or documents at INPUT) and print the result
	@$(BIN)/medpipe run --lake "$(LAKE)" "$(INPUT)"
ifeq ($(INPUT),samples/documents)
	@$(BIN)/medpipe load --lake "$(LAKE)" facilities samples/facilities
	@for dataset in clinicians practices canonical_providers detail_tables; do \
		$(BIN)/medpipe load --lake "$(LAKE)" $$dataset samples/providers/$$dataset || exit 1; \
	done
endif

demo-aws: setup ## Run a few samples under the aws profile against a stand-in for AWS, and print the bill
	@lake=$$(mktemp -d) && trap 'rm -rf "$$lake"' EXIT && cd samples/documents && \
	PYTHONPATH="$(CURDIR)" $(CURDIR)/$(BIN)/python -m medpipe_tests.aws_double --port 0 \
		$(CURDIR)/$(BIN)/medpipe run --lake "$$lake" --profile aws $(DEMO) && \
	echo "The bill, and what was not on it:" && \
	$(CURDIR)/$(BIN)/medpipe query --lake "$$lake" "SELECT operation, round(sum(units), 0) AS units, unit, \
		round(sum(dollars), 4) AS dollars, round(sum(saved_dollars), 4) AS saved, reason_saved \
		FROM costs GROUP BY operation, unit, reason_saved ORDER BY operation, dollars DESC"

test: setup ## Run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long and not spark"

test-spark: setup ## Run the tests of Spark (adds the extra `spark`, 340 MB; Java 17 must be there)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[spark]' || \
		uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[spark]'
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m spark

test-all: setup ## Run the tests, the long ones and those of Spark too
	@HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n 2 --dist loadfile

ui: setup ## Start the web UI on the same lake, with the daemon that watches the inbox
	@umask 077 && mkdir -p "$(LAKE)" && export MEDPIPE_LAKE="$$(cd "$(LAKE)" && pwd)" && \
	export DAGSTER_HOME="$${DAGSTER_HOME:-$$($(BIN)/medpipe home)}" && \
	echo "web UI: http://$(HOST):$(PORT)   inbox: $$MEDPIPE_LAKE/inbox   stop: Ctrl-C" && \
	exec env --default-signal=INT,TERM $(BIN)/dagster dev -w workspace.yaml -h $(HOST) -p $(PORT)

model: setup ## Get the CodiEsp corpus and build the coding model from it (CORPUS="DIR DIR": from your own corpora)
	@corpora="$(CORPUS)"; [ -n "$$corpora" ] || corpora=$$($(BIN)/medpipe model fetch) || exit 1; \
	set --; for corpus in $$corpora; do set -- "$$@" --corpus "$$corpus"; done; \
	$(BIN)/medpipe model build "$$@" $(BUILD)

engines: ## Add Apertium's translators (Debian or Ubuntu, as root)
	@if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq apertium apertium-eng-spa apertium-fr-es apertium-es-pt apertium-spa-ita cg3; \
	else \
		echo "make engines needs apt-get and root: without Apertium, translation is a word-by-word gloss; codes are the same"; \
	fi

lint: setup ## Check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: setup ## Write the generated documentation
	@$(BIN)/python -m medpipe_assets.dictionary > docs/data_dictionary.md
	@$(BIN)/python -m medpipe_tests.aws_double.actions > docs/aws_actions.md

samples: setup ## Make samples/documents and samples/truth.json anew
	@$(BIN)/python -m samples.generate --seed 0 --out samples

clean: ## Remove the virtual environment and caches; the lake stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
