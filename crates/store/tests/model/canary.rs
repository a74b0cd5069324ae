//! Faults that the harness puts in the store's place: a check that can't fail proves nothing.

use super::history::History;
use super::state::TableName;
use super::transaction::Transaction;

/// Faults that the harness puts in the store's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// A commit that is acknowledged is rolled back.
    LostCommit,
    /// A row changes that nobody wrote.
    StrayWrite,
    /// A transaction's snapshot moves while it is open.
    MovedSnapshot,
    /// What a loss of power leaves is older than what was acknowledged.
    LostDurability,
    /// A column comes with another default than was asked for.
    WrongDefault,
    /// An alteration that is acknowledged is not made.
    LostAlteration,
}

impl Canary {
    pub const ALL: [Canary; 6] = [
        Canary::LostCommit,
        Canary::StrayWrite,
        Canary::MovedSnapshot,
        Canary::LostDurability,
        Canary::WrongDefault,
        Canary::LostAlteration,
    ];
}

impl History {
    pub fn release_canary(&mut self, who: usize) {
        if self.operation < 200 {
            return;
        }
        match self.canary {
            Some(Canary::StrayWrite) => {
                let link = &self.links[who];
                if link.transaction.is_none() {
                    let warp = &self.last().schemas[&TableName::Warp].name;
                    let values = "(id, n, t) VALUES (33, 424242, 'nobody')";
                    link.connection
                        .run(&format!("INSERT OR REPLACE INTO {warp}{values}"));
                    self.canary = None;
                }
            }
            Some(Canary::MovedSnapshot) => {
                let link = &self.links[who];
                if let Some(transaction) = &link.transaction
                    && transaction.savepoints.is_empty()
                    && transaction.written.is_empty()
                    && !transaction.holds_lock
                    && self.is_behind(transaction)
                {
                    link.connection.run("ROLLBACK; BEGIN");
                    self.canary = None;
                }
            }
            Some(Canary::LostDurability) => {
                if self.stale.is_none() {
                    self.stale = Some(self.io.crash(0));
                }
            }
            Some(Canary::LostCommit | Canary::WrongDefault | Canary::LostAlteration) | None => {}
        }
    }

    /// Whether a new snapshot would see other rows than the transaction's.
    pub fn is_behind(&self, transaction: &Transaction) -> bool {
        transaction
            .tonbo_at
            .is_some_and(|at| self.commits[at].state.warp != self.last().warp)
    }
}
