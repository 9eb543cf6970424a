# Everything a newcomer needs: `make demo` and `make test` set up .venv themselves.
PYTHON ?= python3
# e.g. make setup PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" for a small torch without CUDA
PIP_ARGS ?=
# make setup LOCKED=1: just the versions that were tested, by constraints.txt
LOCKED ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed$(if $(LOCKED),-locked)

UV_ARGS ?=

.PHONY: setup constraints demo test test-lowest quick coverage chaos lint format tables clean

setup: $(STAMP)

$(STAMP): pyproject.toml $(if $(LOCKED),constraints.txt)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "harness needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) $(if $(LOCKED),--constraint constraints.txt) \
		--editable '.[dev]'
	touch $@

# Pins what is installed now, without the suffix of a build such as +cpu, and without what follows from the build.
constraints:
	{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable \
		| grep -v '^triton=\|^nvidia-\|^cuda-' | sed 's/+.*//'; } > constraints.txt.new
	mv constraints.txt.new constraints.txt

# A real ablation on embedded data (scikit-learn's digits, a stand-in for MNIST), and its table.
demo: $(STAMP)
	$(BIN)/harness run grid ablations/quickstart.yml
	$(BIN)/harness report tables --study ablations/quickstart.yml

# Hundreds of processes of the tests import the harness; some environments forbid them to keep what they compile.
.PHONY: compiled
compiled: $(STAMP)
	$(BIN)/python -m compileall -q harness

# Three on two cores, as many tests wait for processes that they have started (a tenth faster than two).
WORKERS ?= 3
test: compiled
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# What needs no network, no worker process, no kernel and no browser, and renders no published result: while you type.
quick: compiled
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m 'not slow' $(addprefix --ignore=tests/,$(SLOW)) $(PYTEST_ARGS)
SLOW := execution chaos bench training layers models classical denoiser search report/figures report/html data tasks cost \
	api/test_load_network.py api/test_notebook.py api/test_plot.py api/test_python_document.py api/test_run_from_python.py \
	attempt/test_checkpoints.py cli/test_accept.py \
	cli/test_denoise_command.py cli/test_interrupted.py cli/test_model_sweep.py cli/test_terminal.py \
	report/claims/test_pytest_plugin.py report/tables/test_by_name.py report/tables/test_study_document.py \
	report/test_made_by_set.py trial/test_counts.py \
	test_contributing.py test_light.py test_make_tables.py test_published.py test_torchvision_compat.py test_wheel.py

# The lowest versions that pyproject.toml takes, in an environment of their own. A part: make test-lowest
# LOWEST=search,figures,pandas,parquet,slurm PYTEST_ARGS='tests/base tests/store tests/study tests/stats'
LOWEST ?= test
LOW := $(VENV)-lowest/bin
test-lowest:
	test -x $(LOW)/python || $(PYTHON) -m venv $(VENV)-lowest
	$(LOW)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOW)/uv pip install --quiet --python $(LOW)/python --resolution lowest-direct $(UV_ARGS) --editable '.[$(LOWEST)]'
	$(LOW)/uv pip install --quiet --python $(LOW)/python pytest pytest-timeout pytest-xdist hypothesis hatchling
	OMP_NUM_THREADS=1 $(LOW)/python -m pytest --numprocesses=2 --dist=loadfile $(PYTEST_ARGS)

# Which lines the tests reach, in workers and commands too; slower than `make test`, whose slowest tests come first.
# CORE: Python 3.12 and newer say themselves which lines are reached; before, it is coverage's tracer in C.
CORE := 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")'
coverage: compiled
	rm -rf .coverage
	COVERAGE_CORE=$$($(BIN)/python -c $(CORE)) OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# A small grid under seeded faults, again and again: kills, locks, damaged files, full disks (CONTRIBUTING.md); minutes.
FAULTS ?= 40
SEED ?= 1
chaos: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m chaos --faults $(FAULTS) --seed $(SEED) $(if $(ONLY),--only $(ONLY))

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/readability.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Regenerates reports/ from results/published, and what docs/paper.md shows of them; the same bytes for the same results.
tables: $(STAMP)
	$(BIN)/harness report tables --table all --from results/published --out reports --format md --format latex --format csv
	$(BIN)/harness report figures --from results/published --out reports/figures
	$(BIN)/harness report findings --from results/published --out reports/findings.md
	$(BIN)/harness report html --from results/published --out reports/index.html
	$(BIN)/harness bench report --from results/benchmarks --out reports/benchmarks.md
	$(BIN)/harness report include docs/paper.md --from results/published
	$(BIN)/harness report log --from results/published --out docs/results-log.md

# Shows of all that is published, or makes anew, what code has made that has changed since; hours. Interrupted, it
# resumes. What it would take: make republish DRY=--dry-run
DB := results/republish.db
PUBLISHED = $(basename $(notdir $(wildcard results/published/*.jsonl)))
.PHONY: republish
republish: $(STAMP)
	$(BIN)/harness results merge results/published/*.jsonl --db $(DB)
	$(BIN)/harness run renew $(PUBLISHED:%=ablations/%.yml) --db $(DB) $(DRY)
	$(if $(DRY),,for study in $(PUBLISHED); do \
		$(BIN)/harness results export --study $$study --db $(DB) --out results/published/$$study.jsonl || exit; done)

# The documents as a site in build/site, with light and dark, search, and no request to other servers. A link that leads
# nowhere ends it. What documents link to lies beside them there as it does here.
.PHONY: docs
docs: $(STAMP)
	rm -rf build/documents build/site
	mkdir -p build/documents
	cp -R README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs reports ablations build/documents
	grep -oh '](\.\./\(harness\|tests\)/[^)#]*' docs/*.md | sed 's|^](../||' | sort -u | xargs cp --parents -t build/documents
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo build/site/index.html

clean:
	rm -rf $(VENV) $(VENV)-lowest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
