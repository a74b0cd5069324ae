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
