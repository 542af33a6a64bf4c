# Each target is the only command needed: it installs what it needs (root, Debian or
# Ubuntu) and then does its work. A second call is quick.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PACKAGES := gcc python3-dev libc6-dev libcap-dev libseccomp2 busybox-static make

.PHONY: setup demo test lint types bench clean

setup: $(VENV)/done

$(VENV)/done: pyproject.toml
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	  if [ -n "$$missing" ]; then apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -e '.[test,systemd]'
	@touch $@

demo: setup
	$(PY) examples/demo.py

test: setup
	$(PY) -m pytest

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: setup
	$(VENV)/bin/mypy

bench: setup
	$(PY) -m bench

clean:
	rm -rf $(VENV) build dist *.egg-info
