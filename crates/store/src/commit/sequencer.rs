//! The order of commits, and what each snapshot sees.
//!
//! # State
//! | what | meaning |
//! |---|---|
//! | `next` | the number that the next commit gets |
//! | `reserved` | numbers given out, neither published nor voided yet |
//! | `published` | what a new snapshot sees: a version of every table, and the last commit in it |
//! | `past` | what snapshots of `main` from before the last commits to `main` must see |
//! | `recent` | which rows the reserved and the recently published commits wrote |
//! | `active` | the snapshots in use, by their sequence |
//! | `awaited` | mixed commits that a reader's snapshot of `main` shows and that are not published yet |
//! | `entered` | connections inside a transaction, by the last mixed commit when it began: none of them needs an older `past` |
//!
//! # Invariants
//! 1. Commits are published in the order of their numbers: a number is published once no smaller one is reserved.
//! 2. First committer wins: a number is reserved only if no row of the transaction was reserved or committed after its snapshot.
//!    A reservation counts as a commit until it is voided. A commit that changes a table's indexes counts as a write of all its rows; one that
//!    has built an index comes second to every write since its snapshot.
//! 3. `recent` holds every row written after the oldest snapshot that is active or that `past` may still give out, or says that it doesn't:
//!    then that snapshot's transaction may not write.
//! 4. A commit that also wrote `main` (*mixed*) is visible to a snapshot exactly if its row in `main` is: the reader names the last mixed
//!    commit that its snapshot of `main` shows, and gets the tables as they were from that commit until the next mixed one.
//! 5. Of commits that wrote `main` alone and of others that did not write it, all snapshots see the same first, where both halves of each are of
//!    one moment ([`Sequencer::snapshot_of`]): nothing is published while the half of `main` is taken; and who has to wait for a mixed commit
//!    gets the tables as that leaves them, not with what came behind. A transaction that reads `main` first and a Tonbo table later has halves of
//!    two moments.
//! 6. Memory may be refused, which is a panic, at any step. Then the step has not happened: a number that was given out is voided, and what was to
//!    be published can be published again ([`Store::publish`](crate::store::Store::publish)).
//!
//! # Waiting
//! A committer waits for smaller numbers; each belongs to a thread that is past every lock it needs, so the wait ends – but for those of files
//! that users have attached: SQLite waits for their readers with the number given out, as long as its busy handler says. Where the file refuses,
//! the session rolls back, which voids the number. Where nobody knows whether a mixed commit stands, since `main` can't be read, its number stays
//! reserved, and committers wait, until the mover has read it ([`Store::decide`](crate::store::Store::decide)): to void one that stands would have
//! the logs let go of it. A reader waits for a mixed commit that `main` shows already; only its publication is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;

use super::changes::Changes;
use super::recent::{Before, Footprint, Forgotten, RecentWrites};
use crate::activity;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::table::gate::is_gated;
use crate::table::version::{Sequence, TableVersion};
use crate::table::{Table, TableId};

/// How many mixed commits back a snapshot of `main` may lie when its transaction first reads a Tonbo table.
const PAST_MAX: usize = 64;

/// Above this, a wait for another commit is a defect, not patience.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// All tables at one moment.
#[derive(Clone, Default)]
pub struct Published {
    /// The last commit that is in here.
    pub sequence: Sequence,
    /// The last mixed one.
    pub mixed: Sequence,
    /// The tables.
    pub tables: OrdMap<TableId, Arc<TableVersion>>,
}

/// Why a transaction gets no number.
#[derive(Debug)]
pub struct Refusal {
    /// The error.
    pub error: StoreError,
    /// The row that another transaction has written, by its table and key, where it is one.
    pub row: Option<(TableId, Key)>,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal { error, row: None }
    }
}

/// See the module's documentation.
pub struct Sequencer {
    state: Mutex<State>,
    /// Notified when a number is published or voided.
    moved: Condvar,
}

struct State {
    next: Sequence,
    reserved: BTreeSet<Sequence>,
    published: Arc<Published>,
    past: VecDeque<Arc<Published>>,
    recent: RecentWrites,
    active: BTreeMap<Sequence, usize>,
    awaited: BTreeMap<Sequence, Awaited>,
    entered: BTreeMap<Sequence, usize>,
}

/// A mixed commit that readers wait for.
#[derive(Default)]
struct Awaited {
    /// How many.
    count: usize,
    /// The tables as it left them, once it is published. It is among the active snapshots from then on, for each reader once.
    published: Option<Arc<Published>>,
}

/// What a transaction reads. Kept until it ends.
pub struct Snapshot {
    /// The tables.
    pub published: Arc<Published>,
    sequencer: Arc<Sequencer>,
}

/// A table whose indexes a commit changes: who has an older snapshot does not know them, and may not write it any more.
pub struct Claim {
    /// Which table.
    pub table: Arc<Table>,
    /// Whether an index was built from the committer's snapshot: no row may have been written since.
    pub has_built: bool,
    /// Whether the committer itself keeps others' commits away.
    pub holds_gate: bool,
}

/// A number that is given out. Must be published or voided; dropping it voids it.
pub struct Reservation {
    sequence: Sequence,
    /// The last mixed commit that was published when the number was given out.
    after_mixed: Sequence,
    /// What `recent` knew of the rows before.
    before: Before,
    /// The tables that were claimed, and what their writers had to know before.
    claimed: Vec<(Arc<Table>, Sequence)>,
    sequencer: Arc<Sequencer>,
    is_settled: bool,
}

impl Sequencer {
    /// Starts with what recovery found.
    pub fn new(published: Published) -> Arc<Sequencer> {
        Arc::new(Sequencer {
            state: Mutex::new(State {
                next: published.sequence + 1,
                reserved: BTreeSet::new(),
                published: Arc::new(published),
                past: VecDeque::new(),
                recent: RecentWrites::default(),
                active: BTreeMap::new(),
                awaited: BTreeMap::new(),
                entered: BTreeMap::new(),
            }),
            moved: Condvar::new(),
        })
    }

    /// A connection begins a transaction, which may read `main` long before it reads a Tonbo table. Returns what [`Sequencer::leave`] asks
    /// for.
    pub fn enter(&self) -> Sequence {
        let mut state = self.lock();
        let mixed = state.published.mixed;
        *state.entered.entry(mixed).or_default() += 1;
        mixed
    }

    /// The transaction that [`Sequencer::enter`] returned `mixed` for has ended.
    pub fn leave(&self, mixed: Sequence) {
        let mut state = self.lock();
        subtract_one(&mut state.entered, mixed);
        let forgotten = state.forget();
        drop(state);
        drop(forgotten);
    }

    /// What is visible now, for those who only look.
    pub fn published(&self) -> Arc<Published> {
        self.lock().published.clone()
    }

    /// What a transaction sees whose snapshot of `main` shows `mixed` as the last mixed commit.
    ///
    /// # Errors
    /// [`StoreErrorCode::Conflict`] where that lies too many mixed commits back.
    pub fn snapshot(self: &Arc<Self>, mixed: Sequence) -> StoreResult<Snapshot> {
        self.snapshot_of(|| Ok(mixed))
    }

    /// As [`Sequencer::snapshot`], of what `read` finds in `main`: it takes the snapshot of `main`, while nothing is published.
    ///
    /// # Errors
    /// Those of `read`, too.
    pub fn snapshot_of(
        self: &Arc<Self>,
        read: impl FnOnce() -> StoreResult<Sequence>,
    ) -> StoreResult<Snapshot> {
        let mut state = self.lock();
        let mixed = read()?;
        if state.published.mixed < mixed {
            return self.wait_for(state, mixed);
        }
        let published = if state.published.mixed == mixed {
            state.published.clone()
        } else {
            state.past.iter().find(|past| past.mixed == mixed).cloned().ok_or_else(|| {
                StoreError::new(
                    StoreErrorCode::Conflict,
                    "this transaction began too many commits ago to read its first Tonbo table now: roll back and try again",
                )
            })?
        };
        *state.active.entry(published.sequence).or_default() += 1;
        Ok(Snapshot {
            published,
            sequencer: self.clone(),
        })
    }

    /// A snapshot with a mixed commit that `main` shows already.
    fn wait_for(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        mixed: Sequence,
    ) -> StoreResult<Snapshot> {
        state.awaited.entry(mixed).or_default().count += 1;
        let published = loop {
            let (next, outcome) = self
                .moved
                .wait_timeout(state, WAIT_MAX)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            let awaited = state.awaited.get(&mixed);
            let published = awaited.and_then(|awaited| awaited.published.clone());
            if published.is_some() || outcome.timed_out() {
                break published;
            }
        };
        if let Some(awaited) = state.awaited.get_mut(&mixed) {
            awaited.count -= 1;
            if awaited.count == 0 {
                state.awaited.remove(&mixed);
            }
        }
        match published {
            Some(published) => Ok(Snapshot {
                published,
                sequencer: self.clone(),
            }),
            None => Err(failed(format!(
                "commit {mixed} is in the database file but was never published"
            ))),
        }
    }

    /// Gives a transaction the next number, if none of its rows was written since `snapshot`.
    ///
    /// # Errors
    /// For any of them the transaction is rolled back, by SQLite or the session.
    /// With the row that was, where it is one:
    /// [`StoreErrorCode::Conflict`], [`StoreErrorCode::TableBusy`], [`StoreErrorCode::Interrupted`] or, where a table was dropped,
    /// [`StoreErrorCode::NotFound`].
    pub fn reserve<'a>(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        changes: &Changes,
        claims: impl Iterator<Item = &'a Claim> + Clone,
    ) -> Result<Reservation, Refusal> {
        let seen = snapshot.published.sequence;
        let footprint = Footprint::new(changes)?;
        // Before the lock: where memory is refused behind the number, which is a panic, that is voided, and the lock is free by then.
        let mut reservation = Reservation {
            sequence: 0,
            after_mixed: 0,
            before: Before::new(),
            claimed: Vec::new(),
            sequencer: self.clone(),
            is_settled: true,
        };
        let mut state = self.lock();
        if !state.recent.reaches(seen) {
            let message = "others have written so much since this transaction began that nobody knows whether they met it: it was rolled back, try again";
            return Err(StoreError::new(StoreErrorCode::Conflict, message).into());
        }
        for (id, buffer) in &changes.tables {
            let version = state.published.tables.get(id).ok_or_else(|| {
                StoreError::new(
                    StoreErrorCode::NotFound,
                    "another connection has dropped a table that this transaction wrote: it was rolled back, try again",
                )
            })?;
            let table = &version.table;
            if table.writers.are_gated() {
                return Err(is_gated(table).into());
            }
            let met = match table.writers.may_write_since(seen) {
                true => state.recent.first_of(*id, buffer, seen)?,
                false => return Err(conflict(table, OWN_ROW).into()),
            };
            if let Some(key) = met {
                return Err(Refusal {
                    row: Some((*id, key)),
                    ..conflict(table, OWN_ROW).into()
                });
            }
        }
        for Claim {
            table,
            has_built,
            holds_gate,
        } in claims.clone()
        {
            if !holds_gate && table.writers.are_gated() {
                return Err(is_gated(table).into());
            }
            // Invariant 3: the committer's own snapshot is active.
            if !table.writers.may_write_since(seen)
                || *has_built && state.recent.has_any(table.id, seen)
            {
                return Err(conflict(table, "what this one indexes").into());
            }
        }
        let sequence = state.next;
        state.reserved.insert(sequence);
        state.next += 1;
        reservation.sequence = sequence;
        reservation.after_mixed = state.published.mixed;
        reservation.is_settled = false;
        reservation.before = state.recent.note(sequence, footprint);
        reservation.claimed.reserve(claims.clone().count());
        for Claim { table, .. } in claims {
            let before = table.writers.begin_anew(sequence);
            reservation.claimed.push((table.clone(), before));
        }
        let forgotten = state.recent.make_room(sequence);
        drop(state);
        drop(forgotten);
        Ok(reservation)
    }

    /// Gives a bulk write to one table the next number; the caller holds the table's import gate, and has drained its delta.
    pub fn reserve_import(self: &Arc<Self>) -> Reservation {
        let mut state = self.lock();
        let sequence = state.next;
        state.reserved.insert(sequence);
        state.next += 1;
        Reservation {
            sequence,
            after_mixed: state.published.mixed,
            before: Before::new(),
            claimed: Vec::new(),
            sequencer: self.clone(),
            is_settled: false,
        }
    }

    /// Waits until every number given out so far is published or voided.
    pub fn settle(&self) {
        let mut state = self.lock();
        let last = state.next;
        while state.reserved.first().is_some_and(|first| *first < last) {
            state = activity::while_waiting(|| self.moved.wait(state))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Changes what is published without a commit: a delta that was moved, a table that was made or dropped.
    pub fn replace(&self, change: impl FnOnce(&mut Published)) {
        let mut state = self.lock();
        change(Arc::make_mut(&mut state.published));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut state = self.sequencer.lock();
        subtract_one(&mut state.active, self.published.sequence);
        let forgotten = state.forget();
        drop(state);
        drop(forgotten);
    }
}

impl State {
    /// Drops what no transaction can ask for any more.
    fn forget(&mut self) -> Forgotten {
        match self.entered.keys().next() {
            None => self.past.clear(),
            Some(oldest) => {
                while self.past.front().is_some_and(|past| past.mixed < *oldest) {
                    self.past.pop_front();
                }
            }
        }
        let past = self.past.front().map(|past| past.sequence);
        let oldest = self
            .active
            .keys()
            .next()
            .copied()
            .into_iter()
            .chain(past)
            .min();
        match oldest {
            None if self.reserved.is_empty() => self.recent.clear(),
            None => Forgotten::new(),
            Some(oldest) => self.recent.forget(oldest),
        }
    }
}

fn subtract_one(counts: &mut BTreeMap<Sequence, usize>, key: Sequence) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Reservation {
    /// The number.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The last mixed commit that was published when the number was given out.
    pub fn after_mixed(&self) -> Sequence {
        self.after_mixed
    }

    /// Whether every smaller number is settled.
    pub fn is_next(&self) -> bool {
        let state = self.sequencer.lock();
        state.reserved.first() == Some(&self.sequence)
    }

    /// Makes the commit visible, once every smaller number is settled. Nothing in here can fail but for want of memory: that is a panic, nothing
    /// has happened then, and it can be called again.
    pub fn publish(&mut self, is_mixed: bool, apply: impl FnOnce(&mut Published)) {
        let sequencer = self.sequencer.clone();
        let mut state = sequencer.lock();
        while state
            .reserved
            .first()
            .is_some_and(|first| *first < self.sequence)
        {
            state = activity::while_waiting(|| sequencer.moved.wait(state))
                .unwrap_or_else(PoisonError::into_inner);
        }
        let State {
            awaited,
            active,
            past,
            published,
            ..
        } = &mut *state;
        let mut next = Published::clone(published);
        apply(&mut next);
        next.sequence = self.sequence;
        if is_mixed {
            next.mixed = self.sequence;
        }
        let next = Arc::new(next);
        past.reserve(1);
        if let Some(awaited) = awaited.get_mut(&self.sequence) {
            *active.entry(self.sequence).or_default() += awaited.count;
            awaited.published = Some(next.clone());
        }
        // From here on nothing takes memory.
        let before = std::mem::replace(published, next);
        if is_mixed {
            past.push_back(before);
            if past.len() > PAST_MAX {
                past.pop_front();
            }
        }
        state.reserved.remove(&self.sequence);
        self.is_settled = true;
        drop(state);
        sequencer.moved.notify_all();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let mut state = self.sequencer.lock();
        let before = std::mem::take(&mut self.before);
        let forgotten = state.recent.void(self.sequence, before);
        for (table, before) in std::mem::take(&mut self.claimed) {
            table.writers.begin_anew(before);
        }
        state.reserved.remove(&self.sequence);
        drop(state);
        self.sequencer.moved.notify_all();
        drop(forgotten);
    }
}

/// What a transaction comes second to.
const OWN_ROW: &str = "a row that this one writes";

fn conflict(table: &Table, what: &str) -> StoreError {
    StoreError::new(
        StoreErrorCode::Conflict,
        format!(
            "another transaction has written {what} in {}: this one was rolled back, try again",
            table.name()
        ),
    )
}

fn failed(message: String) -> StoreError {
    StoreError::new(StoreErrorCode::EngineFailed, message)
}
