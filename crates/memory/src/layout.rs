//! Record sizes, offsets and state words: generated from `layout/memory.json`; edit that.

/// Bytes of a guard.
pub const GUARD_BYTES: u32 = 64;
/// What every 32-bit word of a whole guard holds: `HHED` in memory.
pub const GUARD_WORD: u32 = 0x4445_4848;
/// InitFlag.state: nobody has copied the data segments.
pub const INIT_NEW: u32 = 0;
/// InitFlag.state: an instance copies them, and runs the start function if that is its to run.
pub const INIT_RUNNING: u32 = 1;
/// InitFlag.state: the memory is initialised.
pub const INIT_DONE: u32 = 2;
/// InitFlag.state: the start function failed; further instances trap.
pub const INIT_FAILED: u32 = 3;
/// File descriptors of a WASI program.
pub const WASI_DESCRIPTORS_MAX: u32 = 256;
/// WasiDescriptor.kind: nobody's.
pub const WASI_FREE: u32 = 0;
/// WasiDescriptor.kind: a thread fills it in.
pub const WASI_CLAIMED: u32 = 1;
/// WasiDescriptor.kind: standard input, output or errors.
pub const WASI_STREAM: u32 = 2;
/// WasiDescriptor.kind: a directory.
pub const WASI_DIRECTORY: u32 = 3;
/// WasiDescriptor.kind: a file.
pub const WASI_FILE: u32 = 4;

/// What lets the first of many instances of a rewritten module initialise the memory, and the others wait for it. It lies in the page behind those that the module asked for, or where its rewriting was told.
pub mod init_flag {
    /// Bytes of the record.
    pub const SIZE: usize = 4;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// INIT_NEW and so on. Late-comers wait on it.
    pub const STATE: usize = 0;
}

/// The blocks of threads that have ended, for those that begin.
pub mod block_list {
    /// Bytes of the record.
    pub const SIZE: usize = 16;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The address of the newest free block (0: none), and above it a number that each change counts up.
    pub const HEAD: usize = 0;
    /// Bytes of each block.
    pub const BLOCK_SIZE: usize = 8;
    /// Blocks ever created: free ones and those of threads.
    pub const CREATED: usize = 12;
}

/// A file descriptor of a WASI program, which all of its threads have.
pub mod wasi_descriptor {
    /// Bytes of the record.
    pub const SIZE: usize = 512;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// WASI_FREE and so on. Who makes it WASI_CLAIMED fills the rest in.
    pub const KIND: usize = 0;
    /// A file's name at the host, a stream's number.
    pub const HANDLE: usize = 4;
    /// Where the next byte of a file is read or written.
    pub const POSITION: usize = 8;
    /// Which of the host's roots a directory lies in.
    pub const ROOT: usize = 16;
    /// WASI's flags of the descriptor: 1 is to append.
    pub const FLAGS: usize = 20;
    /// Bytes of the path.
    pub const PATH_LENGTH: usize = 24;
    /// 1: a root, which the program was given; 0: it opened it.
    pub const IS_ROOT: usize = 28;
    /// A directory's path in its root, UTF-8.
    pub const PATH: usize = 32;
}
