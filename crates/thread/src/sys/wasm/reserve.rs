//! Memory that is given up when an allocation is refused: the panic that tells of it takes some itself, and a panic without any is a trap.

use std::sync::Mutex;

/// More than a panic's message, its payload and what unwinds take.
const RESERVE_SIZE: usize = 256 << 10;

static RESERVE: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Sets memory aside for the panic that a refused allocation becomes, where that was used up. Called by whoever catches such panics, before
/// what may run into one; it does nothing where there is no memory for it.
pub fn keep_reserve() {
    // Whoever has the lock does the same.
    if let Ok(mut reserve) = RESERVE.try_lock()
        && reserve.is_none()
    {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(RESERVE_SIZE).is_ok() {
            *reserve = Some(bytes);
        }
    }
}

/// Gives the memory back.
pub(super) fn give_up_reserve() {
    if let Ok(mut reserve) = RESERVE.try_lock() {
        drop(reserve.take());
    }
}
