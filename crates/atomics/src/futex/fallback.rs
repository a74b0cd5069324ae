//! A table of parked threads, for hosts without a futex of their own and for the model checkers.
//!
//! One lock guards the table, so comparing and entering it are one step for every waker.

use crate::seam::{AtomicU32, Ordering};
use core::time::Duration;

#[cfg(shuttle)]
use crate::{
    clock,
    seam::model::{Fault, any, rarely},
};

#[cfg(loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(shuttle)]
use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(any(loom, shuttle)))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// How often a wait with a timeout looks before its time is over, at most.
#[cfg(shuttle)]
const LOOKS_MAX: u32 = 3;

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

#[cfg(not(any(loom, shuttle)))]
fn table() -> &'static Table {
    static TABLE: Table = Table {
        sleepers: Mutex::new(Vec::new()),
        woken: Condvar::new(),
    };
    &TABLE
}

#[cfg(any(loom, shuttle))]
fn table() -> &'static Table {
    #[cfg(loom)]
    use loom::lazy_static;
    #[cfg(shuttle)]
    use shuttle::lazy_static;
    lazy_static! {
        static ref TABLE: Table = Table {
            sleepers: Mutex::new(Vec::new()),
            woken: Condvar::new()
        };
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
    let is_changed = word.load(Ordering::SeqCst) != expected;
    // A wait may end for no reason.
    #[cfg(shuttle)]
    let is_changed = is_changed && !Fault::LateWait.is_there() || rarely();
    if is_changed {
        return true;
    }
    let address = core::ptr::from_ref(word).addr();
    let ticket = sleepers.last().map_or(0, |last| last.ticket + 1);
    sleepers.push(Sleeper {
        address,
        ticket,
        is_woken: false,
    });

    #[cfg(not(any(loom, shuttle)))]
    let start = std::time::Instant::now();
    #[cfg(shuttle)]
    let mut looks = any(LOOKS_MAX + 1);
    loop {
        #[cfg(not(any(loom, shuttle)))]
        let remaining = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        // The model has no clock: a wait with a timeout may time out at any moment, so it does at once.
        #[cfg(loom)]
        let remaining = timeout.map(|_| Duration::ZERO);
        // In a random model it does after a few looks.
        #[cfg(shuttle)]
        let remaining = timeout.map(|timeout| if looks == 0 { Duration::ZERO } else { timeout });

        let index = sleepers
            .iter()
            .position(|sleeper| sleeper.ticket == ticket)
            .expect("only the sleeper removes itself");
        let is_woken = sleepers[index].is_woken;
        if is_woken || remaining == Some(Duration::ZERO) {
            sleepers.remove(index);
            #[cfg(shuttle)]
            if !is_woken {
                clock::pass(timeout.unwrap_or_default());
            }
            return is_woken;
        }
        sleepers = match remaining {
            None => table
                .woken
                .wait(sleepers)
                .unwrap_or_else(|poison| poison.into_inner()),
            #[cfg(shuttle)]
            Some(_) => {
                looks -= 1;
                drop(sleepers);
                shuttle::thread::yield_now();
                lock(table)
            }
            #[cfg(not(shuttle))]
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

pub(super) fn wake_address(address: *const AtomicU32, count: u32) -> u32 {
    #[cfg(shuttle)]
    let count = match count {
        _ if Fault::LoseWake.is_there() && any(2) == 0 => 0,
        _ if Fault::WakeOne.is_there() => count.min(1),
        _ => count,
    };
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
