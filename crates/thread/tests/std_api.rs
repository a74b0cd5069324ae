//! What `docs/std-thread.md` says of `std::thread`'s items: whether the rows that work do, over this crate and over std.
#![allow(
    clippy::duplicate_mod,
    reason = "the same lines are compiled over both"
)]

use std::collections::BTreeSet;

#[path = "std_api"]
mod ours {
    use heddle_thread as thread;
    #[path = "rows.rs"]
    pub(crate) mod rows;
}

#[path = "std_api"]
mod stds {
    use std::thread;
    #[path = "rows.rs"]
    pub(crate) mod rows;
}

/// The table's lines: the page's part before its first heading.
fn rows() -> impl Iterator<Item = &'static str> {
    let page = include_str!("../../../docs/std-thread.md");
    let (table, _) = page.split_once("\n## ").expect("headings follow the table");
    table.lines().filter(|line| line.starts_with("| `"))
}

/// The items of the table whose third column is `state`.
fn items(state: &str) -> BTreeSet<&'static str> {
    let cells = rows().map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter(|cells| cells[3] == state)
        .map(|cells| cells[1].trim_matches('`'))
        .collect()
}

#[test]
fn the_items_that_work_are_those_that_are_tried() {
    let tried: BTreeSet<_> = ours::rows::ROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(items("works"), tried);
    assert_eq!(
        tried.len(),
        ours::rows::ROWS.len(),
        "an item is tried twice"
    );
}

#[test]
fn every_item_that_does_not_work_has_a_reason() {
    let without: Vec<_> = rows()
        .filter(|line| line.contains("| – |"))
        .filter(|line| {
            line.split('|')
                .nth(4)
                .is_none_or(|reason| reason.trim().is_empty())
        })
        .collect();
    assert!(without.is_empty(), "{without:?}");
    assert!(!items("–").is_empty());
}

#[test]
fn the_rows_hold_over_this_crate() {
    for (name, row) in ours::rows::ROWS {
        println!("{name}");
        row();
    }
}

#[test]
fn the_rows_hold_over_std() {
    for (name, row) in stds::rows::ROWS {
        println!("{name}");
        row();
    }
}
