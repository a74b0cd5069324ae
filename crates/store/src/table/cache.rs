//! The budget of decoded columns, shared by all tables and threads.
//!
//! Victims are picked at random: a scan that is longer than the budget still finds a share of its chunks, where least-recently-used
//! would find none, and nothing has to be moved on a hit.

use std::sync::Weak;

use super::base::CHUNK_SIZE_MAX;
use super::chunk::Chunk;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, PoisonError};

/// Where the budget is small, chunks are; but reading them must still pay.
const CHUNK_SIZE_MIN: usize = 64 << 10;

/// Counts and bounds the bytes of decoded columns.
#[derive(Debug)]
pub struct ColumnCache {
    budget: usize,
    chunk_rows: usize,
    chunk_size: usize,
    // Relaxed throughout: figures of their own, publishing nothing.
    used: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
    holders: Mutex<Holders>,
}

#[derive(Debug)]
struct Holders {
    chunks: Vec<Weak<Chunk>>,
    random: u64,
}

impl ColumnCache {
    /// A cache of at most `budget` bytes, for chunks of `chunk_rows` rows. What running statements hold comes on top: a chunk a thread.
    pub fn new(budget: usize, chunk_rows: usize) -> ColumnCache {
        let holders = Holders {
            chunks: Vec::new(),
            random: 0x9E37_79B9_7F4A_7C15,
        };
        ColumnCache {
            budget,
            chunk_rows: chunk_rows.max(1),
            chunk_size: CHUNK_SIZE_MAX.min((budget / 4).max(CHUNK_SIZE_MIN)),
            used: AtomicUsize::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            holders: Mutex::new(holders),
        }
    }

    /// The budget in bytes.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// How many rows a chunk gets when it is cut.
    pub fn chunk_rows(&self) -> usize {
        self.chunk_rows
    }

    /// How many bytes of a chunk are read at once.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// The bytes held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How often a chunk's columns were all there, and how often some had to be read.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (
            self.hits.load(Ordering::Relaxed),
            self.misses.load(Ordering::Relaxed),
        )
    }

    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, size: usize) {
        self.used.fetch_add(size, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, size: usize) {
        self.used.fetch_sub(size, Ordering::Relaxed);
    }

    /// Notes that a chunk holds columns now.
    pub(super) fn admit(&self, newcomer: Weak<Chunk>) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.chunks.len().is_power_of_two() {
            holders.chunks.retain(|chunk| chunk.strong_count() > 0);
        }
        holders.chunks.push(newcomer);
    }

    /// Drops chunks' columns until the budget is kept.
    pub(super) fn enforce(&self) {
        if self.used() <= self.budget {
            return;
        }
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        while self.used() > self.budget && !holders.chunks.is_empty() {
            // xorshift64 (Marsaglia, 2003).
            holders.random ^= holders.random << 13;
            holders.random ^= holders.random >> 7;
            holders.random ^= holders.random << 17;
            let index = (holders.random % holders.chunks.len() as u64) as usize;
            if let Some(victim) = holders.chunks.swap_remove(index).upgrade() {
                victim.evict();
            }
        }
    }
}
