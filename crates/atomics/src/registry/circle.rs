//! Who waits for whom, where that goes round.

use super::{
    Token, is_live,
    reaping::Reaping,
    record::{Registry, WaitingOn, registry},
};
use crate::{RawMutex, layout::WAITING_ON_MUTEX};

/// Who would wait for whom if `me` slept for `lock`, and why it would never end: each link is a thread that holds what the one before
/// waits for, and the address of the mutex that it waits for itself; `me` holds the last. `None` if the chain ends.
///
/// `me` has said that it waits, so that of the threads of a circle the last one to do so sees the others.
pub(crate) fn wait_circle(me: Token, lock: &RawMutex) -> Option<Vec<(Token, usize)>> {
    let registry = registry();
    // As a reaper: what others wait for stays there meanwhile (invariant 3).
    let _reaping = Reaping::begin(registry, Token::NOBODY);
    let circle = follow(registry, me, lock);
    // A link may have been let go of while the next one was read. Who sleeps lets go of nothing: a circle is there again.
    let is_circle = circle.is_some() && follow(registry, me, lock) == circle;
    circle.filter(|_| is_circle)
}

/// Follows the chain of [`wait_circle`], which reaps.
fn follow(registry: &Registry, me: Token, lock: &RawMutex) -> Option<Vec<(Token, usize)>> {
    let mut links = Vec::new();
    let mut holder = lock.owner()?;
    while holder != me {
        // Circles that `me` isn't in are for the others to find.
        if !is_live(holder) || links.iter().any(|(link, _)| *link == holder) {
            return None;
        }
        let waiting_on = WaitingOn::of(registry.slot_of(holder)?);
        if waiting_on.kind() != WAITING_ON_MUTEX {
            return None;
        }
        let next = waiting_on.word().cast::<RawMutex>();
        links.push((holder, next.addr()));
        // SAFETY: a waiter put the address of a mutex it borrows into its slot, and stays inside its wait while somebody reaps.
        holder = unsafe { &*next }.owner()?;
    }
    Some(links)
}
