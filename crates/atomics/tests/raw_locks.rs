//! The records under `lock_api`.
#![cfg(not(loom))]

use heddle_atomics::{RawMutex, RawRwLock, registry};
use lock_api::{MutexGuard, RwLockWriteGuard};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

type Mutex<T> = lock_api::Mutex<RawMutex, T>;
type RwLock<T> = lock_api::RwLock<RawRwLock, T>;

const SOON: Duration = Duration::from_millis(20);

#[test]
fn code_in_parking_lots_style_counts_exactly() {
    const THREADS: u32 = 4;
    const TIMES: u32 = 10_000;
    static COUNT: Mutex<u32> = Mutex::new(0);
    static PAIR: RwLock<(u32, u32)> = RwLock::new((0, 0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                if thread % 2 == 0 {
                    registry::enter_new().unwrap();
                }
                for turn in 0..TIMES {
                    match turn % 3 {
                        0 => *COUNT.lock() += 1,
                        1 => MutexGuard::unlock_fair({
                            let mut count = COUNT.lock();
                            *count += 1;
                            count
                        }),
                        _ => {
                            let mut pair = PAIR.write();
                            pair.0 += 1;
                            pair.1 += 1;
                            let pair = RwLockWriteGuard::downgrade(pair);
                            assert_eq!(pair.0, pair.1);
                        }
                    }
                    let pair = PAIR.read();
                    assert_eq!(pair.0, pair.1);
                }
                registry::leave();
            });
        }
    });
    assert_eq!(*COUNT.lock() + PAIR.read().0, THREADS * TIMES);
    assert!(!COUNT.is_locked() && !PAIR.is_locked());
}

#[test]
fn timed_forms_answer_without_the_lock() {
    let (mutex, lock) = (Mutex::new(()), RwLock::new(()));
    let (held, written) = (mutex.lock(), lock.write());
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            assert!(mutex.try_lock().is_none() && mutex.is_locked());
            assert!(mutex.try_lock_for(SOON).is_none());
            assert!(mutex.try_lock_until(Instant::now() + SOON).is_none());
            assert!(
                lock.try_read().is_none()
                    && lock.try_write().is_none()
                    && lock.is_locked_exclusive()
            );
            assert!(lock.try_read_for(SOON).is_none());
            assert!(lock.try_read_until(Instant::now() + SOON).is_none());
            assert!(lock.try_write_for(SOON).is_none());
            assert!(lock.try_write_until(Instant::now()).is_none());
        });
        others.join().unwrap();
    });
    drop((held, written));
    assert!(mutex.try_lock_for(SOON).is_some() && lock.try_write_for(SOON).is_some());
}

#[test]
fn threads_take_turns_by_fair_unlocks() {
    // Each thread has something to do at every other turn only, so that one that had the lock again and again would get nowhere.
    const TURNS: u32 = 200;
    let (lock, turn) = (RawMutex::new(), AtomicU32::new(0));
    thread::scope(|scope| {
        for me in 0..2 {
            let (lock, turn) = (&lock, &turn);
            scope.spawn(move || {
                registry::enter_new().unwrap();
                loop {
                    let _poisoned = lock.lock();
                    let now = turn.load(Ordering::Relaxed);
                    if now < TURNS && now % 2 == me {
                        turn.store(now + 1, Ordering::Relaxed);
                    }
                    // SAFETY: taken above.
                    unsafe { lock.unlock_fair() };
                    if now >= TURNS {
                        break;
                    }
                }
                registry::leave();
            });
        }
    });
    assert_eq!(
        (turn.into_inner(), lock.owner(), lock.claimant()),
        (TURNS, None, None)
    );
}
