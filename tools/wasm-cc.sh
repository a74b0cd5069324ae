#!/bin/sh
# The C compiler for C dependencies of Wasm crates: threads on, no system headers but our own.
# HEDDLE_CLANG and HEDDLE_ROOT come from tools/wasm.mjs, which rebuilds the C code when this file or the headers change.
# Flags that must win over a dependency's own build script stand after "$@".
set -eu
if [ -d "$HEDDLE_ROOT/crates/store/c/include" ]; then
  set -- -isystem "$HEDDLE_ROOT/crates/store/c/include" "$@"
fi
exec "$HEDDLE_CLANG" --target=wasm32-unknown-unknown -matomics -mbulk-memory -mmutable-globals "$@"
