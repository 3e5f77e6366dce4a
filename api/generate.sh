#!/bin/sh
# Generates the Go code of api/proto: api/cachedv1 and api/cachedv1/cachedv1connect.
# The tools are built once into .cache/bin; set BUF_BIN to a directory that has them already.
set -eu
cd "$(dirname "$0")"
bin=${BUF_BIN:-$(cd .. && pwd)/.cache/bin}
mkdir -p "$bin"
need() { [ -x "$bin/$1" ] || GOBIN=$bin go install "$2"; }
need buf github.com/bufbuild/buf/cmd/buf@v1.60.0
need protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
need protoc-gen-connect-go connectrpc.com/connect/cmd/protoc-gen-connect-go@v1.21.1
export PATH="$bin:$PATH"
buf lint
buf generate
