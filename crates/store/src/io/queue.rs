//! How a thread of the engine and the I/O thread meet: an [`IoRequest`] is put into the [`IoQueue`], and answered.
//!
//! # State
//! `head` of the queue is the newest request; each points to the one before it. To ask is to put oneself in front by
//! compare-and-swap; to serve is to swap the whole list out. So a thread that dies while it asks stops nobody.
//!
//! # Invariants
//! 1. A request stays where it is until its state is `DONE`: the asking thread does not return before, whatever happens.
//! 2. The bell is rung after the request is in the list, and the I/O thread looks at the list after it said that it is
//!    about to wait: one of the two sees the other, so no request is slept over.
//! 3. When the I/O thread has closed, it answers what is in the list after it set `CLOSED`. Who asks looks for `CLOSED` after
//!    putting a request in, and then answers the list itself.
//! 4. An engine that is fenced off is `CLOSED` by somebody else: the I/O thread takes no list any more once it has seen that. Who asks
//!    later is refused, by itself or by another who asks; who waited is left, for its thread is about to be terminated.
//! 5. A thread uses a file's descriptor only between adding itself to `descriptor_users` and taking itself away, and only if it saw
//!    `shares_descriptors` in between. That is cleared before files are closed, which waits for the users to be none.

use crate::layout;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::shared::{address_of, record_at, wait, wake, wake_gone};

/// The queue of a memory's requests. Layout: `layout/store.json`.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct IoQueue {
    pub(super) version: u32,
    pub(super) state: AtomicU32,
    pub(super) bell: AtomicU32,
    pub(super) is_waiting: AtomicU32,
    pub(super) shares_descriptors: AtomicU32,
    pub(super) head: AtomicU32,
    pub(super) descriptor_users: AtomicU32,
    reserved: [u32; 9],
}

/// One operation. Layout: `layout/store.json`.
#[repr(C, align(8))]
pub(super) struct IoRequest {
    pub(super) state: AtomicU32,
    pub(super) operation: u32,
    pub(super) file: u32,
    pub(super) argument: u32,
    pub(super) address: u32,
    pub(super) length: u32,
    pub(super) offset: f64,
    /// The bits of an f64; written by the I/O thread.
    pub(super) result: AtomicU64,
    pub(super) error_code: AtomicU32,
    pub(super) message_address: u32,
    pub(super) message_length: AtomicU32,
    pub(super) next: AtomicU32,
    reserved: [u32; 2],
}

/// What is asked, beside the operation.
#[derive(Clone, Copy, Default)]
pub(super) struct Ask {
    pub(super) file: u32,
    pub(super) argument: u32,
    pub(super) address: u32,
    pub(super) length: u32,
    pub(super) offset: f64,
}

/// The answer to a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// One of `layout::IO_ERROR_*`.
    pub(super) code: u32,
    /// How many bytes the host's words have.
    pub(super) message_length: u32,
}

impl IoRequest {
    /// A request whose message, where it fails, goes to so many bytes at `message_address`.
    pub(super) fn new(
        operation: u32,
        ask: Ask,
        message_address: u32,
        message_size: u32,
    ) -> IoRequest {
        IoRequest {
            state: AtomicU32::new(layout::IO_PENDING),
            operation,
            file: ask.file,
            argument: ask.argument,
            address: ask.address,
            length: ask.length,
            offset: ask.offset,
            result: AtomicU64::new(0),
            error_code: AtomicU32::new(0),
            message_address,
            message_length: AtomicU32::new(message_size),
            next: AtomicU32::new(0),
            reserved: [0; 2],
        }
    }
}

/// While it exists, no descriptor is closed whose number another file of the process could then be given.
pub(super) struct DescriptorUse<'a>(&'a IoQueue);

impl Drop for DescriptorUse<'_> {
    fn drop(&mut self) {
        let users = &self.0.descriptor_users;
        // SeqCst: the use of the descriptor comes before; the I/O thread sees 0 only after it.
        if users.fetch_sub(1, Ordering::SeqCst) == 1
            && self.0.shares_descriptors.load(Ordering::SeqCst) == 0
        {
            wake(users, 1);
        }
    }
}

impl IoQueue {
    /// One that no I/O thread serves yet.
    pub(super) const fn new() -> IoQueue {
        IoQueue {
            version: layout::IO_QUEUE_VERSION,
            state: AtomicU32::new(layout::IO_IDLE),
            bell: AtomicU32::new(0),
            is_waiting: AtomicU32::new(0),
            shares_descriptors: AtomicU32::new(0),
            head: AtomicU32::new(0),
            descriptor_users: AtomicU32::new(0),
            reserved: [0; 9],
        }
    }

    /// Asks and waits for the answer.
    pub(super) fn call(&self, request: &IoRequest) -> Result<f64, Refused> {
        self.push(request);
        // Acquire: pairs with the store of DONE by the I/O thread (`Atomics.store` in IoServer.ts) or by `refuse_all`;
        // result, error and the bytes of the buffer were written before it.
        while request.state.load(Ordering::Acquire) != layout::IO_DONE {
            wait(&request.state, layout::IO_PENDING, None);
        }
        match request.error_code.load(Ordering::Relaxed) {
            0 => Ok(f64::from_bits(request.result.load(Ordering::Relaxed))),
            code => Err(Refused {
                code,
                message_length: request.message_length.load(Ordering::Relaxed),
            }),
        }
    }

    /// Leave to use the descriptors on this thread, where the host has such; they stay open for as long as it is kept.
    pub(super) fn use_descriptors(&self) -> Option<DescriptorUse<'_>> {
        // SeqCst: comes before the load, as the I/O thread's clearing comes before its look at the users. One sees the other.
        self.descriptor_users.fetch_add(1, Ordering::SeqCst);
        let leave = DescriptorUse(self);
        (self.shares_descriptors.load(Ordering::SeqCst) != 0).then_some(leave)
    }

    fn push(&self, request: &IoRequest) {
        let address = address_of(request);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            request.next.store(head, Ordering::Relaxed);
            // SeqCst (and so Release): publishes the request to the I/O thread's exchange of `head`, and stands before the
            // loads of `is_waiting` and `state` below.
            match self.head.compare_exchange_weak(
                head,
                address,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(newer) => head = newer,
            }
        }
        // SeqCst: pairs with the I/O thread, which sets `isWaiting`, reads `head` and then waits for this word to change.
        self.bell.fetch_add(1, Ordering::SeqCst);
        if self.is_waiting.load(Ordering::SeqCst) != 0 {
            wake(&self.bell, 1);
        }
        // SeqCst: the I/O thread sets CLOSED and then answers the list; whoever comes later sees it here.
        if self.state.load(Ordering::SeqCst) == layout::IO_CLOSED {
            self.refuse_all();
        }
    }

    /// Answers every request in the list, in the place of an I/O thread that has closed.
    #[cold]
    fn refuse_all(&self) {
        // Acquire: sees the requests that were published by `push`.
        let mut address = self.head.swap(0, Ordering::SeqCst);
        while address != 0 {
            // SAFETY: a request stays in place until it is DONE, and only who took the list answers it: this thread.
            let request = unsafe { record_at::<IoRequest>(address) };
            address = request.next.load(Ordering::Relaxed);
            request
                .error_code
                .store(layout::IO_ERROR_CLOSED, Ordering::Relaxed);
            request.message_length.store(0, Ordering::Relaxed);
            let state = &raw const request.state;
            // Release: pairs with the Acquire in `call`. After it the request may be gone.
            request.state.store(layout::IO_DONE, Ordering::Release);
            wake_gone(state, 1);
        }
    }
}
