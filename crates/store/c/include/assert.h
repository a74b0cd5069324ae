/* The Wasm build of SQLite is a release build (NDEBUG). */
#pragma once
#define assert(condition) ((void)0)
