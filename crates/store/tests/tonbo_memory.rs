//! What Tonbo asks memory for at once where rows are large. In a process of its own: the allocator watches all of it.

#[path = "fuzz/allocations.rs"]
mod allocations;
mod support;

use futures::StreamExt as _;
use support::*;

/// Rows were read, merged and handed out by the thousand, however large they were: more than memory holds, or than a column can.
#[test]
fn large_rows_take_a_few_megabytes_at_once() {
    const SIZE: usize = 1 << 20;
    const ROWS_OF_A_FILE: u64 = 8;
    const FILES: u64 = 12;
    let fs = TestFs::default();
    let options = Options {
        l0_trigger: FILES as usize,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    for file in 0..FILES {
        let numbers = file * ROWS_OF_A_FILE..(file + 1) * ROWS_OF_A_FILE;
        let row = Row {
            number: Some(1),
            text: Some("x".repeat(SIZE)),
        };
        let changes = numbers.map(|number| (key(number), Some(row.clone())));
        ingest(&db, &changes.collect::<Vec<_>>());
        flush(&db);
    }
    assert!(compact(&db), "a merge is due");
    assert_eq!(fs.paths("sst/L1").len(), 1);
    let merged = allocations::largest();
    let held = snapshot(&db);
    let mut stream = Box::pin(block_on(held.scan(&db).stream()).expect("the scan opens"));
    let mut rows = 0;
    while let Some(batch) = block_on(stream.next()) {
        rows += batch.expect("the scan succeeds").num_rows();
    }
    assert_eq!(rows as u64, ROWS_OF_A_FILE * FILES);
    let scanned = allocations::largest();
    assert!(merged < 32 * SIZE, "a merge: {merged}");
    assert!(scanned < 32 * SIZE, "a scan: {scanned}");
}
