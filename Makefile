# make lab   the course in JupyterLab, opening at its first lesson      (make lab ARGS=--no-browser on a server)
# make test  everything that must hold                                  (make test ARGS="-k counter" for a part)
# make bench what the token costs, beside its peers
#
# Both make .venv with the exact versions of constraints.txt first, and again when these change.

PYTHON ?= python3
BIN = .venv/bin

# JupyterLab refuses to run as root unless told to; containers are root.
AS_ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

lab: .venv/ready
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(AS_ROOT) $(ARGS)

test: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@# First what may share the machine, on two cores; then what may not.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/python -m pytest -m alone
endif

bench: .venv/ready
	$(BIN)/python -m pytest -q --benchmark-only --benchmark-quiet $(ARGS) tests/benchmarks

.venv/ready: pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This course needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	@echo "Installing the course into .venv: about 850 MB and 3 to 5 minutes, this once. What pip does is shown below."
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[course,teach,test]'
	@# A student's page shows no grader's menus. A teacher's own installation of .[teach] does.
	$(BIN)/jupyter labextension disable --level=sys_prefix @jupyter/nbgrader 2>/dev/null
	$(BIN)/jupyter labextension disable --level=sys_prefix @jupyter-notebook/lab-extension 2>/dev/null
	touch $@

.PHONY: lab test bench
