//! The module's exports: how TypeScript makes the SQL threads and has them run.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use heddle_channel::bytes::{Options, Receiver, Sender, channel};

use crate::activity::Activity;
use crate::layout;
use crate::service::{Server, Service};

#[global_allocator]
static ALLOCATOR: heddle_memory::ThreadCachingAllocator =
    heddle_memory::ThreadCachingAllocator::new();

/// Requests are small, but for parameters; what is longer than half a ring goes in pieces.
const REQUESTS: Options = Options {
    capacity: 64,
    ring_size: 256 << 10,
    is_compact: false,
};

/// A few batches of rows: enough to keep both sides busy, little enough to hold back a thread whose rows nobody takes.
const RESPONSES: Options = Options {
    capacity: 64,
    ring_size: 2 << 20,
    is_compact: false,
};

/// `StoreControl` of `layout/store.json`; the records of the threads follow it.
#[repr(C)]
struct Control {
    version: u32,
    threads: u32,
}

/// `StoreThread` of `layout/store.json`.
#[repr(C)]
struct Thread {
    requests: u32,
    responses: u32,
    connection: u32,
}

const _: () = {
    use layout::{connection, store_control, store_thread};
    assert!(
        size_of::<Control>() == store_control::SIZE
            && offset_of!(Control, version) == store_control::VERSION
    );
    assert!(offset_of!(Control, threads) == store_control::THREADS);
    assert!(
        size_of::<Thread>() == store_thread::SIZE
            && offset_of!(Thread, requests) == store_thread::REQUESTS
    );
    assert!(
        offset_of!(Thread, responses) == store_thread::RESPONSES
            && offset_of!(Thread, connection) == store_thread::CONNECTION
    );
    assert!(
        size_of::<Activity>() == connection::SIZE
            && offset_of!(Activity, cancel) == connection::CANCEL
    );
    assert!(
        offset_of!(Activity, state) == connection::STATE
            && offset_of!(Activity, statements) == connection::STATEMENTS
    );
    assert!(
        offset_of!(Activity, request) == connection::REQUEST
            && offset_of!(Activity, progress) == connection::PROGRESS
    );
};

/// Everything that belongs to a database's SQL threads; lives as long as the memory.
struct Engine {
    /// The records that TypeScript reads: [`Control`], then a [`Thread`] for each SQL thread.
    records: Box<[u32]>,
    service: Arc<Service>,
    threads: Vec<Ends>,
}

/// One SQL thread's ends of its channels, and those that keep the channels alive for TypeScript.
struct Ends {
    requests: (Sender, Receiver),
    responses: (Sender, Receiver),
    activity: Arc<Activity>,
}

/// The engines that were made, by the addresses of their records.
static ENGINES: std::sync::Mutex<Vec<&'static Engine>> = std::sync::Mutex::new(Vec::new());

/// Makes the channels and records of `threads` SQL threads. Returns the address of the [`Control`].
#[unsafe(no_mangle)]
pub extern "C-unwind" fn heddle_store_create(threads: u32) -> u32 {
    // They may quote rows, and consoles end up in logs.
    heddle_thread::hide_panic_messages(true);
    let threads: Vec<Ends> = (0..threads.max(1))
        .map(|_| Ends {
            requests: channel(REQUESTS),
            responses: channel(RESPONSES),
            activity: Arc::default(),
        })
        .collect();
    let mut records = vec![layout::STORE_CONTROL_VERSION, threads.len() as u32];
    for ends in &threads {
        let connection: *const Activity = &raw const *ends.activity;
        records.extend([
            ends.requests.0.address().addr().get() as u32,
            ends.responses.0.address().addr().get() as u32,
            connection.addr() as u32,
        ]);
    }
    let engine = Box::leak(Box::new(Engine {
        records: records.into(),
        service: Arc::default(),
        threads,
    }));
    ENGINES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(engine);
    engine.records.as_ptr().addr() as u32
}

/// Has panics of this memory's threads printed with all they say.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn heddle_store_show_panics() {
    heddle_thread::hide_panic_messages(false);
}

/// Runs a SQL thread of the engine at `control` until its request channel is closed.
///
/// # Panics
/// If there is no such engine or thread: the caller mixed up addresses.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn heddle_store_run(control: u32, index: u32) {
    let engine = {
        let engines = ENGINES
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        engines
            .iter()
            .copied()
            .find(|engine| engine.records.as_ptr().addr() as u32 == control)
    };
    let ends = engine.and_then(|engine| {
        engine
            .threads
            .get(index as usize)
            .map(|ends| (engine, ends))
    });
    let Some((engine, ends)) = ends else {
        panic!("no SQL thread {index} at {control:#x}")
    };
    let server = Server::new(
        engine.service.clone(),
        ends.activity.clone(),
        ends.requests.1.clone(),
        ends.responses.0.clone(),
    );
    server.run();
    ends.responses.0.close();
    ends.activity
        .state
        .store(layout::CONNECTION_IDLE, Ordering::Relaxed);
}
