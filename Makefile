# The commands; each makes .venv and installs what it needs the first time, and again when a requirement changes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
APP := $(VENV)/.installed-app
DEV := $(VENV)/.installed-dev
# The versions that are tested; none for the newest ones.
CONSTRAINTS ?= constraints.txt
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check \
	$(if $(CONSTRAINTS),-c $(CONSTRAINTS),--upgrade --upgrade-strategy eager)

.PHONY: help app test nightly lint docs bench gpu-check newest constraints dist

help:
	@echo "make app          serve the dashboard on http://127.0.0.1:8501 (PORT=N for another port)"
	@echo "make test         run every test that this machine can run"
	@echo "make nightly      the same, and more of what tests try"
	@echo "make lint         check style and types"
	@echo "make docs         the pages as a site, in docs/api/"
	@echo "make bench        print the benchmarks"
	@echo "make gpu-check    check and time a GPU in under four minutes (GPU_PYTHON=python3 for another Python)"
	@echo "make newest       run every test with the newest versions of everything, in .venv-newest"
	@echo "make constraints  write down the versions of .venv-newest as those that are tested"
	@echo "make dist         build and check what is released, in dist/"

app: $(APP)
	$(BIN)/python -m duo_core app $(if $(PORT),--port $(PORT))

# Files of tests side by side, each file in one process; in the order of tests/conftest.py, not by their number of tests.
# ONLY=browser or ONLY="not browser" runs a part. Otherwise both are jobs side by side: a page in a browser is mostly waited for,
# and two processes of the rest are at work meanwhile. Python may keep what it has compiled, for all that tests start.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
WORKERS ?= 2

test: $(DEV)
ifdef ONLY
	$(PYTEST) -n auto --maxprocesses 4 -m "$(ONLY)" $(if $(filter-out browser,$(ONLY)),,tests)
else
	@$(MAKE) --no-print-directory -j2 _browser _rest
endif

.PHONY: _browser _rest
# What it says comes in one piece, at its end.
_browser: $(DEV)
	@$(PYTEST) -n $(WORKERS) -m browser tests >.test-browser.log 2>&1; status=$$?; cat .test-browser.log; exit $$status

_rest: $(DEV)
	$(PYTEST) -n $(WORKERS) -m "not browser"

nightly:
	DUO_NIGHTLY=1 $(MAKE) test

# All three have their say before the target fails.
lint: $(DEV)
	@status=0; for check in "ruff check" "ruff format --check" "mypy"; do \
		echo "$$check"; $(BIN)/python -m $$check || status=1; \
	done; exit $$status

docs: $(DEV)
	$(BIN)/python -W error docs/build.py

# What is compared with is installed for this alone.
bench: $(APP)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r benchmarks/requirements.txt
	@status=0; for script in $(patsubst %,benchmarks/%.py,speed systems dashboard opening walking many_models sessions fairness light inference published_costs); do \
		echo "$$script"; $(BIN)/python $$script || status=1; \
	done; exit $$status

# Installs nothing: the Python of .venv where there is one, else one that has torch, torchvision, timm and pytest.
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu-check:
	PYTHONPATH="$(CURDIR)" $(GPU_PYTHON) benchmarks/gpu_check.py

newest:
	rm -f .venv-newest/.installed-*
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

constraints:
	@{ head -n 1 constraints.txt; .venv-newest/bin/python -m pip freeze --all --exclude-editable | grep -v '^pip=='; } \
		> constraints.new && mv constraints.new constraints.txt
	@git diff --stat -- constraints.txt

# The wheel is built from the source distribution, which shows that that is whole; twine reads what both say of themselves.
dist: $(APP)
	$(BIN)/python -m pip install --disable-pip-version-check -q build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

# A virtual environment that an interrupted run left without pip is made anew.
$(APP): requirements-light.txt requirements-models.txt pyproject.toml setup.py duo_core/__init__.py $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "expected Python 3.11 or newer as '$(PYTHON)', got '$$($(PYTHON) --version 2>&1 | head -n 1)';" \
		"install one, or name it: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV); the first time this downloads some gigabytes."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) -e ".[models]"
	@$(BIN)/python -m duo_core.warmup
	@touch $@

$(DEV): $(APP) requirements-dev.txt
	$(INSTALL) -r requirements-dev.txt
	@touch $@
