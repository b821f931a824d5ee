# One command each: `make demo` runs a real study, `make test` passes the tests.
# Both set up everything they need in .venv from a bare machine with python3, pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-long test-gguf check docs format bench clean setup

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[train,scale,quantize,ray,score,rule,llm,ui,docs,dev]"
	@touch $(READY)

demo: setup
	@$(BIN)/assay demo

# Each file of tests goes whole to one of two processes.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

# What takes minutes or a download: the wheel alone in an environment of its own.
test-long: setup
	$(BIN)/python -m pytest -m long

# llama.cpp is built from source the first time: some 10 minutes on two cores.
test-gguf: setup
	@$(BIN)/python -c "import llama_cpp" 2>/dev/null || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --constraint constraints.txt --editable ".[gguf]"
	$(BIN)/python -m pytest -m '' tests/gguf tests/study/test_exports_of_studies.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, in build/site; offline, links checked.
docs: setup
	@$(BIN)/python docs/_site.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Open build/site/index.html"

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .assay runs .pytest_cache .mypy_cache .ruff_cache
