# Two commands set everything up in a virtual environment of their own: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints/ci.txt

.PHONY: demo test lint clean

demo: $(VENV)/.demo
	$(BIN)/leadline demo --out demo

test: $(VENV)/.dev lint
	$(BIN)/pytest -q -n auto

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/pip pyproject.toml constraints/ci.txt
	$(INSTALL) -e '.[demo]'
	touch $@

$(VENV)/.dev: $(BIN)/pip pyproject.toml constraints/ci.txt
	$(INSTALL) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist src/*.egg-info
