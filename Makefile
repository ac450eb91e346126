# Everything here needs only python3 (with venv) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check benchmark clean

help:
	@echo "make demo       train an SSIM and a convolutional network, attack both, draw"
	@echo "make test       ruff, pyright, tests, doctests, notebooks"
	@echo "make benchmark  what the layer costs beside a convolution"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/installed

demo: $(VENV)/installed
	$(BIN)/python -m experiments.demo --workdir=runs/demo

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: check
	$(BIN)/pytest

benchmark: $(VENV)/installed
	$(BIN)/python -m experiments.benchmark layer

clean:
	rm -rf $(VENV) runs
