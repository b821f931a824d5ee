# One command each: `make demo` runs a real study, `make test` passes the tests.
# Both set up everything they need in .venv from a bare machine with python3, pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Tests start Python some hundred times: it keeps what it has compiled, whatever the environment says.
test test-long test-gguf: export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-long test-gguf check docs format bench clean setup test-oldest release lock audit

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[train,scale,quantize,ray,s3,score,rule,llm,ui,docs,dev]"
	@touch $(READY)

demo: setup
	@$(BIN)/assay demo

# Each file of tests goes whole to one of four processes: on two cores, as tests wait for others a third of the time.
test: setup
	$(BIN)/python -m pytest -n 4 --dist loadfile

# What takes minutes or a download: the wheel alone in an environment of its own.
test-long: setup
	$(BIN)/python -m pytest -m long -n 2 --dist loadfile --timeout 900

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

# The oldest libraries that pyproject.toml allows, in an environment of its own: the core and the tests that need no more.
OLD := build/oldest
test-oldest: $(OLD)/bin/uv
	$(OLD)/bin/uv pip compile pyproject.toml --resolution lowest-direct --quiet --output-file $(OLD)/oldest.txt
	$(OLD)/bin/python -m pip install --quiet --requirement $(OLD)/oldest.txt pytest pytest-timeout hypothesis rouge-score statsmodels
	PYTHONPATH=$(CURDIR)/src $(OLD)/bin/python -m pytest -p no:xdist $(OLDEST)
OLDEST := tests/core tests/curves tests/regression tests/selection

$(OLD)/bin/uv:
	$(PYTHON) -m venv $(OLD) && $(OLD)/bin/python -m pip install --quiet uv

# Wheel, source archive and bill of materials (CycloneDX) in dist.
TOOLS := build/release
release: setup $(TOOLS)/bin/twine
	$(TOOLS)/bin/python -m build --outdir dist .
	$(TOOLS)/bin/twine check --strict dist/*.whl dist/*.tar.gz
	$(TOOLS)/bin/cyclonedx-py environment $(VENV) --pyproject pyproject.toml --of JSON -o dist/sbom.json

# Every dependency with its hashes, for `pip install --require-hashes -r`; torch's files differ by machine and stay out.
lock: $(TOOLS)/bin/twine
	@mkdir -p locks
	$(TOOLS)/bin/uv pip compile pyproject.toml -c constraints.txt --generate-hashes --no-header --quiet -o locks/core.txt
	$(TOOLS)/bin/uv pip compile pyproject.toml --extra ui --extra llm -c constraints.txt --generate-hashes --no-header \
		--quiet -o locks/core-ui-llm.txt

# Known weaknesses of the pinned dependencies; asks a public database.
audit: $(TOOLS)/bin/twine
	$(TOOLS)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

$(TOOLS)/bin/twine:
	$(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/python -m pip install --quiet build cyclonedx-bom pip-audit twine uv

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .assay runs .pytest_cache .mypy_cache .ruff_cache
