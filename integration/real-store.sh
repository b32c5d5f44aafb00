#!/bin/sh
# Builds the S3 server that nobody here wrote, for integration/real-store.test.ts: versitygw, pinned, from the Go module proxy.
# Needs a Go toolchain; without one it says so and succeeds, and the test is skipped with the same reason. What is built once is
# kept under the user's cache, so that a second run takes a moment.
set -eu
cd "$(dirname "$0")/.."

version=v1.8.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/s3nfsd/versitygw-$version

if [ ! -x "$cache/versitygw" ]; then
  if ! command -v go >/dev/null; then
    echo 'no Go toolchain: the contract is not run against versitygw'
    exit 0
  fi
  # A folder of its own, and put in place whole: an interrupted build leaves nothing that looks finished.
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  GOBIN=$new go install "github.com/versity/versitygw/cmd/versitygw@$version"
  mv "$new/versitygw" "$cache/versitygw"
fi

mkdir -p dist/real-store
ln -sf "$cache/versitygw" dist/real-store/versitygw
echo "ready for the contract against a real S3 server: versitygw $version"
