# Everything from a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Rooms whose pure functions have examples that run.
DOCTESTS := $(addprefix ditflow/,functional video utils runs errors.py learning_rates.py)

.PHONY: demo test docs lint format clean
.DEFAULT_GOAL := demo

# pip's warnings are of the package index that a machine is set to, and none of ours.
$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV), once: some minutes and 2 GB."
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "$(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "No virtual environment could be made; install Python's venv (python3-venv)."; exit 1; }
	@{ $(BIN)/python -m pip install --quiet --upgrade pip && \
	  $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"; } \
	  2> $(VENV)/setup.log || { tail -n 20 $(VENV)/setup.log; \
	  echo "Set-up failed, see $(VENV)/setup.log; with a network, make again goes on."; exit 1; }
	@touch $@

demo: $(STAMP)  ## fit a motion, reuse it, and put everything side by side into demo/
	@OMP_NUM_THREADS=1 $(BIN)/ditflow demo --output demo || \
	  { echo "The demo failed; ask the machine: $(BIN)/ditflow doctor"; exit 1; }

# Processes of one thread each: threads gain little on models this small, and where other work
# shares the machine they wait for each other most of the time.
test: $(STAMP)  ## the whole suite but for what is marked slow
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests $(DOCTESTS) --doctest-modules \
	  --numprocesses 2 --dist loadfile || \
	  { echo "Run one again with: $(BIN)/python -m pytest -x TEST"; exit 1; }

docs: $(STAMP)  ## the site into build/site; runs the notebook
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs]" \
	  2> $(VENV)/setup.log || { tail -n 20 $(VENV)/setup.log; exit 1; }
	@OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build --quiet --strict || \
	  { echo "A page is wrong, or the notebook does not run: see above"; exit 1; }

lint: $(STAMP)
	@{ $(BIN)/ruff check . && $(BIN)/ruff format --check .; } || \
	  { echo "Most of it is mended by: make format"; exit 1; }
	@$(BIN)/mypy || { echo "Types: see [tool.mypy] in pyproject.toml"; exit 1; }

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo build dist
