//! A table of parked threads, for hosts without a futex of their own and for the model checker.
//!
//! One lock guards the table, so comparing and entering it are one step for every waker.

use crate::seam::{AtomicU32, Ordering};
use core::time::Duration;

#[cfg(loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// Who sleeps on what, in the order of arrival.
struct Table {
    sleepers: Mutex<Vec<Sleeper>>,
    woken: Condvar,
}

struct Sleeper {
    address: usize,
    ticket: u64,
    is_woken: bool,
}

#[cfg(not(loom))]
fn table() -> &'static Table {
    static TABLE: Table = Table {
        sleepers: Mutex::new(Vec::new()),
        woken: Condvar::new(),
    };
    &TABLE
}

#[cfg(loom)]
fn table() -> &'static Table {
    loom::lazy_static! {
        static ref TABLE: Table = Table { sleepers: Mutex::new(Vec::new()), woken: Condvar::new() };
    }
    &TABLE
}

fn lock(table: &'static Table) -> MutexGuard<'static, Vec<Sleeper>> {
    // The table is never left half-changed: nothing panics while it is locked.
    table
        .sleepers
        .lock()
        .unwrap_or_else(|poison| poison.into_inner())
}

pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let table = table();
    let mut sleepers = lock(table);
    if word.load(Ordering::SeqCst) != expected {
        return true;
    }
    let address = core::ptr::from_ref(word).addr();
    let ticket = sleepers.last().map_or(0, |last| last.ticket + 1);
    sleepers.push(Sleeper {
        address,
        ticket,
        is_woken: false,
    });

    #[cfg(not(loom))]
    let start = std::time::Instant::now();
    loop {
        #[cfg(not(loom))]
        let remaining = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        // The model has no clock: a wait with a timeout may time out at any moment, so it does at once.
        #[cfg(loom)]
        let remaining = timeout.map(|_| Duration::ZERO);

        let index = sleepers
            .iter()
            .position(|sleeper| sleeper.ticket == ticket)
            .expect("only the sleeper removes itself");
        let is_woken = sleepers[index].is_woken;
        if is_woken || remaining == Some(Duration::ZERO) {
            sleepers.remove(index);
            return is_woken;
        }
        sleepers = match remaining {
            None => table
                .woken
                .wait(sleepers)
                .unwrap_or_else(|poison| poison.into_inner()),
            Some(remaining) => {
                table
                    .woken
                    .wait_timeout(sleepers, remaining)
                    .unwrap_or_else(|poison| poison.into_inner())
                    .0
            }
        };
    }
}

pub(super) fn wake(word: &AtomicU32, count: u32) -> u32 {
    wake_address(word, count)
}

pub(super) fn wake_address(address: *const AtomicU32, count: u32) -> u32 {
    let table = table();
    let mut woken = 0;
    for sleeper in lock(table).iter_mut() {
        if woken < count && sleeper.address == address.addr() && !sleeper.is_woken {
            sleeper.is_woken = true;
            woken += 1;
        }
    }
    if woken > 0 {
        table.woken.notify_all();
    }
    woken
}
