# Neuron Audit: `make demo` to try it, `make test` to test it. Python 3.11+ is all a machine needs.
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.installed static/vendor/htmx.min.js

.PHONY: help setup demo test soak coverage check format wheel messages browser packages clean

help: ## List the commands.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

setup: $(SETUP) ## Create .venv, install everything pinned, fetch the front-end packages.

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[worker,dev]'
	touch $@

static/vendor/htmx.min.js: package.json package-lock.json | .venv/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --no-audit --no-fund --silent
	mkdir -p static/vendor
	cp node_modules/htmx.org/dist/htmx.min.js $@
	touch $@

demo: $(SETUP) ## Start everything on the bundled model and print one address.
	$(BIN)/neuron-audit demo

browser: $(SETUP) ## Make sure that a Chromium is there for the browser tests.
	$(BIN)/python -m tests.browser.find_chromium --install

packages: $(SETUP) ## Make sure that the system has what PDF reports need.
	$(BIN)/python -m tests.system_packages --install

# In the order of folders: the browser's tests take longest, and no process is to be left with them at the end.
test: $(SETUP) browser packages ## Run every test; reliability in its short form.
	$(BIN)/pytest -m 'not soak' --numprocesses logical --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

soak: $(SETUP) ## Run the reliability tests in full.
	$(BIN)/pytest -m soak

coverage: $(SETUP) ## Show the lines of the domain and of methods that no test reaches.
	$(BIN)/coverage run -m pytest tests/unit tests/worker
	$(BIN)/coverage report

check: $(SETUP) ## Format, lint, imports, types, templates, migrations: what CI runs beside the tests.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/djlint --check --lint --quiet templates
	$(BIN)/pytest tests/db/test_migrations.py

format: $(SETUP) ## Format the code and the templates.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/djlint --reformat --quiet templates

wheel: $(SETUP) ## Build a wheel with everything into dist/: pages, migrations, the demo's model.
	$(BIN)/python -m build --no-isolation --outdir dist

messages: $(SETUP) ## Add new sentences of reports to the catalogues of other languages.
	$(BIN)/pybabel --quiet extract --mapping-file pyproject.toml --add-location file --output .messages.pot .
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --input-file .messages.pot \
		--locale fr --output-file app/localization/messages/fr.po
	rm .messages.pot

clean: ## Remove what the commands made, the demo's data included.
	rm -rf .venv .data node_modules static/vendor
