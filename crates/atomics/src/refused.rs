//! Programs that must not compile, each with the error that refuses it.

/// A value that threads must not share isn't shared through a cell.
///
/// ```compile_fail,E0277
/// use heddle_atomics::OnceCell;
/// fn share<T: Sync>(_: &T) {}
/// share(&OnceCell::<core::cell::Cell<u32>>::new());
/// ```
///
/// Nor does one that must stay on its thread move to another, which might read or drop it there.
///
/// ```compile_fail,E0277
/// use heddle_atomics::OnceCell;
/// fn share<T: Sync>(_: &T) {}
/// share(&OnceCell::<std::sync::MutexGuard<'static, u32>>::new());
/// ```
struct CellOfWhatIsNotShared;

/// The function of a lazy value runs on whichever thread comes first, so it has to be one that may move there.
///
/// ```compile_fail,E0277
/// use heddle_atomics::Lazy;
/// use std::rc::Rc;
/// let local = Rc::new(1);
/// let lazy = Lazy::new(move || *local);
/// std::thread::scope(|scope| {
///     scope.spawn(|| assert_eq!(*lazy, 1));
/// });
/// ```
struct LazyOfWhatIsNotSent;

/// One thread parks at a time: a parker moves between threads, and isn't shared.
///
/// ```compile_fail,E0277
/// use heddle_atomics::Parker;
/// let parker = Parker::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| parker.park());
/// });
/// ```
struct ParkerOfTwo;

/// A member doesn't outlive its group.
///
/// ```compile_fail,E0597
/// use heddle_atomics::WaitGroup;
/// let member = {
///     let group = WaitGroup::new();
///     group.member()
/// };
/// drop(member);
/// ```
struct MemberWithoutGroup;

/// A value isn't taken out of a cell that others may read.
///
/// ```compile_fail,E0596
/// use heddle_atomics::OnceCell;
/// static CELL: OnceCell<String> = OnceCell::new();
/// CELL.take();
/// ```
struct TakenWhileShared;

/// That a latch refused to count down is not to be overlooked.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use heddle_atomics::Latch;
/// Latch::new(1).count_down(2);
/// ```
struct ErrorOverlooked;

/// A lock is given back by the thread that took it: its word carries the thread's name.
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// send(heddle_atomics::Mutex::new(0).lock());
/// ```
///
/// Nor does the guard of a part of what the lock guards go.
///
/// ```compile_fail,E0277
/// use heddle_atomics::{MappedMutexGuard, Mutex, MutexGuard};
/// fn send<T: Send>(_: T) {}
/// let mutex = Mutex::new((1, 2));
/// let part: MappedMutexGuard<'_, i32> = MutexGuard::map(mutex.lock().unwrap(), |pair| &mut pair.0);
/// send(part);
/// ```
struct GuardThatIsSent;

/// What a lock guards is had through a guard, which doesn't outlive the lock.
///
/// ```compile_fail,E0597
/// use heddle_atomics::Mutex;
/// let guard = {
///     let mutex = Mutex::new(0);
///     mutex.lock()
/// };
/// drop(guard);
/// ```
///
/// And a reference into it doesn't outlive the guard.
///
/// ```compile_fail,E0505
/// let mutex = heddle_atomics::Mutex::new(String::new());
/// let guard = mutex.lock().unwrap();
/// let text: &str = &guard;
/// drop(guard);
/// assert_eq!(text, "");
/// ```
struct BeyondTheGuard;

/// A mutex shares what may be sent, as it is one thread's at a time.
///
/// ```compile_fail,E0277
/// fn share<T: Sync>(_: &T) {}
/// share(&heddle_atomics::Mutex::new(std::rc::Rc::new(1)));
/// ```
///
/// A reader-writer lock shares what may be shared, too, as several read at once.
///
/// ```compile_fail,E0277
/// fn share<T: Sync>(_: &T) {}
/// share(&heddle_atomics::RwLock::new(core::cell::Cell::new(1)));
/// ```
///
/// The same cell in a mutex is one thread's at a time.
///
/// ```
/// fn share<T: Sync>(_: &T) {}
/// share(&heddle_atomics::Mutex::new(core::cell::Cell::new(1)));
/// ```
struct LockOfWhatIsNotShared;

/// Who reads doesn't write.
///
/// ```compile_fail,E0594
/// let lock = heddle_atomics::RwLock::new(1);
/// *lock.read().unwrap() = 2;
/// ```
///
/// A guard that was downgraded is one that reads.
///
/// ```compile_fail,E0382
/// use heddle_atomics::{RwLock, RwLockWriteGuard};
/// let lock = RwLock::new(1);
/// let mut writing = lock.write().unwrap();
/// let _reading = RwLockWriteGuard::downgrade(writing);
/// *writing = 2;
/// ```
struct WrittenByReaders;

/// A condition variable is waited for with a mutex, whose guard it takes and gives back.
///
/// ```compile_fail,E0308
/// use heddle_atomics::{Condvar, RwLock};
/// let lock = RwLock::new(false);
/// let _ = Condvar::new().wait(lock.write().unwrap());
/// ```
///
/// ```compile_fail,E0382
/// use heddle_atomics::{Condvar, Mutex};
/// let mutex = Mutex::new(false);
/// let guard = mutex.lock().unwrap();
/// let _again = Condvar::new().wait(guard);
/// assert!(!*guard);
/// ```
struct WaitWithoutItsLock;

/// A permit is of one semaphore, and doesn't outlive it.
///
/// ```compile_fail,E0597
/// let permit = {
///     let semaphore = heddle_atomics::Semaphore::new(1);
///     semaphore.acquire()
/// };
/// drop(permit);
/// ```
struct PermitWithoutSemaphore;

/// Who was unparked may have been by a parker's other handle only: an unparker doesn't park.
///
/// ```compile_fail,E0599
/// let parker = heddle_atomics::Parker::new();
/// parker.unparker().park();
/// ```
struct UnparkerThatParks;

/// That a wait ran out of time is not to be overlooked.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// heddle_atomics::Event::auto_reset().wait_timeout(core::time::Duration::ZERO);
/// ```
struct TimeoutOverlooked;

/// A task that waits to write keeps new readers out in its thread's name, so it stays there.
///
/// ```compile_fail,E0277
/// use heddle_atomics::RwLock;
/// fn send<T: Send>(_: T) {}
/// let lock = RwLock::new(1);
/// send(lock.write_async());
/// ```
///
/// So does one that has a guard while it waits for something else.
///
/// ```compile_fail
/// use heddle_atomics::{Event, Mutex};
/// fn send<T: Send>(_: T) {}
/// let (lock, event) = (Mutex::new(1), Event::manual_reset());
/// send(async {
///     let guard = lock.lock_async().await.unwrap();
///     event.wait_async().await;
///     drop(guard);
/// });
/// ```
struct TaskThatIsBoundToItsThread;
