# `make help` lists the targets. Needs python3 (3.11 or newer, with venv) and make; the rest goes into .venv.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
export MPLBACKEND ?= Agg

.DEFAULT_GOAL := help
.PHONY: demo test lint bench figures report help

# torch comes first and by itself: the installer may then take whichever build fits the machine
$(READY): pyproject.toml constraints.txt
	@echo "environment: .venv (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fisherkit needs Python 3.11 or newer; use make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) -e '.[neural,cluster,exact,test]' -c constraints.txt
	@touch $@

demo: $(READY) ## the paper's Gaussian experiment in a small version: prints a table and the path of the figure
	$(BIN)/python studies/gaussian_recon.py --quick $(ARGS)

test: $(READY) ## the whole suite, with the examples in docstrings and README (ARGS=--slow for the slow tests too)
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## formatting, lint rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY) ## side-by-side timings against other libraries (ARGS=--quick for a small version)
	$(BIN)/python benchmarks/run.py $(ARGS)

figures: $(READY) ## every figure and table of the paper in full, and what goes beyond: paper_figures/ (ARGS=--quick: small)
	$(BIN)/python studies/reproduce.py $(ARGS)

report: $(READY) ## figures, tables and rows in one file, paper_figures/report.html (ARGS="--folder FOLDER" for other results)
	$(BIN)/python studies/html_report.py $(ARGS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
