# Each target is the only command needed: it installs what it needs (root, Debian or
# Ubuntu) and then does its work. A second call is quick.
#
#   make demo          containers side by side in one event loop, with their figures
#   make test          the whole suite on this machine's kernel
#   make coverage-table  docs/coverage.md again, from the marks of the tests
#   make test-engines  podman, docker and containerd with our OCI runtime
#   make test-v2       the kernel tests in a guest with pure cgroup v2, and with systemd
#   make check         lint, types and tests: what has to pass before a commit
#   make soak          ten thousand lives in a row (LIVES=...): nothing left, no slower
#   make bench         our figures beside those of runc, crun and bubblewrap
#
# PYTHON=python3.12 uses another interpreter, with a virtual environment of its own;
# ARGS='-k name' goes to pytest.
PYTHON ?= python3
LIVES ?= 10000
SUFFIX := $(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
VENV ?= .venv$(SUFFIX)
PY := $(VENV)/bin/python
PACKAGES := gcc libc6-dev python3-dev python3-venv libcap-dev libseccomp2 busybox-static make \
  iproute2
BENCH_PACKAGES := runc crun bubblewrap
ENGINE_PACKAGES := podman conmon docker.io containerd iptables
VM_PACKAGES := mmdebstrap debian-archive-keyring e2fsprogs zstd

# install-packages NAMES: only what is missing, so that a second call needs no network.
# Daemons among them are not started (RUNLEVEL, see invoke-rc.d(8)).
define install-packages
@missing=; for name in $(1); do \
  dpkg-query -W -f='$${Status}' $$name 2>/dev/null | grep -q 'ok installed' || \
  missing="$$missing $$name"; done; \
if [ -n "$$missing" ]; then \
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

.PHONY: setup demo test test-engines coverage-table vm test-v2 soak lint types check bench clean

setup: $(VENV)/done

# An old pip, as Python 3.11 to 3.13.0 bring it, writes commands that import re: 5 ms.
$(VENV)/done: pyproject.toml
	$(call install-packages,$(PACKAGES))
	@python=$$($(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null || \
	  ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/$(PYTHON) 2>/dev/null | tail -1); \
	"$${python:-$(PYTHON)}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "aiocontainer needs Python 3.11 or later; this is " + sys.version)' && \
	"$${python:-$(PYTHON)}" -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check --upgrade pip
	$(PY) -m pip install -q --disable-pip-version-check -e '.[test,systemd,cli]'
	@touch $@

demo: setup
	$(PY) examples/demo.py

test: setup
	$(PY) -m pytest --ignore=tests/engines $(ARGS)

test-engines: setup
	$(call install-packages,$(ENGINE_PACKAGES))
	$(PY) -m pytest tests/engines $(ARGS)

coverage-table: setup
	$(PY) -m tests.coverage_table

vm: setup
	$(call install-packages,$(VM_PACKAGES))
	PYTHON=$(abspath $(PY)) tests/vm/build.sh

test-v2: vm
	tests/vm/test.sh $(ARGS)

soak: setup
	$(PY) -m tests.soak $(LIVES)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: setup
	$(VENV)/bin/mypy

check: lint types test

bench: setup
	$(call install-packages,$(BENCH_PACKAGES))
	$(PY) -m bench

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
