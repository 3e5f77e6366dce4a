# `make help` lists the targets. Everything but Go, gcc, git and make is built from pinned versions into .cache/bin.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

OUT     ?= bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PKG     ?= ./...
BENCH   ?= .
RATES   ?= ./api ./tiers/disk ./cmd/cached
COUNT   ?= 1
TOOLS   := $(abspath $(or $(CACHED_TOOLS),.cache/bin))
tool     = go run ./internal/testtool/install

# gotestsum prints go test's own lines and, at the end, every failed and skipped test with its reason.
gotest   = $(TOOLS)/gotestsum --format standard-quiet -- -timeout 30m

# Tests build the tools they need themselves; these are built beforehand, because a first build takes a minute or more.
testtools = versitygw grpcurl helm kubeconform nfpm cyclonedx-gomod ghz

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PKG=./tiers/...  narrows test, test-race, test-invariants and bench to some packages"
	@echo "  ARGS='-run Name' goes to go test;  BENCH=regexp COUNT=n to bench;  SOURCE=oci:DIR to demo"
	@echo "  RATES=./api  narrows bench's comparisons with other servers to some packages"

##@ run

.PHONY: build
build: ## build bin/cached, static
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(OUT)/cached ./cmd/cached

.PHONY: demo
demo: build ## publish a real tree, serve it, read it cold, warm and after a restart, verify every byte
	$(OUT)/cached demo $(if $(SOURCE),--source '$(SOURCE)')

.PHONY: clean
clean: ## remove what was built, except the tools
	rm -rf bin results/*.log
	go clean -testcache

##@ check

.PHONY: test
test: test-plain test-strict ## all tests, then again with the race detector and the ownership checks; lists what was skipped

.PHONY: test-plain
test-plain: tool-tests ## all tests once
	$(gotest) $(ARGS) $(PKG)

.PHONY: test-strict
test-strict: tool-tests ## all tests with the race detector and the ownership checks at once
	$(gotest) -race -tags invariants $(ARGS) $(PKG)

.PHONY: test-race
test-race: tool-tests ## all tests with the race detector
	$(gotest) -race $(ARGS) $(PKG)

.PHONY: test-invariants
test-invariants: tool-tests ## all tests with poisoned frees, leak reports and double-release traces
	$(gotest) -tags invariants $(ARGS) $(PKG)

.PHONY: lint
lint: tool-golangci-lint ## golangci-lint (floors, owners, style) and go vet of the other build tags
	go vet -tags invariants $(PKG)
	$(TOOLS)/golangci-lint run --allow-parallel-runners $(PKG)

.PHONY: fmt
fmt: tool-golangci-lint ## format all Go code
	$(TOOLS)/golangci-lint fmt

.PHONY: checkgenerate
checkgenerate: tool-buf ## fail where the generated code is not what the .proto files give
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; mkdir $$fresh/api; \
	cd api && $(buf) lint && $(buf) generate -o $$fresh/api && \
	diff -r --exclude='*_test.go' cachedv1 $$fresh/api/cachedv1 || { echo "api/cachedv1 is stale: run 'make generate' and commit the result" >&2; exit 1; }

##@ package

# What goes into the image, beside the binary and its list of modules.
CA_BUNDLE ?= /etc/ssl/certs/ca-certificates.crt

.PHONY: sbom
sbom: build tool-cyclonedx-gomod ## list the modules in bin/cached as CycloneDX has it: bin/cached.cdx.json
	@$(TOOLS)/cyclonedx-gomod bin -json -noserial -notimestamp -std -version '$(VERSION)' -output $(OUT)/cached.cdx.json $(OUT)/cached

.PHONY: image
image: sbom ## build the daemon's container image, reproducibly with buildah (IMAGE_BUILD='docker build': the same files, not the same bytes)
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cp $(OUT)/cached $$dir/ && cp $(CA_BUNDLE) $$dir/ca-certificates.crt && \
	go run ./packaging/bundle $(OUT)/cached.cdx.json $(CA_BUNDLE) >$$dir/cached.cdx.json && \
	$(or $(IMAGE_BUILD),buildah bud --timestamp 0) -f packaging/Dockerfile -t cached:$(VERSION) $$dir

# A package's version begins with a digit; that of a commit without a tag sorts before all others.
PACKAGE_VERSION ?= $(or $(shell grep -xE 'v?[0-9]+\.[0-9]+.*' <<<'$(VERSION)'),0.0.0-git.$(VERSION))

.PHONY: packages
packages: sbom tool-nfpm ## build bin/*.deb and bin/*.rpm, reproducibly
	@for shell in bash zsh fish; do $(OUT)/cached completion $$shell >$(OUT)/completion.$$shell; done
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} OUT='$(OUT)' PACKAGE_VERSION='$(PACKAGE_VERSION)' ARCH=$$(go env GOARCH); \
	for kind in deb rpm; do $(TOOLS)/nfpm package --config packaging/nfpm.yaml --packager $$kind --target $(OUT); done

##@ measure

.PHONY: bench
bench: ## benchmarks, then the rates beside nginx, grpc-go and fio at quick size; compare outputs with .cache/bin/benchstat
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(ARGS) $(PKG)
	go test -run TestProve -count 1 -v $(RATES)

.PHONY: prove-main
prove-main: build tools ## measure every goal of the main job at full size: table, results/main.json, status 1 on a miss
	go run ./loadtest/prove main

.PHONY: prove-zone
prove-zone: build tools ## measure every goal of the zone at full size (root; more than an hour): table, results/zone.json, status 1 on a miss
	go run ./loadtest/prove zone

.PHONY: prove-host
prove-host: build tools ## measure every goal of the host at full size (root; half an hour): table, results/host.json, status 1 on a miss
	go run ./loadtest/prove host

.PHONY: prove-prefetch
prove-prefetch: build tools ## measure every goal of what is learned from starts at full size (root; long): table, results/prefetch.json, status 1 on a miss
	go run ./loadtest/prove prefetch

.PHONY: prove-operate
prove-operate: build tools ## check what who runs hosts relies on (root): table, results/operate.json, status 1 on a miss
	go run ./loadtest/prove operate

.PHONY: prove-loadtest
prove-loadtest: build tools ## simulate bursts of up to 10,000 hosts, compare with real daemons, let those start a real image (root; more than an hour): table, results/loadtest.json, status 1 on a miss
	go run ./loadtest/prove loadtest

##@ generate

buf = PATH="$(TOOLS):$$PATH" $(TOOLS)/buf

.PHONY: generate
generate: tool-buf ## generate Go code from the .proto files
	cd api && $(buf) lint && $(buf) generate

.PHONY: pictures
pictures: ## draw the dashboards and photograph the status page for docs/pictures, from a run of six minutes
	CACHED_PICTURES=$(abspath docs/pictures) go test -count 1 -timeout 30m -run 'TestPictures$$' -v ./helm/dashboards

.PHONY: tools
tools: ## build every pinned tool (several minutes the first time)
	$(tool) $$($(tool) | awk '{print $$1}')

# Building a tool that is there already takes 0.1 s.
.PHONY: tool-tests
tool-tests:
	@$(tool) gotestsum $(testtools) >/dev/null

.PHONY: tool-buf
tool-buf:
	@$(tool) buf protoc-gen-go protoc-gen-connect-go >/dev/null

tool-%:
	@$(tool) $* >/dev/null
