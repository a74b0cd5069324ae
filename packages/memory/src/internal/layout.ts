// Record sizes, offsets and state words: generated from layout/memory.json; edit that.

/** Bytes of a guard. */
export const GUARD_BYTES = 64;
/** What every 32-bit word of a whole guard holds: `HHED` in memory. */
export const GUARD_WORD = 0x4445_4848;
/** BlockLists that lie one behind the other: the blocks of each are twice as large as those of the one before. */
export const BLOCK_LIST_COUNT = 16;
/** InitFlag.state: nobody has copied the data segments. */
export const INIT_NEW = 0;
/** InitFlag.state: an instance copies them, and runs the start function if that is its to run. */
export const INIT_RUNNING = 1;
/** InitFlag.state: the memory is initialised. */
export const INIT_DONE = 2;
/** InitFlag.state: the start function failed; further instances trap. */
export const INIT_FAILED = 3;
/** File descriptors of a WASI program. */
export const WASI_DESCRIPTORS_MAX = 256;
/** WasiDescriptor.kind: nobody's. */
export const WASI_FREE = 0;
/** WasiDescriptor.kind: a thread fills it in. */
export const WASI_CLAIMED = 1;
/** WasiDescriptor.kind: standard input, output or errors. */
export const WASI_STREAM = 2;
/** WasiDescriptor.kind: a directory. */
export const WASI_DIRECTORY = 3;
/** WasiDescriptor.kind: a file. */
export const WASI_FILE = 4;

/** Bytes of InitFlag: What lets the first of many instances of a rewritten module initialise the memory, and the others wait for it. It lies in the page behind those that the module asked for, or where its rewriting was told. */
export const INIT_FLAG_SIZE = 4;
/** Alignment of InitFlag, in bytes. */
export const INIT_FLAG_ALIGN = 4;
/** INIT_NEW and so on. Late-comers wait on it. */
export const INIT_FLAG_STATE_OFFSET = 0;

/** Bytes of BlockList: The blocks of threads that have ended, for those that begin. */
export const BLOCK_LIST_SIZE = 16;
/** Alignment of BlockList, in bytes. */
export const BLOCK_LIST_ALIGN = 8;
/** The address of the newest free block (0: none), and above it a number that each change counts up. */
export const BLOCK_LIST_HEAD_OFFSET = 0;
/** Bytes of each block. */
export const BLOCK_LIST_BLOCK_SIZE_OFFSET = 8;
/** Blocks ever created: free ones and those of threads. */
export const BLOCK_LIST_CREATED_OFFSET = 12;

/** Bytes of WasiDescriptor: A file descriptor of a WASI program, which all of its threads have. */
export const WASI_DESCRIPTOR_SIZE = 512;
/** Alignment of WasiDescriptor, in bytes. */
export const WASI_DESCRIPTOR_ALIGN = 8;
/** WASI_FREE and so on. Who makes it WASI_CLAIMED fills the rest in. */
export const WASI_DESCRIPTOR_KIND_OFFSET = 0;
/** A file's name at the host, a stream's number. */
export const WASI_DESCRIPTOR_HANDLE_OFFSET = 4;
/** Where the next byte of a file is read or written. */
export const WASI_DESCRIPTOR_POSITION_OFFSET = 8;
/** Which of the host's roots a directory lies in. */
export const WASI_DESCRIPTOR_ROOT_OFFSET = 16;
/** WASI's flags of the descriptor: 1 is to append. */
export const WASI_DESCRIPTOR_FLAGS_OFFSET = 20;
/** Bytes of the path. */
export const WASI_DESCRIPTOR_PATH_LENGTH_OFFSET = 24;
/** 1: a root, which the program was given; 0: it opened it. */
export const WASI_DESCRIPTOR_IS_ROOT_OFFSET = 28;
/** A directory's path in its root, UTF-8. */
export const WASI_DESCRIPTOR_PATH_OFFSET = 32;
