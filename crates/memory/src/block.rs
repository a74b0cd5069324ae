//! The memory that a thread stands on: its stack and its thread-local storage, between guard words.
//!
//! ```text
//! base                                    stack_top           tls_base            end
//!  | guard | stack, growing down ←-------- | guard | (alignment) | thread-local storage |
//! ```
//!
//! A Wasm stack that overflows doesn't fault, it runs into whatever lies below it. The guard below the stack doesn't
//! prevent that; it makes sure that it is noticed and named when the thread ends. The guard above catches writes past the
//! end of an array in the thread's first frames before they look like broken thread-local storage.

use std::alloc::Layout;
use std::error::Error;
use std::fmt;
use std::ptr::NonNull;

use crate::layout::{GUARD_BYTES, GUARD_WORD};
use crate::{limit, sys};

const STACK_ALIGN: usize = 16;
const GUARD: usize = GUARD_BYTES as usize;

/// A stack and a block for thread-local storage, given back when dropped.
#[derive(Debug)]
pub struct ThreadBlock {
    base: NonNull<u8>,
    layout: Layout,
    stack_size: usize,
    tls_offset: usize,
}

// SAFETY: the block owns its memory, and nothing about that memory belongs to the thread that allocated it.
unsafe impl Send for ThreadBlock {}

/// Why there is no [`ThreadBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockError {
    /// No memory of this many bytes is left, or the limit forbids it.
    OutOfMemory {
        /// Bytes asked for: stack, thread-local storage and guards.
        bytes: usize,
    },
    /// The stack size can't be: zero, or beyond the address space.
    BadStackSize {
        /// The stack size asked for, in bytes.
        bytes: usize,
    },
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockError::OutOfMemory { bytes } => {
                write!(f, "no memory for a thread's stack: {bytes} bytes")
            }
            BlockError::BadStackSize { bytes } => write!(f, "a stack can't have {bytes} bytes"),
        }
    }
}

impl Error for BlockError {}

/// A thread wrote beyond its stack: what else it overwrote nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackOverflow {
    /// The size of the stack, in bytes.
    pub stack_size: usize,
}

impl fmt::Display for StackOverflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the thread wrote beyond its stack of {} bytes; give it a bigger one",
            self.stack_size
        )
    }
}

impl Error for StackOverflow {}

impl ThreadBlock {
    /// Allocates a stack of at least `stack_size` bytes (a multiple of 16) and a block for this module's thread-local
    /// storage (natively of 0 bytes), with fresh guards.
    pub fn new(stack_size: usize) -> Result<ThreadBlock, BlockError> {
        let bad = BlockError::BadStackSize { bytes: stack_size };
        if stack_size == 0 || stack_size > isize::MAX as usize / 2 {
            return Err(bad);
        }
        let stack_size = stack_size.next_multiple_of(STACK_ALIGN);
        let tls = sys::tls_layout();
        let align = STACK_ALIGN.max(tls.align());
        let tls_offset = (GUARD + stack_size + GUARD).next_multiple_of(tls.align());
        let layout = Layout::from_size_align(tls_offset + tls.size(), align).map_err(|_| bad)?;
        // SAFETY: the layout has at least the guards' bytes.
        let base =
            NonNull::new(unsafe { limit::alloc(layout) }).ok_or(BlockError::OutOfMemory {
                bytes: layout.size(),
            })?;
        let block = ThreadBlock {
            base,
            layout,
            stack_size,
            tls_offset,
        };
        for guard in block.guards() {
            // SAFETY: both guards lie inside the block and are aligned to 16.
            unsafe { guard.as_ptr().write([GUARD_WORD; GUARD / 4]) };
        }
        Ok(block)
    }

    /// Bytes of stack.
    pub fn stack_size(&self) -> usize {
        self.stack_size
    }

    /// The address at which a thread's stack pointer starts: one past the stack's last byte, aligned to 16.
    pub fn stack_top(&self) -> usize {
        self.base.as_ptr() as usize + GUARD + self.stack_size
    }

    /// The address of the thread-local storage, aligned as the module wants it.
    pub fn tls_base(&self) -> usize {
        self.base.as_ptr() as usize + self.tls_offset
    }

    /// Whether both guards are whole.
    ///
    /// A frame so big that it jumps over the guard escapes this check; a debug build with a checking stack pointer
    /// (`wasm-opt --stack-check`) finds those too.
    pub fn check(&self) -> Result<(), StackOverflow> {
        for guard in self.guards() {
            // SAFETY: both guards lie inside the block, are aligned, and were written by `new`.
            // Volatile, because the writes to look for are nothing that the compiler could know of.
            if unsafe { guard.as_ptr().read_volatile() } != [GUARD_WORD; GUARD / 4] {
                return Err(StackOverflow {
                    stack_size: self.stack_size,
                });
            }
        }
        Ok(())
    }

    fn guards(&self) -> [NonNull<[u32; GUARD / 4]>; 2] {
        // SAFETY: `new` made the block of a guard, the stack and a guard, in this order, before the storage.
        [
            self.base.cast(),
            unsafe { self.base.add(GUARD + self.stack_size) }.cast(),
        ]
    }
}

impl Drop for ThreadBlock {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the block with this layout.
        unsafe { limit::dealloc(self.base.as_ptr(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_stack_asked_for_rounded_up_and_aligned() {
        let block = ThreadBlock::new(1000).unwrap();
        assert_eq!(block.stack_size(), 1008);
        assert_eq!(block.stack_top() % 16, 0);
        assert_eq!(block.check(), Ok(()));
    }

    #[test]
    fn a_write_below_the_stack_and_one_above_it_are_named() {
        for beyond in [-(1008 + 4), 0] {
            let block = ThreadBlock::new(1008).unwrap();
            // SAFETY: the address is that of a guard, inside the block, which we own.
            unsafe { ((block.stack_top() as isize + beyond) as *mut u32).write(0) };
            assert_eq!(block.check(), Err(StackOverflow { stack_size: 1008 }));
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert_eq!(
            ThreadBlock::new(0).unwrap_err(),
            BlockError::BadStackSize { bytes: 0 }
        );
        assert_eq!(
            ThreadBlock::new(usize::MAX).unwrap_err(),
            BlockError::BadStackSize { bytes: usize::MAX }
        );
    }
}
