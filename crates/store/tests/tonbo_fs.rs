//! Tonbo's file system and executor over our files: compare-and-swap, durability, loss of power, tasks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusio::executor::{Executor, JoinHandle, Timer};
use fusio::fs::{CasCondition, Fs, FsCas, OpenOptions};
use fusio::path::Path;
use fusio::{Error, Read, Write};
use fusio_manifest::ObjectHead;
use futures::TryStreamExt;
use heddle_store::io::{Io, IoErrorCode, MemoryIo, OpenMode, PowerLossIo};
use heddle_store::tonbo::executor::{TonboExecutor, block_on};
use heddle_store::tonbo::fs::TonboFs;

fn open(io: &Arc<PowerLossIo>) -> TonboFs {
    TonboFs::open(io.clone(), "tonbo").unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn put(fs: &TonboFs, name: &str, payload: &[u8], condition: CasCondition) -> Result<String, Error> {
    block_on(fs.put_conditional(&path(name), payload, None, None, condition))
}

fn get(fs: &TonboFs, name: &str) -> Option<(Vec<u8>, String)> {
    block_on(fs.load_with_tag(&path(name))).unwrap()
}

fn list(fs: &TonboFs, directory: &str) -> Vec<(String, u64)> {
    block_on(async {
        let metas: Vec<_> = fs
            .list(&path(directory))
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        metas
            .into_iter()
            .map(|meta| (meta.path.to_string(), meta.size))
            .collect()
    })
}

fn write(fs: &TonboFs, name: &str, options: OpenOptions, bytes: &[u8]) -> fusio::fs::FileMeta {
    block_on(async {
        let mut file = fs.open_options(&path(name), options).await.unwrap();
        file.write_all(bytes.to_vec()).await.0.unwrap();
        file.close().await.unwrap();
        fusio::fs::FileMeta {
            path: path(name),
            size: file.size().await.unwrap(),
        }
    })
}

fn read(fs: &TonboFs, name: &str) -> Vec<u8> {
    block_on(async {
        let mut file = fs.open(&path(name)).await.unwrap();
        let (outcome, bytes) = file.read_to_end_at(Vec::new(), 0).await;
        outcome.unwrap();
        bytes
    })
}

fn create() -> OpenOptions {
    OpenOptions::default().create(true)
}

#[test]
fn a_put_is_done_only_under_its_condition() {
    let fs = open(&Arc::default());
    assert!(get(&fs, "t/HEAD").is_none());
    let wrong = put(&fs, "t/HEAD", b"0", CasCondition::IfMatch("x".to_owned()));
    assert!(matches!(wrong, Err(Error::PreconditionFailed)));
    let first = put(&fs, "t/HEAD", b"1", CasCondition::IfNotExists).unwrap();
    assert!(matches!(
        put(&fs, "t/HEAD", b"2", CasCondition::IfNotExists),
        Err(Error::PreconditionFailed)
    ));
    assert_eq!(get(&fs, "t/HEAD"), Some((b"1".to_vec(), first.clone())));
    let second = put(&fs, "t/HEAD", b"2", CasCondition::IfMatch(first.clone())).unwrap();
    assert_ne!(first, second);
    assert!(matches!(
        put(&fs, "t/HEAD", b"3", CasCondition::IfMatch(first)),
        Err(Error::PreconditionFailed)
    ));
    assert_eq!(get(&fs, "t/HEAD"), Some((b"2".to_vec(), second)));
    assert_eq!(list(&fs, "t"), [("t/HEAD".to_owned(), 1)]);
    assert_eq!(read(&fs, "t/HEAD"), b"2", "an object can be opened");
    block_on(fs.remove(&path("t/HEAD"))).unwrap();
    assert!(get(&fs, "t/HEAD").is_none());
}

#[test]
fn of_racing_swaps_one_wins() {
    let fs = open(&Arc::default());
    put(&fs, "counter", b"0", CasCondition::IfNotExists).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut done = 0;
                while done < 100 {
                    let (bytes, tag) = get(&fs, "counter").unwrap();
                    let next: u32 = String::from_utf8(bytes).unwrap().parse::<u32>().unwrap() + 1;
                    match put(
                        &fs,
                        "counter",
                        next.to_string().as_bytes(),
                        CasCondition::IfMatch(tag),
                    ) {
                        Ok(_) => done += 1,
                        Err(Error::PreconditionFailed) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(get(&fs, "counter").unwrap().0, b"400");
}

#[test]
fn objects_outlive_the_process_and_leases_do_not() {
    let io = Arc::new(PowerLossIo::new());
    let fs = open(&io);
    let metadata = vec![("x-amz-meta-fusio-txn-id".to_owned(), "7".to_owned())];
    let seg = path("t/seg-1.json");
    block_on(fs.put_conditional(&seg, b"{}", None, Some(metadata), CasCondition::IfNotExists))
        .unwrap();
    let tag = put(&fs, "t/HEAD", b"head", CasCondition::IfNotExists).unwrap();
    put(
        &fs,
        "t/leases/lease-1.json",
        b"lease",
        CasCondition::IfNotExists,
    )
    .unwrap();
    put(&fs, "t/gone", b"gone", CasCondition::IfNotExists).unwrap();
    block_on(fs.remove(&path("t/gone"))).unwrap();
    assert_eq!(
        list(&fs, "t/leases"),
        [("t/leases/lease-1.json".to_owned(), 5)]
    );
    let operations = io.operation_count();
    put(
        &fs,
        "t/leases/lease-2.json",
        b"lease",
        CasCondition::IfNotExists,
    )
    .unwrap();
    get(&fs, "t/HEAD").unwrap();
    assert_eq!(
        io.operation_count(),
        operations,
        "leases and reads don't touch the disk"
    );
    drop(fs);

    let fs = open(&Arc::new(io.crash(1)));
    let head = block_on(fs.head_metadata(&seg)).unwrap().unwrap();
    assert_eq!(
        head,
        HashMap::from([("x-amz-meta-fusio-txn-id".to_owned(), "7".to_owned())])
    );
    let (bytes, new_tag) = get(&fs, "t/HEAD").unwrap();
    assert_eq!(bytes, b"head");
    assert_ne!(tag, new_tag, "caches of a process are keyed by tags");
    assert_eq!(list(&fs, "t").len(), 2);
}

/// Objects by path, and what a call that failed wanted to make of one (`None`: to remove it).
type History = (BTreeMap<String, Vec<u8>>, Option<(String, Option<Vec<u8>>)>);

/// Puts and removes objects until the disk fails; returns what was acknowledged, and what the last, failed call wanted.
fn swap_history(io: &Arc<PowerLossIo>, count: u32) -> History {
    let mut acknowledged = BTreeMap::new();
    let Ok(fs) = TonboFs::open(io.clone(), "tonbo") else {
        return (acknowledged, None);
    };
    for step in 0..count {
        let name = format!("t/object-{}", step % 5);
        let payload = vec![step as u8; (step * 13_577 % 90_000) as usize];
        let Ok(before) = block_on(fs.load_with_tag(&path(&name))) else {
            return (acknowledged, None);
        };
        let (wanted, outcome) = match before {
            Some(_) if step % 11 == 7 => (None, block_on(fs.remove(&path(&name)))),
            Some((_, tag)) => {
                let outcome = put(&fs, &name, &payload, CasCondition::IfMatch(tag)).map(drop);
                (Some(payload), outcome)
            }
            None => {
                let outcome = put(&fs, &name, &payload, CasCondition::IfNotExists).map(drop);
                (Some(payload), outcome)
            }
        };
        match (outcome, wanted) {
            (Err(_), wanted) => return (acknowledged, Some((name, wanted))),
            (Ok(()), Some(payload)) => drop(acknowledged.insert(name, payload)),
            (Ok(()), None) => drop(acknowledged.remove(&name)),
        }
    }
    (acknowledged, None)
}

#[test]
fn an_overwritten_head_survives_a_power_cut_old_or_new_and_whole() {
    const STEPS: u32 = 60;
    let whole = Arc::new(PowerLossIo::new());
    swap_history(&whole, STEPS);
    let logs: Vec<_> = whole.list("tonbo/objects").unwrap();
    assert!(
        logs.iter().all(|(_, size)| *size < 2 << 20),
        "the log is rewritten: {logs:?}"
    );
    for cut in 0..whole.operation_count() {
        let io = Arc::new(PowerLossIo::new());
        io.cut_after(cut);
        let (acknowledged, failed) = swap_history(&io, STEPS);
        for seed in [cut, cut + 5000, cut + 10_000] {
            let fs = TonboFs::open(Arc::new(io.crash(seed)), "tonbo")
                .unwrap_or_else(|error| panic!("{cut} {seed}: {error}"));
            let found: BTreeMap<_, _> = list(&fs, "")
                .into_iter()
                .map(|(name, _)| (name.clone(), get(&fs, &name).unwrap().0))
                .collect();
            let mut with_failed = acknowledged.clone();
            match &failed {
                Some((name, Some(payload))) => {
                    drop(with_failed.insert(name.clone(), payload.clone()))
                }
                Some((name, None)) => drop(with_failed.remove(name)),
                None => {}
            }
            assert!(
                found == acknowledged || found == with_failed,
                "cut after {cut}, seed {seed}"
            );
        }
    }
}

#[test]
fn a_flipped_byte_in_the_object_log_is_told() {
    let io = Arc::new(MemoryIo::new());
    let fs = TonboFs::open(io.clone(), "tonbo").unwrap();
    for number in 0..5 {
        put(
            &fs,
            &format!("t/{number}"),
            b"payload",
            CasCondition::IfNotExists,
        )
        .unwrap();
    }
    drop(fs);
    let (log, size) = io
        .list("tonbo/objects")
        .unwrap()
        .into_iter()
        .max_by_key(|(_, size)| *size)
        .unwrap();
    let file = io.open(&log, OpenMode::Existing).unwrap();
    let mut damaged_count = 0;
    for at in 0..size {
        let mut byte = [0];
        io.read_at(file, at, &mut byte).unwrap();
        io.write_at(file, at, &[byte[0] ^ 0x10]).unwrap();
        match TonboFs::open(io.clone(), "tonbo") {
            Err(error) => {
                assert!(error.message.contains("damaged"), "{error}");
                damaged_count += 1;
            }
            // The last record can't be told from one that a loss of power tore; padding carries nothing.
            Ok(fs) => assert!(list(&fs, "t").len() >= 4, "byte {at}"),
        }
        io.write_at(file, at, &byte).unwrap();
    }
    assert!(damaged_count > 200, "{damaged_count} of {size}");
}

#[test]
fn a_failed_put_changes_nothing_and_the_next_succeeds() {
    let whole = Arc::new(PowerLossIo::new());
    swap_history(&whole, 12);
    for number in 1..=whole.operation_count() {
        let io = Arc::new(PowerLossIo::new());
        io.fail_at(number, IoErrorCode::NoSpace);
        let fs = TonboFs::open(io.clone(), "tonbo")
            .or_else(|_| TonboFs::open(io.clone(), "tonbo"))
            .unwrap();
        for step in 0..12u8 {
            let before = get(&fs, "head");
            let condition = || match &before {
                Some((_, tag)) => CasCondition::IfMatch(tag.clone()),
                None => CasCondition::IfNotExists,
            };
            if let Err(error) = put(&fs, "head", &[step; 100], condition()) {
                let Error::Io(error) = error else {
                    panic!("{error}")
                };
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                assert_eq!(get(&fs, "head"), before);
                put(&fs, "head", &[step; 100], condition()).unwrap();
            }
        }
        drop(fs);
        assert_eq!(
            get(&open(&Arc::new(io.crash(number))), "head").unwrap().0,
            [11; 100]
        );
    }
}

/// A put whose sync failed was refused, and yet its whole record stood in the log: the next opening found it – after the files that it named
/// had been removed, because nothing was known to name them.
#[test]
fn a_refused_put_does_not_come_back_once_a_file_was_removed() {
    // A log segment has no checksums in the object log, so that its removal writes nothing there.
    let io = Arc::new(PowerLossIo::new());
    let fs = open(&io);
    write(&fs, "t/0.tonwal", create(), b"rows");
    // A put is a write and a sync.
    io.fail_at(io.operation_count() + 2, IoErrorCode::Other);
    put(&fs, "t/HEAD", b"names rows", CasCondition::IfNotExists).unwrap_err();
    assert!(get(&fs, "t/HEAD").is_none());
    block_on(fs.remove(&path("t/0.tonwal"))).unwrap();
    drop(fs);
    for seed in 0..8 {
        assert!(get(&open(&Arc::new(io.crash(seed))), "t/HEAD").is_none());
    }
    assert!(get(&open(&io), "t/HEAD").is_none());
}

/// A rewrite of the log whose sync failed left a whole log with a higher generation in the other file: the next opening took that one, and
/// what had been acknowledged since – a removal, for one – was undone.
#[test]
fn a_failed_rewrite_undoes_nothing() {
    // The removal is the last call: a put would rewrite the log again.
    let history = |io: &Arc<PowerLossIo>, steps: u8| {
        let fs = TonboFs::open(io.clone(), "tonbo")
            .or_else(|_| TonboFs::open(io.clone(), "tonbo"))
            .unwrap();
        let set = |name: &str, payload: &[u8]| {
            let condition = || match get(&fs, name) {
                Some((_, tag)) => CasCondition::IfMatch(tag),
                None => CasCondition::IfNotExists,
            };
            if put(&fs, name, payload, condition()).is_err() {
                put(&fs, name, payload, condition()).unwrap();
            }
        };
        set("t/old", b"");
        for step in 0..steps {
            set("head", &vec![step; 200 << 10]);
        }
        if block_on(fs.remove(&path("t/old"))).is_err() {
            block_on(fs.remove(&path("t/old"))).unwrap();
        }
    };
    for steps in 5..9 {
        let whole = Arc::new(PowerLossIo::new());
        history(&whole, steps);
        for number in 1..=whole.operation_count() {
            let io = Arc::new(PowerLossIo::new());
            io.fail_at(number, IoErrorCode::NoSpace);
            history(&io, steps);
            for io in [Arc::new(io.crash(number)), io] {
                let fs = open(&io);
                assert_eq!(get(&fs, "head").unwrap().0[0], steps - 1, "call {number}");
                assert_eq!(list(&fs, "t"), [], "{steps} steps, call {number}");
            }
        }
    }
}

/// Parquet's readers look at no checksum: flipped bytes of an SST were wrong rows.
#[test]
fn a_damaged_or_shortened_file_is_told_whatever_part_is_read() {
    let io = Arc::new(MemoryIo::new());
    let content: Vec<u8> = (0..200_000u32).map(|byte| (byte * 7 / 3) as u8).collect();
    let fs = TonboFs::open(io.clone(), "tonbo").unwrap();
    write(&fs, "t/1.parquet", create(), &content[..150_000]);
    // Written on by another handle, which is allowed as long as the file is open.
    write(&fs, "t/1.parquet", create(), &content[150_000..]);
    assert_eq!(read(&fs, "t/1.parquet"), content);
    assert_eq!(list(&fs, "t"), [("t/1.parquet".to_owned(), 200_000)]);
    drop(fs);
    let part = |offset: u64, size: usize| {
        let fs = TonboFs::open(io.clone(), "tonbo").unwrap();
        block_on(async {
            let mut file = fs.open(&path("t/1.parquet")).await.unwrap();
            let (outcome, bytes) = file.read_exact_at(vec![0; size], offset).await;
            outcome.map(|()| bytes)
        })
    };
    for (offset, size) in [(0, 1), (65_535, 2), (100_000, 100_000), (199_999, 1)] {
        let expected = &content[offset as usize..][..size];
        assert_eq!(part(offset, size).unwrap(), expected);
    }
    let file = io.open("tonbo/t/1.parquet", OpenMode::Existing).unwrap();
    for at in [0u64, 65_536, 131_071, 199_999] {
        let byte = content[at as usize];
        io.write_at(file, at, &[byte ^ 1]).unwrap();
        let error = part(at / 65_536 * 65_536, 1).unwrap_err().to_string();
        assert!(error.contains("t/1.parquet: Damaged"), "{error}");
        let elsewhere = (at + 70_000) % 200_000;
        assert_eq!(part(elsewhere, 1).unwrap(), [content[elsewhere as usize]]);
        io.write_at(file, at, &[byte]).unwrap();
    }
    io.truncate(file, 199_000).unwrap();
    assert!(part(0, 1).is_err());
}

#[test]
fn files_append_and_readers_see_what_is_not_flushed() {
    let io = Arc::new(PowerLossIo::new());
    let fs = open(&io);
    block_on(async {
        assert!(
            matches!(fs.open(&path("t/wal")).await, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound)
        );
        let mut writer = fs
            .open_options(&path("t/wal"), create().read(false))
            .await
            .unwrap();
        writer.write_all(&b"abc"[..]).await.0.unwrap();
        let mut reader = fs.open(&path("t/wal")).await.unwrap();
        assert_eq!(reader.size().await.unwrap(), 3);
        assert!(reader.write_all(&b"no"[..]).await.0.is_err());
        writer.flush().await.unwrap();
        writer.write_all(&b"defgh"[..]).await.0.unwrap();
        let (outcome, bytes) = reader.read_exact_at(vec![0; 4], 1).await;
        outcome.unwrap();
        assert_eq!(bytes, b"bcde", "across the flushed and the buffered part");
        let (outcome, _) = reader.read_exact_at(vec![0; 4], 6).await;
        assert!(
            matches!(outcome, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof)
        );
        // A second writer appends to the same end.
        let mut second = fs
            .open_options(&path("t/wal"), create().read(false))
            .await
            .unwrap();
        second.write_all(&b"i"[..]).await.0.unwrap();
        assert_eq!(list(&fs, "t"), [("t/wal".to_owned(), 9)]);
    });
    // What was not flushed may be gone, what was flushed may not.
    let crashed = read(&open(&Arc::new(io.crash(3))), "t/wal");
    assert!(crashed.starts_with(b"abc"), "{crashed:?}");
    assert_eq!(read(&fs, "t/wal"), b"abcdefghi");
}

#[test]
fn a_large_file_is_written_in_large_parts() {
    let io = Arc::new(PowerLossIo::new());
    let fs = open(&io);
    let before = io.operation_count();
    block_on(async {
        let mut file = fs
            .open_options(&path("t/1.parquet"), create().truncate(true))
            .await
            .unwrap();
        for part in 0..1000u32 {
            file.write_all(vec![part as u8; 1000]).await.0.unwrap();
        }
        file.close().await.unwrap();
    });
    assert!(
        io.operation_count() - before < 10,
        "{}",
        io.operation_count() - before
    );
    let bytes = read(&open(&Arc::new(io.crash(0))), "t/1.parquet");
    assert_eq!(bytes.len(), 1_000_000);
    assert!(
        bytes
            .chunks(1000)
            .enumerate()
            .all(|(part, chunk)| chunk.iter().all(|byte| *byte == part as u8))
    );
}

#[test]
fn shortening_a_torn_segment_risks_nothing_acknowledged() {
    let whole = b"acknowledged".repeat(1000);
    let io = Arc::new(PowerLossIo::new());
    write(
        &open(&io),
        "t/wal",
        create(),
        &[&whole[..], b"torn"].concat(),
    );
    for cut in 0..4 {
        for seed in 0..8 {
            let io = Arc::new(io.crash(0));
            let fs = open(&io);
            io.cut_after(io.operation_count() + cut);
            block_on(async {
                // As Tonbo's recovery does it.
                let Ok(mut file) = fs
                    .open_options(&path("t/wal"), OpenOptions::default().truncate(true))
                    .await
                else {
                    return;
                };
                // Whatever of it fails is what this test is about.
                drop(file.write_all(whole.clone()).await);
                drop(file.flush().await);
            });
            drop(fs);
            let after = read(&open(&Arc::new(io.crash(seed))), "t/wal");
            assert!(
                after.starts_with(&whole),
                "cut after {cut}, seed {seed}: {} bytes",
                after.len()
            );
            if !io.is_cut() {
                assert_eq!(after, whole);
            }
        }
    }
}

#[test]
fn truncation_replaces_a_file() {
    let fs = open(&Arc::default());
    write(&fs, "t/meta", create().truncate(true), b"first and long");
    write(&fs, "t/meta", create().truncate(true), b"second");
    assert_eq!(read(&fs, "t/meta"), b"second");
    assert_eq!(
        get(&fs, "t/meta").unwrap().0,
        b"second",
        "files can be loaded as objects"
    );
    write(&fs, "t/meta", OpenOptions::default().write(true), b" more");
    assert_eq!(read(&fs, "t/meta"), b"second more");
    block_on(fs.copy(&path("t/meta"), &path("t/copy"))).unwrap();
    assert_eq!(read(&fs, "t/copy"), b"second more");
    assert!(block_on(fs.exists(&path("t/copy"))).unwrap());
    block_on(fs.remove(&path("t/copy"))).unwrap();
    assert!(!block_on(fs.exists(&path("t/copy"))).unwrap());
}

#[test]
fn more_files_than_stay_open() {
    let fs = open(&Arc::default());
    for number in 0..300u32 {
        write(&fs, &format!("t/{number}"), create(), &number.to_le_bytes());
    }
    for number in (0..300u32).rev() {
        assert_eq!(read(&fs, &format!("t/{number}")), number.to_le_bytes());
    }
    put(&fs, "t/HEAD", b"head", CasCondition::IfNotExists).unwrap();
    put(&fs, "other/HEAD", b"head", CasCondition::IfNotExists).unwrap();
    assert_eq!(list(&fs, "t").len(), 301);
    fs.remove_all("t").unwrap();
    assert_eq!(list(&fs, ""), [("other/HEAD".to_owned(), 4)]);
}

#[test]
fn a_ready_task_runs_on_the_thread_that_spawns_it() {
    let executor = TonboExecutor::new();
    let here = std::thread::current().id();
    let handle = executor.spawn(async { std::thread::current().id() });
    assert_eq!(block_on(handle.join()).unwrap(), here);
}

#[test]
fn pending_tasks_run_elsewhere_also_without_their_handle() {
    let executor = TonboExecutor::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (wake, woken) = futures::channel::oneshot::channel::<u32>();
    drop(executor.spawn(async move {
        let value = woken.await.unwrap();
        sender.send((value, std::thread::current().id())).unwrap();
    }));
    wake.send(42).unwrap();
    let (value, thread) = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(value, 42);
    assert_ne!(thread, std::thread::current().id());
}

#[test]
fn a_panic_reaches_join_and_harms_no_other_task() {
    let executor = TonboExecutor::new();
    let ready = executor.spawn(async { panic!("at once") as u32 });
    assert!(
        block_on(ready.join())
            .unwrap_err()
            .to_string()
            .contains("at once")
    );
    let timer = executor.clone();
    let later = executor.spawn(async move {
        timer.sleep(Duration::from_millis(1)).await;
        panic!("later {}", 1) as u32
    });
    assert!(
        block_on(later.join())
            .unwrap_err()
            .to_string()
            .contains("later 1")
    );
    let timer = executor.clone();
    let good = executor.spawn(async move {
        timer.sleep(Duration::from_millis(1)).await;
        7
    });
    assert_eq!(block_on(good.join()).unwrap(), 7);
}

#[test]
fn many_sleepers_wake_in_order_of_their_deadlines() {
    let executor = TonboExecutor::new();
    let start = Instant::now();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let handles: Vec<_> = (0..50u64)
        .rev()
        .map(|number| {
            let (timer, order) = (executor.clone(), order.clone());
            executor.spawn(async move {
                timer.sleep(Duration::from_millis(number * 4)).await;
                order.lock().unwrap().push(number);
            })
        })
        .collect();
    for handle in handles {
        block_on(handle.join()).unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(49 * 4));
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 50);
    assert_eq!(order[0], 0);
    assert!(
        order.windows(2).filter(|pair| pair[0] > pair[1]).count() < 10,
        "{order:?}"
    );
}

#[test]
fn tasks_wake_each_other_many_times() {
    let executor = TonboExecutor::new();
    let (to_echo, mut requests) = futures::channel::mpsc::unbounded::<u32>();
    let (answers, mut from_echo) = futures::channel::mpsc::unbounded::<u32>();
    let echo = executor.spawn(async move {
        use futures::StreamExt;
        while let Some(value) = requests.next().await {
            answers.unbounded_send(value + 1).unwrap();
        }
    });
    let asker = executor.spawn(async move {
        use futures::StreamExt;
        let mut value = 0;
        for _ in 0..10_000 {
            to_echo.unbounded_send(value).unwrap();
            value = from_echo.next().await.unwrap();
        }
        value
    });
    assert_eq!(block_on(asker.join()).unwrap(), 10_000);
    block_on(echo.join()).unwrap();
}

#[test]
fn a_dropped_executor_ends_its_tasks() {
    let executor = TonboExecutor::new();
    let timer = executor.clone();
    let never = executor.spawn(async { futures::future::pending::<u32>().await });
    assert!(block_on(never.join()).is_err(), "nobody can wake it");
    drop(timer);
    drop(executor);
}
