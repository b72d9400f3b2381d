# Versions of every tool that the verbs use, in this one place.
GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
ACTIONLINT    := v1.7.12
CYCLONEDX     := v1.10.0
SAM_CLI       := 1.170.0
CFN_LINT      := 1.58.0
MINISTACK     := 1.5.33
# What ministack reads SAM templates and keeps keys with.
SAM_TRANSLATOR := 1.112.0
CRYPTOGRAPHY  := 50.0.2
SCHEMATHESIS  := 4.32.5
CHECKOV       := 3.3.30

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Where everything is installed and built; all are ignored by git.
TOOLS := $(CURDIR)/.tools
BUILD := $(CURDIR)/build
MINISTACK_READY := $(TOOLS)/ministack/$(MINISTACK)-$(SAM_TRANSLATOR)-$(CRYPTOGRAPHY)
# The Salesforce project; its tools are where Node and editors look for them.
SFDX := sfdx

# A static binary does not care which libc it meets; lambda.norpc leaves out
# the old RPC mode of the Lambda library (2 MB).
export CGO_ENABLED := 0
GOFLAGS_BUILD := -tags lambda.norpc
LDFLAGS := -s -w

# arm64 or x86_64, as CloudFormation says it.
ARCHITECTURE ?= arm64
GOARCH_arm64  := arm64
GOARCH_x86_64 := amd64
HOST_ARCHITECTURE := $(patsubst aarch64,arm64,$(shell uname -m))

# The browser of make e2e.
export CHROMIUM ?= chromium

# How long `make fuzz` tries each target.
FUZZTIME ?= 60s

FUNCTIONS := fulfill provision statuspush status

export SAM_CLI_TELEMETRY := 0
# The SAM CLI wants a region even for what never leaves this machine.
export AWS_DEFAULT_REGION ?= eu-central-1

##@ Daily

.PHONY: help
help: ## list the verbs
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the four functions, the local system and orderctl into build/bin
	@echo 'building (a minute or two the first time, then seconds)'
	@$(foreach f,$(FUNCTIONS),go build $(GOFLAGS_BUILD) -ldflags '$(LDFLAGS)' -o $(BUILD)/bin/$(f)/bootstrap ./functions/$(f) &&) \
		go build $(GOFLAGS_BUILD) -ldflags '$(LDFLAGS)' -o $(BUILD)/bin/deploycheck/bootstrap ./cmd/deploycheck && \
		go build $(GOFLAGS_BUILD) -ldflags '$(LDFLAGS)' -o $(BUILD)/bin/ ./local && \
		go build $(GOFLAGS_BUILD) -buildvcs=auto -ldflags '$(LDFLAGS)' -o $(BUILD)/bin/ ./cmd/orderctl

.PHONY: install
install: ## install orderctl into the folder of Go's binaries (orderctl man DIR and completion do the rest)
	@go install $(GOFLAGS_BUILD) -buildvcs=auto -ldflags '$(LDFLAGS)' ./cmd/orderctl

.PHONY: run
run: build ## start the whole system on this machine (Ctrl-C ends it)
	@exec $(BUILD)/bin/local -template template.yaml -bin $(BUILD)/bin

.PHONY: demo
demo: build ## show in a minute what it is for: six orders, five of them in trouble
	@go build -o $(BUILD)/bin/demo ./local/demo
	@exec $(BUILD)/bin/demo -template template.yaml -bin $(BUILD)/bin $(if $(CI),,-keep)

.PHONY: test
test: build $(MINISTACK_READY) $(TOOLS)/clients/installed ## run everything that must hold (5 minutes at most)
	@MINISTACK_BIN=$(TOOLS)/ministack/bin/ministack SF_CLIENTS=$(TOOLS)/clients BIN=$(BUILD)/bin .ci/test

.PHONY: lint
lint: $(TOOLS)/bin/golangci-lint-$(GOLANGCI_LINT) $(TOOLS)/bin/actionlint-$(ACTIONLINT) ## check style, vet, shell scripts and workflows
	@.ci/need shellcheck shellcheck
	@$(TOOLS)/bin/actionlint-$(ACTIONLINT)
	@test -z "$$(gofmt -l bench cmd contract functions local shared)" || { echo 'gofmt is needed for:'; gofmt -l bench cmd contract functions local shared; exit 1; }
	@$< run
	@# SC3045: dash knows ulimit -t.
	@grep -lE '^#!.*\b(ba)?sh$$' $$(git ls-files) | xargs -r shellcheck -S warning -e SC3045

##@ Portal

.PHONY: portal-test
portal-test: $(TOOLS)/portal ## check and test portal/: types, package, React, TanStack Query, SWR
	@cd portal && npm run -s check && npm run -s test

.PHONY: e2e
e2e: build $(TOOLS)/portal ## the portal's client and the console page in Chromium, on the running system
	@.ci/need $(CHROMIUM) chromium
	@cd portal && npm run -s build && BIN=$(BUILD)/bin npm run -s e2e

.PHONY: screenshots
screenshots: build $(TOOLS)/portal ## make the README's pictures of the console page
	@.ci/need $(CHROMIUM) chromium
	@cd portal && BIN=$(BUILD)/bin npm run -s screenshots

.PHONY: portal-bench
portal-bench: build $(TOOLS)/portal ## how long a customer waits for 200 orders' news, and how often is asked
	@cd portal && npm run -s build && BIN=$(BUILD)/bin npm run -s bench

##@ Slower checks

.PHONY: race
race: ## run the Go tests under the race detector (needs a C compiler)
	@CGO_ENABLED=1 go test -race ./...

.PHONY: fuzz
fuzz: ## try each fuzz target for FUZZTIME (60s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: contract
contract: build ## walk each row of the HTTP contract by plain requests (API_URL=… walks a running system)
	@if [ -n "$${API_URL:-}" ]; then python3 contract/walk.py; \
	else python3 contract/walk.py --start '$(BUILD)/bin/local -template template.yaml -bin $(BUILD)/bin'; fi

# Options of make api-fuzz; --seed N repeats a run.
FUZZ ?=

.PHONY: api-fuzz
api-fuzz: build $(TOOLS)/schemathesis/$(SCHEMATHESIS) ## fuzz every route of the contract by Schemathesis (FUZZ='--seed N --examples N')
	@$(TOOLS)/schemathesis/bin/python contract/fuzz.py --start '$(BUILD)/bin/local -template template.yaml -bin $(BUILD)/bin' $(FUZZ)

# A run of make chaos that failed is repeated by SEED=…; ORDERS=60 is a short one.
ORDERS ?= 0
SEED ?= 0
CHAOS = $(BUILD)/bin/chaos -bin $(BUILD)/bin -template template.yaml -log $(BUILD)/chaos.log -orders $(ORDERS) -seed $(SEED)

$(BUILD)/bin/chaos: build
	@go build -o $@ ./local/chaos

.PHONY: chaos
chaos: $(BUILD)/bin/chaos ## kill, freeze and break everything under 1000 orders (ORDERS=60 for less, SEED=…)
	@$(CHAOS)

.PHONY: chaos-salesforce
chaos-salesforce: $(BUILD)/bin/chaos ## take Salesforce away for a minute in the middle of 500 orders
	@$(CHAOS) -scenario salesforce

$(BUILD)/bin/drill: build
	@go build -o $@ ./local/drill

# What make drill (ONLY='objectives/OrdersInTime') and make deploy-test
# (ONLY=ProvisionRole: the permissions of that role) are limited to.
ONLY ?=

.PHONY: drill
drill: $(BUILD)/bin/drill ## make every alarm fire and end by a cause of its own, then 10,000 calm orders (15 minutes; ORDERS=500, ONLY=door for less)
	@$(BUILD)/bin/drill -bin $(BUILD)/bin -template template.yaml -logs $(BUILD)/drill -only '$(ONLY)' $(if $(filter-out 0,$(ORDERS)),-orders $(ORDERS))

.PHONY: restore-drill
restore-drill: $(BUILD)/bin/chaos ## set the table back to a backup under 200 orders, come back as docs/operations.md says
	@$(CHAOS) -scenario restore

# How many calls make histories has judged.
CALLS ?= 10000

.PHONY: histories
histories: ## have porcupine judge the histories of 10,000 calls by clients that are killed (15 seconds)
	@go test -count=1 -v -timeout 20m ./shared/store -run 'HistoriesOf' -operations $(CALLS)

# Which edits make mutate makes: names, or beginnings of names, separated by commas.
MUTATE ?=

.PHONY: mutate
mutate: ## make 113 careless edits, one at a time, and show that a fast test finds each (MUTATE=name)
	@go run ./local/mutate -only '$(MUTATE)'

# The functions trust Amazon's roots first. What stands for AWS on this machine
# cannot have one of those, so its root is built in beside them.
ROOTS := shared/lambdaenv/amazon-roots.pem
$(BUILD)/bench/bin: build
	@mkdir -p $@
	@go build -o $(BUILD)/bin/bench ./bench
	@{ cat $(ROOTS) && $(BUILD)/bin/bench -root-certificate; } > $(BUILD)/bench/roots.pem
	@echo '{"Replace": {"$(CURDIR)/$(ROOTS)": "$(BUILD)/bench/roots.pem"}}' > $(BUILD)/bench/overlay.json
	@$(foreach f,$(FUNCTIONS),go build -overlay $(BUILD)/bench/overlay.json $(GOFLAGS_BUILD) -ldflags '$(LDFLAGS)' -o $@/$(f)/bootstrap ./functions/$(f) &&) \
		go build $(GOFLAGS_BUILD) -ldflags '$(LDFLAGS)' -o $@/floor/bootstrap ./bench/floor

# Options of make bench and make rivals: QUICK=1 leaves out what is installed,
# DOCS=1 writes docs/benchmarks.md.
BENCH = $(BUILD)/bin/bench -bin $(BUILD)/bench/bin -work $(BUILD)/bench $(if $(QUICK),,-rivals $(TOOLS)/rivals/bin) $(if $(DOCS),-docs docs/benchmarks.md)

.PHONY: bench $(BUILD)/bench/bin
bench: $(BUILD)/bench/bin $(if $(QUICK),,$(TOOLS)/rivals/installed) ## measure the functions beside a floor and beside rivals, in one run (8 minutes; QUICK=1)
	@$(BENCH) -json $(BUILD)/bench.json $(if $(QUICK),-quick)

.PHONY: rivals
rivals: $(BUILD)/bench/bin $(if $(QUICK),,$(TOOLS)/rivals/installed) ## kill, cut off and freeze the functions and their rivals at AddOrder, count the orders (5 minutes; QUICK=1)
	@$(BENCH) -json $(BUILD)/rivals.json -faults

.PHONY: bench-gateway
bench-gateway: build ## what an order takes of time, units, calls, log; whether time tells foreign from unknown (a minute)
	@go run ./bench/gateway -bin $(BUILD)/bin -template template.yaml

.PHONY: scale
scale: ## write docs/scale.md: cost, waiting and limits from one order a day to a million (a model; seconds)
	@go run ./bench/scale

.PHONY: model
model: ## check the formal model of the protocol
	@.ci/need spin spin
	@docs/model/run.sh

# Where make vuln finds Go's vulnerability database: an https address, or
# file:///folder of a copy of it for a machine without the internet.
VULNDB ?=

.PHONY: vuln
vuln: $(TOOLS)/bin/govulncheck-$(GOVULNCHECK) ## look the modules up in Go's vulnerability database (VULNDB=file:///… without the internet)
	@$< $(if $(VULNDB),-db '$(VULNDB)') ./...

##@ Salesforce

.PHONY: sfdx-test
sfdx-test: $(SFDX)/node_modules/.installed ## check the Salesforce package, run its tests in a model (4 minutes; Node, Java)
	@.ci/need java openjdk-17-jre-headless
	@node sfdx/check/all.mjs

.PHONY: sfdx-aer
sfdx-aer: ## run the Apex tests by aer, an interpreter that you have (AER_BIN=…)
	@test -n "$${AER_BIN:-}" || { echo 'AER_BIN is not set: the path of aer, from github.com/octoberswimmer/aer-dist' >&2; exit 1; }
	@"$$AER_BIN" test sfdx/orderbridge-mapping sfdx/orderbridge

.PHONY: sfdx-e2e
sfdx-e2e: build $(SFDX)/model/node_modules/.package-lock.json ## click the Salesforce package in a browser: a model of the platform, the real functions (3 minutes)
	@.ci/need $(CHROMIUM) chromium
	@node --test sfdx/model/test/*.test.mjs
	@BIN=$(BUILD)/bin node --test sfdx/model/e2e/*.test.mjs

##@ Cloud

.PHONY: template-test
template-test: $(TOOLS)/sam/$(SAM_CLI)-$(CFN_LINT) $(TOOLS)/checkov/$(CHECKOV) ## check the template: lint, security, roles, environment, alarms
	@$(TOOLS)/sam/bin/sam validate --lint
	@$(TOOLS)/sam/bin/cfn-lint template.yaml
	@$(TOOLS)/checkov/bin/checkov --config-file .ci/checkov.yaml
	@$(TOOLS)/sam/bin/python .ci/template_test.py

.PHONY: sam-build
sam-build: $(TOOLS)/sam/$(SAM_CLI)-$(CFN_LINT) ## build for the cloud (ARCHITECTURE=arm64 or x86_64)
	@ARCHITECTURE=$(ARCHITECTURE) $(TOOLS)/sam/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	@# A deployment of this build is for the processor that it was built for.
	@sed -i '/^  Architecture:$$/,/^  [A-Z]/ s/^    Default: .*/    Default: $(ARCHITECTURE)/' .aws-sam/build/template.yaml

.PHONY: sam
sam: $(TOOLS)/sam/$(SAM_CLI)-$(CFN_LINT) ## install the SAM CLI as .tools/sam/bin/sam

.PHONY: deploy-test
deploy-test: build $(TOOLS)/sam/$(SAM_CLI)-$(CFN_LINT) $(MINISTACK_READY) ## deploy two stacks onto an emulator that enforces IAM; each permission is taken away once
	@ARCHITECTURE=$(HOST_ARCHITECTURE) $(TOOLS)/sam/bin/sam build --build-dir $(BUILD)/deploytest/built --parameter-overrides Architecture=$(HOST_ARCHITECTURE) >$(BUILD)/deploytest-build.log 2>&1 || { cat $(BUILD)/deploytest-build.log >&2; exit 1; }
	@$(TOOLS)/sam/bin/python .ci/deploytest --sam $(TOOLS)/sam/bin/sam --ministack $(TOOLS)/ministack/bin/ministack \
		--bin $(BUILD)/bin --built $(BUILD)/deploytest/built --architecture $(HOST_ARCHITECTURE) --log $(BUILD)/deploytest-ministack.log $(if $(ONLY),--only $(ONLY))

.PHONY: sam-local
sam-local: build $(TOOLS)/sam/$(SAM_CLI)-$(CFN_LINT) ## invoke each function by the SAM CLI, in a container
	@SAM=$(TOOLS)/sam/bin/sam ORDERCTL=$(BUILD)/bin/orderctl BIN=$(BUILD)/bin .ci/sam-local

# The SAM CLI builds each function by one of these, in the source tree. The
# build is reproducible: the same source gives the same bytes, so an unchanged
# function is not uploaded again.
build-FulfillFunction:     PACKAGE := ./functions/fulfill
build-ProvisionFunction:   PACKAGE := ./functions/provision
build-StatusPushFunction:  PACKAGE := ./functions/statuspush
build-StatusFunction:      PACKAGE := ./functions/status
build-DeployCheckFunction: PACKAGE := ./cmd/deploycheck
.PHONY: build-FulfillFunction build-ProvisionFunction build-StatusPushFunction build-StatusFunction build-DeployCheckFunction
build-FulfillFunction build-ProvisionFunction build-StatusPushFunction build-StatusFunction build-DeployCheckFunction:
	@test -n '$(GOARCH_$(ARCHITECTURE))' || { echo 'ARCHITECTURE must be arm64 or x86_64, is $(ARCHITECTURE)' >&2; exit 1; }
	@.ci/toolchain
	@GOOS=linux GOARCH=$(GOARCH_$(ARCHITECTURE)) go build -trimpath -buildvcs=false $(GOFLAGS_BUILD) \
		-ldflags '$(LDFLAGS) -buildid=' -o '$(ARTIFACTS_DIR)/bootstrap' $(PACKAGE)

##@ Release

# A release for some systems alone: SYSTEMS='linux/amd64 windows/arm64'.
SYSTEMS ?=
RELEASE = .ci/release --out $(BUILD)/release --sbom $(TOOLS)/bin/cyclonedx-gomod-$(CYCLONEDX) $(SYSTEMS)

.PHONY: release
release: $(TOOLS)/bin/cyclonedx-gomod-$(CYCLONEDX) ## make archives of orderctl, checksums and bills of materials in build/release
	@.ci/toolchain
	@$(RELEASE)

.PHONY: release-check
release-check: $(TOOLS)/bin/cyclonedx-gomod-$(CYCLONEDX) ## the same twice, in two clones of the commit, compared byte by byte
	@.ci/toolchain
	@$(RELEASE) --check

##@ Housekeeping

.PHONY: clean
clean: ## remove what was built and installed
	@rm -rf $(BUILD) $(TOOLS) .aws-sam $(SFDX)/node_modules $(SFDX)/model/node_modules

# Tools. Each file named for a version stands for that version being there, so
# that a new version installs and a second run needs no network.

$(TOOLS)/bin/golangci-lint-%:
	@echo 'installing golangci-lint $* (once, some minutes)'
	@GOBIN=$(TOOLS)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	@mv $(TOOLS)/bin/golangci-lint $@

$(TOOLS)/bin/govulncheck-%:
	@GOBIN=$(TOOLS)/bin go install golang.org/x/vuln/cmd/govulncheck@$*
	@mv $(TOOLS)/bin/govulncheck $@

$(TOOLS)/bin/actionlint-%:
	@GOBIN=$(TOOLS)/bin go install github.com/rhysd/actionlint/cmd/actionlint@$*
	@mv $(TOOLS)/bin/actionlint $@

$(TOOLS)/bin/cyclonedx-gomod-%:
	@GOBIN=$(TOOLS)/bin go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$*
	@mv $(TOOLS)/bin/cyclonedx-gomod $@

$(TOOLS)/sam/$(SAM_CLI)-$(CFN_LINT):
	@echo 'installing the SAM CLI $(SAM_CLI) (once, a minute)'
	@rm -rf $(TOOLS)/sam && python3 -m venv $(TOOLS)/sam
	@$(TOOLS)/sam/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r .ci/pip/sam.txt
	@touch $@

$(MINISTACK_READY):
	@echo 'installing ministack $(MINISTACK) (once)'
	@rm -rf $(TOOLS)/ministack && python3 -m venv $(TOOLS)/ministack
	@$(TOOLS)/ministack/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r .ci/pip/ministack.txt
	@touch $@

$(TOOLS)/schemathesis/$(SCHEMATHESIS):
	@echo 'installing Schemathesis $(SCHEMATHESIS) (once)'
	@rm -rf $(TOOLS)/schemathesis && python3 -m venv $(TOOLS)/schemathesis
	@$(TOOLS)/schemathesis/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r .ci/pip/schemathesis.txt
	@touch $@

# What one would pick instead; bench/rivals says how each is built.
$(TOOLS)/rivals/installed: $(wildcard bench/rivals/*.sh bench/rivals/*/*)
	@echo 'installing what make bench compares with (once, a minute)'
	@.ci/need npm nodejs npm
	@.ci/need redis-server redis-server
	@bench/rivals/install.sh $(TOOLS)/rivals

$(TOOLS)/checkov/$(CHECKOV):
	@echo 'installing checkov $(CHECKOV) (once, a minute or two)'
	@rm -rf $(TOOLS)/checkov && python3 -m venv $(TOOLS)/checkov
	@$(TOOLS)/checkov/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r .ci/pip/checkov.txt
	@touch $@

$(TOOLS)/portal: portal/package.json portal/package-lock.json
	@echo 'installing what portal/ is built and tested with (once)'
	@.ci/need npm nodejs npm
	@npm ci --prefix portal --silent --no-audit --no-fund --ignore-scripts
	@mkdir -p $(TOOLS) && touch $@

# Clients of Salesforce that no one here wrote; the simulator must please them.
CLIENTS := shared/salesforce/salesforcetest/clients
$(TOOLS)/clients/installed: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json $(CLIENTS)/requirements.txt $(MINISTACK_READY)
	@echo 'installing jsforce and simple-salesforce (once)'
	@.ci/need npm nodejs npm
	@rm -rf $(TOOLS)/clients && mkdir -p $(TOOLS)/clients
	@cp $(CLIENTS)/package.json $(CLIENTS)/package-lock.json $(TOOLS)/clients/
	@npm ci --prefix $(TOOLS)/clients --silent --no-audit --no-fund --ignore-scripts
	@$(TOOLS)/ministack/bin/pip install -q --disable-pip-version-check --target $(TOOLS)/clients/python --no-deps --require-hashes -r $(CLIENTS)/requirements.txt
	@touch $@

$(SFDX)/node_modules/.installed: sfdx/package.json sfdx/package-lock.json
	@echo 'installing the tools of the Salesforce package (once, a minute)'
	@.ci/need npm nodejs npm
	@npm ci --prefix sfdx --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# The parser, the components and the browser's driver of the Salesforce model. Node finds
# packages only above the files that use them.
$(SFDX)/model/node_modules/.package-lock.json: sfdx/model/package.json sfdx/model/package-lock.json
	@echo 'installing what the model of the platform needs (once)'
	@.ci/need npm nodejs npm
	@npm ci --prefix sfdx/model --silent --no-audit --no-fund --ignore-scripts
	@touch $@
