# Everything here needs only python3 (with venv) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers

.PHONY: help demo test test-slow check browser benchmark peers clean

help:
	@echo "make demo       train an SSIM and a convolutional network, attack both, draw"
	@echo "make test       ruff, pyright, tests, doctests, notebooks"
	@echo "make test-slow  ten kills of a run at random moments, none of which may cost a step"
	@echo "make browser    install Chromium on Debian, for the test of the ranking page"
	@echo "make benchmark  what everything costs, beside other libraries"
	@echo "make peers      values, gradients and attacks beside those of other libraries"

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
	$(BIN)/pytest -n auto --maxprocesses=4 --dist=worksteal

test-slow: $(VENV)/installed-dev
	$(BIN)/pytest -m slow

# Without them, the test of the page on which people rank pictures is skipped. Needs root.
browser:
	apt-get update
	apt-get install -y chromium chromium-driver

benchmark: $(PEERS)/installed
	$(PEERS)/bin/python -m experiments.benchmark all --out=runs/benchmark.json

# Their dependencies are left out: kornia and piq ask for torchvision and any torch, of
# which pip may choose a CUDA build of several GB. SSIM needs neither; the two small
# packages at the end are what the imports do need. torch-fidelity has a folder of its
# own, as torchmetrics would import it, and with it torchvision, if it found it.
$(PEERS)/installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		pytorch-msssim==1.0.0 piq==0.8.0 torchmetrics==1.9.0 kornia==0.9.0 \
		kornia_rs lightning-utilities pyautoattack==0.2.0
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--upgrade --target $(PEERS)/torch-fidelity torch-fidelity==0.4.0
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		dm-pix==0.4.5 foolbox==3.3.4
	-$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		tensorflow-cpu==2.21.0
	@touch $@

peers: $(PEERS)/installed
	$(PEERS)/bin/pytest -m peers tests/peers

clean:
	rm -rf $(VENV) $(PEERS) runs
