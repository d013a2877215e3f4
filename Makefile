# Sets everything up in .venv from nothing; override with make VENV=... PYTHON=...
VENV ?= .venv
PYTHON ?= python3
READY := $(VENV)/.ready

.PHONY: install quickstart test lint

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or later is needed, got {sys.version}"'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

quickstart: install
	HF_HUB_OFFLINE=1 $(VENV)/bin/hicra playground

test: install
	$(VENV)/bin/python -m pytest

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
