/** A clang that can write Wasm, and an archiver; undefined where there is none. */
export declare function findCToolchain(): { readonly clang: string; readonly archiver: string } | undefined;

/** Zig's program; undefined where there is none. */
export declare function findZig(): string | undefined;
