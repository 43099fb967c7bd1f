# `make demo` and `make test` are all a newcomer needs: each first makes .venv, once.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell grep '^torch==' constraints.txt)
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt

.PHONY: install demo test check kit validate bench clean

install: $(STAMP)

# torch comes first and by itself, so that a CPU build given to pip (PIP_FIND_LINKS, PIP_INDEX_URL) is the one that is taken.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11 or newer."; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV) with $$($(PYTHON) --version) ..."; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "constraints.txt is for Python 3.11 or newer: \
	make install PYTHON=python3.11, or without the pins: pip install -e .[test]")'
	@echo "Installing $(TORCH) (a large download the first time) ..."
	@$(PIP) "$(TORCH)"
	@echo "Installing autograder and the rest of constraints.txt ..."
	@$(PIP) --editable '.[test]'
	@touch $@

demo: install
	$(BIN)/python -m tests.make_class build/class
	@echo "$(BIN)/autograder grade attention build/class -o build/demo"
	@$(BIN)/autograder grade attention build/class -o build/demo || test $$? -eq 1  # 1: some cannot be graded, on purpose

# Files side by side, as many as cores and memory allow (tests/conftest.py); `pytest` alone runs one after the other.
test: install
	$(BIN)/python -m pytest -n auto --dist loadfile

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kit: install
	$(BIN)/autograder kit

validate: install
	$(BIN)/autograder validate

bench: install
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/bpe.py

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
