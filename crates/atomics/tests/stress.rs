//! Random operations of many threads on one lock, with waits given up in time and threads that die at random, with the lock or without:
//! nothing is stuck, torn or counted wrong. `packages/atomics/test/stress.test.ts` has TypeScript's, whose threads are terminated.
//!
//! A share of it in the daily run. With `HEDDLE_LONG_MINUTES` ten million operations a primitive, or as many as there are in so many
//! minutes for all. `HEDDLE_SEED` chooses what the threads do; when they do it is the machine's choice.

use heddle_atomics::{Condvar, Mutex, RwLock, Semaphore, TryLockError, registry};
use std::{
    env, mem,
    sync::{
        LockResult,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const THREADS: u64 = 4;
const OPERATIONS: u64 = 20_000;
const OPERATIONS_LONG: u64 = 10_000_000;
const PRIMITIVES: u32 = 4;
/// How many operations a thread does before it leaves the registry, unless it dies.
const LIFE: u32 = 100;

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// G. Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % count
    }

    /// A wait that is given up, mostly.
    fn soon(&mut self) -> Duration {
        Duration::from_micros(self.below(60))
    }
}

#[derive(PartialEq)]
enum Fate {
    GoesOn,
    /// With what it holds: the next one finds it abandoned.
    Dies,
}

/// How much there is to do.
struct Extent {
    left: AtomicU64,
    end: Option<Instant>,
}

impl Extent {
    fn of_run() -> Self {
        let minutes = setting("HEDDLE_LONG_MINUTES", 0);
        let end =
            (minutes > 0).then(|| Instant::now() + Duration::from_secs(60 * minutes) / PRIMITIVES);
        let left = if minutes > 0 {
            OPERATIONS_LONG
        } else {
            OPERATIONS
        };
        Self {
            left: left.into(),
            end,
        }
    }

    /// Takes one of the operations; `false` if there are no more.
    fn take(&self) -> bool {
        let is_late = self.end.is_some_and(|end| Instant::now() > end);
        let take = |left: u64| if is_late { None } else { left.checked_sub(1) };
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

/// Has threads do an operation again and again, each in its own order.
fn stress(operation: impl Fn(&mut Random) -> Fate + Sync) {
    let extent = Extent::of_run();
    let seed = setting("HEDDLE_SEED", 1);
    println!("HEDDLE_SEED={seed}");
    thread::scope(|scope| {
        for id in 1..=THREADS {
            let (extent, operation) = (&extent, &operation);
            scope.spawn(move || {
                let mut random = Random((seed << 8 | id).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let mut goes_on = true;
                while goes_on {
                    registry::enter_new().expect("few threads live at once");
                    let mut fate = Fate::GoesOn;
                    for _ in 0..LIFE {
                        goes_on = extent.take();
                        if !goes_on {
                            break;
                        }
                        fate = operation(&mut random);
                        if fate == Fate::Dies {
                            break;
                        }
                    }
                    // The supervisor is the same thread here.
                    if fate == Fate::Dies {
                        registry::reap_token(registry::current());
                    } else {
                        registry::leave();
                    }
                }
            });
        }
    });
}

/// Two numbers that are equal unless somebody died between.
type Pair = (u64, u64);

/// What a lock gave, repaired if its last owner died; `clear` lets go of the poison.
fn repaired<G: std::ops::DerefMut<Target = Pair>>(
    result: LockResult<G>,
    clear: impl FnOnce(),
) -> G {
    let is_poisoned = result.is_err();
    let mut guard = result.unwrap_or_else(|error| error.into_inner());
    assert!(
        is_poisoned || guard.0 == guard.1,
        "half of a change, and no poison"
    );
    guard.1 = guard.0;
    if is_poisoned {
        clear();
    }
    guard
}

#[test]
fn a_mutex_loses_nothing() {
    let mutex = Mutex::new((0, 0));
    let taken = AtomicU64::new(0);
    stress(|random| {
        let result = match random.below(4) {
            0 => mutex.try_lock(),
            1 => mutex.try_lock_for(random.soon()),
            _ => mutex.lock().map_err(Into::into),
        };
        let result = match result {
            Err(TryLockError::WouldBlock) => return Fate::GoesOn,
            Err(TryLockError::Poisoned(error)) => Err(error),
            Ok(guard) => Ok(guard),
        };
        let mut guard = repaired(result, || mutex.clear_poison());
        taken.fetch_add(1, Ordering::Relaxed);
        guard.0 += 1;
        if random.below(200) == 0 {
            mem::forget(guard);
            return Fate::Dies;
        }
        guard.1 += 1;
        Fate::GoesOn
    });
    let count = mutex
        .into_inner()
        .unwrap_or_else(|error| error.into_inner())
        .0;
    assert_eq!(count, taken.into_inner());
}

#[test]
fn a_reader_writer_lock_keeps_writers_alone() {
    let lock = RwLock::new((0, 0));
    let written = AtomicU64::new(0);
    stress(|random| {
        let dies = random.below(200) == 0;
        if random.below(3) > 0 {
            let result = match random.below(4) {
                0 => lock.try_read(),
                1 => lock.try_read_for(random.soon()),
                _ => lock.read().map_err(Into::into),
            };
            match result {
                Ok(pair) => {
                    assert_eq!(pair.0, pair.1, "half of a change, and no poison");
                    if dies {
                        mem::forget(pair);
                        return Fate::Dies;
                    }
                }
                Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {}
            }
            return Fate::GoesOn;
        }
        let result = match random.below(4) {
            0 => lock.try_write(),
            1 => lock.try_write_for(random.soon()),
            _ => lock.write().map_err(Into::into),
        };
        let result = match result {
            Err(TryLockError::WouldBlock) => return Fate::GoesOn,
            Err(TryLockError::Poisoned(error)) => Err(error),
            Ok(guard) => Ok(guard),
        };
        let mut guard = repaired(result, || lock.clear_poison());
        written.fetch_add(1, Ordering::Relaxed);
        guard.0 += 1;
        if dies {
            mem::forget(guard);
            return Fate::Dies;
        }
        guard.1 += 1;
        Fate::GoesOn
    });
    let count = lock
        .into_inner()
        .unwrap_or_else(|error| error.into_inner())
        .0;
    assert_eq!(count, written.into_inner());
}

#[test]
fn a_semaphore_lets_in_as_many_as_it_has_permits() {
    const PERMITS: u32 = 3;
    let semaphore = Semaphore::new(PERMITS);
    let inside = AtomicU32::new(0);
    stress(|random| {
        let count = 1 + random.below(2) as u32;
        let permit = match random.below(4) {
            0 => semaphore.try_acquire_many(count),
            1 => semaphore.acquire_many_timeout(count, random.soon()),
            _ => Some(semaphore.acquire_many(count)),
        };
        let Some(permit) = permit else {
            return Fate::GoesOn;
        };
        assert!(inside.fetch_add(count, Ordering::SeqCst) + count <= PERMITS);
        let dies = random.below(200) == 0;
        inside.fetch_sub(count, Ordering::SeqCst);
        if dies {
            // A semaphore doesn't know who has its permits: who reaps gives them back.
            permit.forget();
            semaphore.release(count);
            return Fate::Dies;
        }
        Fate::GoesOn
    });
    assert_eq!(semaphore.available(), PERMITS);
}

#[test]
fn a_condition_leaves_nobody_waiting() {
    /// More than this nobody puts in.
    const FULL: u64 = 3;
    let items = Mutex::new((0, 0));
    let [is_filled, is_emptied] = [Condvar::new(), Condvar::new()];
    let [put, taken] = [AtomicU64::new(0), AtomicU64::new(0)];
    stress(|random| {
        let puts = random.below(2) == 0;
        let condvar = if puts { &is_emptied } else { &is_filled };
        let mut guard = repaired(items.lock(), || items.clear_poison());
        let must_wait = |count: u64| if puts { count == FULL } else { count == 0 };
        if must_wait(guard.0) {
            // Everybody may want the same: waits end in time.
            let result = condvar.wait_timeout_while(guard, random.soon(), |pair| must_wait(pair.0));
            guard = repaired(
                result
                    .map(|(guard, _)| guard)
                    .map_err(|error| std::sync::PoisonError::new(error.into_inner().0)),
                || {
                    items.clear_poison();
                },
            );
            if must_wait(guard.0) {
                return Fate::GoesOn;
            }
        }
        if puts {
            guard.0 += 1;
            put.fetch_add(1, Ordering::Relaxed);
        } else {
            guard.0 -= 1;
            taken.fetch_add(1, Ordering::Relaxed);
        }
        if random.below(200) == 0 {
            mem::forget(guard);
            return Fate::Dies;
        }
        guard.1 = guard.0;
        drop(guard);
        if puts {
            is_filled.notify_one()
        } else {
            is_emptied.notify_one()
        };
        Fate::GoesOn
    });
    let left = items
        .into_inner()
        .unwrap_or_else(|error| error.into_inner())
        .0;
    assert_eq!(left, put.into_inner() - taken.into_inner());
}
