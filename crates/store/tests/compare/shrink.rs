//! Makes a failure smaller.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use heddle_store::store::StoreOptions;

use super::episode::Episode;
use super::world::{Step, World};

/// How long a failure is made smaller.
const SHRINKING: Duration = Duration::from_secs(60);

/// What failed, with as few steps before it as were found.
pub fn report(seed: u64, episode: Episode, failure: String) -> String {
    let Episode { options, steps, .. } = episode;
    let (steps, failure) = shrink(&options, steps, failure);
    let mut text = format!("HEDDLE_SEED={seed} fails; {options:?}\n");
    for step in &steps {
        let _ = match step {
            Step::Make(table) if table.is_tonbo => {
                writeln!(text, "{};  -- {}", table.tonbo_ddl(), table.ordinary_ddl())
            }
            Step::Make(table) => writeln!(text, "{};", table.ordinary_ddl()),
            Step::Run(statement) => {
                writeln!(text, "{};  -- {:?}", statement.sql, statement.parameters)
            }
            other => writeln!(text, "-- {other:?}"),
        };
    }
    text + &failure
}

/// Leaves out steps as long as the last one still fails.
pub fn shrink(
    options: &StoreOptions,
    mut steps: Vec<Step>,
    mut failure: String,
) -> (Vec<Step>, String) {
    let start = Instant::now();
    let replay = |steps: &[Step]| -> Option<String> {
        let (last, before) = steps.split_last()?;
        let mut world = World::new(options);
        for step in before {
            world.apply(step).ok()?;
        }
        world.apply(last).err()
    };
    // Queries change nothing.
    let writes: Vec<Step> = {
        let count = steps.len();
        let is_kept = |(position, step): &(usize, Step)| {
            *position + 1 == count
                || !matches!(step, Step::Run(statement) if statement.writes.is_none() && (statement.sql.starts_with("SELECT") || statement.sql.starts_with("WITH")))
        };
        steps
            .iter()
            .cloned()
            .enumerate()
            .filter(is_kept)
            .map(|(_, step)| step)
            .collect()
    };
    if let Some(found) = replay(&writes) {
        (steps, failure) = (writes, found);
    }
    let mut size = steps.len() / 2;
    while size > 0 && start.elapsed() < SHRINKING {
        let mut at = 0;
        while at + size < steps.len() && start.elapsed() < SHRINKING {
            let mut fewer = steps.clone();
            fewer.drain(at..at + size);
            // A table that is missing fails on its own.
            let makes = |steps: &[Step]| {
                steps
                    .iter()
                    .filter(|step| matches!(step, Step::Make(_)))
                    .count()
            };
            let shrunk = (makes(&fewer) == makes(&steps))
                .then(|| replay(&fewer))
                .flatten();
            match shrunk {
                Some(found) => (steps, failure) = (fewer, found),
                None => at += size,
            }
        }
        size /= 2;
    }
    (steps, failure)
}
