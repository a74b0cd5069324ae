//! Locks that are taken in opposite orders, told in words although nobody waits.
#![cfg(not(loom))]

use heddle_atomics::{Mutex, RwLock, deadlock, registry};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// The tests share the program's table: one at a time, and only one of them fills it.
fn alone() -> StdMutexGuard<'static, ()> {
    static ALONE: StdMutex<()> = StdMutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    deadlock::enable_order_detection();
    guard
}

/// Locks with names, which are forgotten in the end: others will be at their places.
struct Named {
    accounts: Mutex<u8>,
    journal: Mutex<u8>,
    index: RwLock<u8>,
}

impl Named {
    fn new() -> Box<Self> {
        let named = Box::new(Self {
            accounts: Mutex::new(0),
            journal: Mutex::new(0),
            index: RwLock::new(0),
        });
        deadlock::name_lock(named.accounts.raw(), "accounts");
        deadlock::name_lock(named.journal.raw(), "journal");
        deadlock::name_rw_lock(named.index.raw(), "index");
        named
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        deadlock::forget_lock(self.accounts.raw());
        deadlock::forget_lock(self.journal.raw());
        deadlock::forget_rw_lock(self.index.raw());
    }
}

/// Runs `body` on a thread of this name: what it panicked with.
fn on_thread(name: &str, body: impl FnOnce() + Send) -> Option<String> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            registry::enter_new().unwrap();
            deadlock::name_thread(name);
            let ended = catch_unwind(AssertUnwindSafe(body));
            registry::leave();
            ended
                .err()
                .map(|panic| *panic.downcast::<String>().unwrap())
        });
        thread.join().unwrap()
    })
}

#[test]
fn opposite_orders_are_told_though_neither_thread_waits() {
    let _alone = alone();
    let locks = Named::new();
    let in_order = || {
        let _accounts = locks.accounts.lock().unwrap();
        drop(locks.journal.lock().unwrap());
    };
    assert_eq!(on_thread("teller", in_order), None);
    let report = on_thread("clerk", || {
        let journal = locks.journal.lock().unwrap();
        let refused = catch_unwind(AssertUnwindSafe(|| drop(locks.accounts.lock())));
        drop(journal);
        std::panic::resume_unwind(refused.unwrap_err());
    })
    .unwrap();
    let (now, before) = report.split_once(", but ").unwrap();
    assert!(now.starts_with("lock order: thread "), "{report}");
    assert!(
        now.ends_with("'clerk' takes the lock 'accounts' while it holds the lock 'journal'"),
        "{report}"
    );
    assert!(
        before.contains("'teller' took the lock 'journal' while it held the lock 'accounts'"),
        "{report}"
    );
    // Nothing was taken, and the order that was there is the one that counts.
    assert!(locks.accounts.try_lock().is_ok() && locks.journal.try_lock().is_ok());
    assert_eq!(on_thread("teller", in_order), None);
}

#[test]
fn one_order_is_never_told_however_many_threads_keep_it() {
    let _alone = alone();
    let locks = Named::new();
    thread::scope(|scope| {
        for seed in 0..3_u32 {
            let locks = &locks;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let accounts = locks.accounts.lock().unwrap();
                    let journal = (round % 3 != 0).then(|| locks.journal.lock().unwrap());
                    if (round + seed) % 2 == 0 {
                        // Let go of in another order than they were taken in.
                        drop(accounts);
                        drop(locks.index.read().unwrap());
                    } else {
                        drop(locks.index.write().unwrap());
                    }
                    drop(journal);
                }
            });
        }
    });
}

#[test]
fn a_circle_of_three_locks_is_told_with_all_its_orders() {
    let _alone = alone();
    let locks = Named::new();
    let first = on_thread("one", || {
        let _accounts = locks.accounts.lock().unwrap();
        drop(locks.index.read().unwrap());
    });
    let second = on_thread("two", || {
        let _index = locks.index.write().unwrap();
        drop(locks.journal.lock().unwrap());
    });
    assert_eq!((first, second), (None, None));
    let report = on_thread("three", || {
        let _journal = locks.journal.lock().unwrap();
        drop(locks.accounts.lock());
    })
    .unwrap();
    for words in [
        "'three' takes the lock 'accounts' while it holds the lock 'journal', but",
        "'one' took the lock 'index' while it held the lock 'accounts', and",
        "'two' took the lock 'journal' while it held the lock 'index'",
    ] {
        assert!(report.contains(words), "{report}");
    }
    // The one who panicked held the journal, and poisoned it.
    locks.journal.clear_poison();
}

#[test]
fn a_lock_is_held_no_longer_than_until_it_is_let_go_of() {
    let _alone = alone();
    let locks = Named::new();
    let accounts = locks.accounts.lock().unwrap();
    let journal = locks.journal.lock().unwrap();
    drop(accounts);
    drop(journal);
    let reading = heddle_atomics::RwLockWriteGuard::downgrade(locks.index.write().unwrap());
    drop(locks.accounts.lock().unwrap());
    drop(reading);
    // Nothing was held before this one: the index goes before the accounts, and no more is known of it.
    drop(locks.journal.lock().unwrap());
    let journal = locks.journal.try_lock().unwrap();
    drop(journal);
    let _index = locks.index.read().unwrap();
    drop(locks.journal.lock().unwrap());
}

#[test]
fn what_is_tried_or_has_a_deadline_counts_as_held_and_is_no_order() {
    const LONG: Duration = Duration::from_secs(60);
    let _alone = alone();
    let locks = Named::new();
    let tried = on_thread("patient", || {
        let accounts = locks.accounts.lock().unwrap();
        drop(locks.journal.lock().unwrap());
        drop(locks.index.read().unwrap());
        drop(accounts);
        let _journal = locks.journal.lock().unwrap();
        drop(locks.accounts.try_lock().unwrap());
        drop(locks.accounts.try_lock_for(LONG).unwrap());
        let _index = locks.index.try_read_for(LONG).unwrap();
        drop(locks.accounts.try_lock_for(LONG).unwrap());
    });
    assert_eq!(tried, None);
    let report = on_thread("hasty", || {
        let _index = locks.index.try_write_for(LONG).unwrap();
        drop(locks.accounts.lock());
    });
    assert!(report.unwrap().contains("holds the lock 'index'"));
    locks.index.clear_poison();
}

#[test]
fn a_lock_with_another_name_or_none_is_another_lock() {
    let _alone = alone();
    let locks = Named::new();
    let order = |first: &Mutex<u8>, second: &Mutex<u8>| {
        let _first = first.lock().unwrap();
        drop(second.lock().unwrap());
    };
    order(&locks.accounts, &locks.journal);
    deadlock::name_lock(locks.journal.raw(), "diary");
    order(&locks.journal, &locks.accounts);
    deadlock::forget_lock(locks.accounts.raw());
    order(&locks.accounts, &locks.journal);
    order(&locks.journal, &locks.accounts);
}

#[test]
fn a_full_table_says_so_and_still_knows_what_it_has() {
    let _alone = alone();
    let locks = Named::new();
    let many: Vec<_> = (0..48).map(|_| Mutex::new(())).collect();
    for (i, lock) in many.iter().enumerate() {
        deadlock::name_lock(lock.raw(), &format!("lock {i}"));
    }
    let report = on_thread("hoarder", || {
        let accounts = locks.accounts.lock().unwrap();
        drop(locks.journal.lock().unwrap());
        drop(accounts);
        assert_eq!(deadlock::orders_left_out(), 0);
        // 48 · 47 / 2 orders are more than there is room for.
        let held: Vec<_> = many.iter().map(|lock| lock.lock().unwrap()).collect();
        assert_eq!(deadlock::orders_left_out(), 48 * 47 / 2 + 1 - 1024);
        drop(held);
        let _journal = locks.journal.lock().unwrap();
        drop(locks.accounts.lock());
    })
    .unwrap();
    assert!(
        report.contains("but thread ")
            && report.ends_with("(105 orders found no room and aren't known)"),
        "{report}"
    );
    for lock in &many {
        deadlock::forget_lock(lock.raw());
    }
}
