//! Thread-caching allocator, stacks and thread-local storage for threads of one Wasm memory.
