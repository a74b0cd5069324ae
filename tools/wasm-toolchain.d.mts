/** A clang that can write Wasm, and an archiver; undefined where there is none. */
export declare function findCToolchain(): { readonly clang: string; readonly archiver: string } | undefined;

/** Zig's program; undefined where there is none. */
export declare function findZig(): string | undefined;

/** A Rust that has std's source, to rebuild std with atomics; undefined where there is none. */
export declare function findRustToolchain():
  | { readonly name: string; readonly cargo: string; readonly rustc: string; readonly linker: string | undefined }
  | undefined;
