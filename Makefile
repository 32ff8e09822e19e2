# Everything from a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test docs lint format clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(STAMP)  ## fit a motion, reuse it, and put everything side by side into demo/
	OMP_NUM_THREADS=1 $(BIN)/ditflow demo --output demo

# Processes of one thread each: threads gain little on models this small, and where other work
# shares the machine they wait for each other most of the time.
test: $(STAMP)  ## the whole suite but for what is marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --numprocesses 2 --dist loadfile

docs: $(STAMP)  ## the site into build/site; runs the notebook
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs]"
	OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build --quiet --strict

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo build dist
