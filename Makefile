# The four commands; each makes .venv and installs what it needs the first time, and again when a requirement changes.
PYTHON ?= python3
BIN := .venv/bin
APP := .venv/.installed-app
DEV := .venv/.installed-dev

.PHONY: help app test lint bench

help:
	@echo "make app    serve the dashboard on http://127.0.0.1:8501 (PORT=N for another port)"
	@echo "make test   run every test that this machine can run"
	@echo "make lint   check style and types"
	@echo "make bench  print the benchmarks"

app: $(APP)
	$(BIN)/python -m duo_core app $(if $(PORT),--port $(PORT))

# Files of tests side by side, each file in one process; in the order of tests/conftest.py, not by their number of tests.
test: $(DEV)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# All three have their say before the target fails.
lint: $(DEV)
	@status=0; for check in "ruff check" "ruff format --check" "mypy"; do \
		echo "$$check"; $(BIN)/python -m $$check || status=1; \
	done; exit $$status

# What is compared with is installed for this alone.
bench: $(APP)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r benchmarks/requirements.txt
	@status=0; for script in $(patsubst %,benchmarks/%.py,speed systems dashboard opening sessions inference published_costs); do \
		echo "$$script"; $(BIN)/python $$script || status=1; \
	done; exit $$status

# A virtual environment that an interrupted run left without pip is made anew.
$(APP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "expected Python 3.11 or newer as '$(PYTHON)', got '$$($(PYTHON) --version 2>&1 | head -n 1)';" \
		"install one, or name it: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into .venv; the first time this downloads some gigabytes."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	@$(BIN)/python -m duo_core.warmup
	@touch $@

$(DEV): $(APP) requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch $@
