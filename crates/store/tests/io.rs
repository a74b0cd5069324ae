//! What every [`Io`] does, run against each of them; and what is special about one.

mod behaviour;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use behaviour::{code, content};
use heddle_store::io::{Io, IoErrorCode, MemoryIo, NativeIo, OpenMode, PowerLossIo};

/// A directory that is removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("heddle-io-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn every_store_behaves() {
    let scratch = Scratch::new();
    let stores: [Box<dyn Io>; 3] = [
        Box::new(MemoryIo::new()),
        Box::new(PowerLossIo::new()),
        Box::new(NativeIo::open(&scratch.0).unwrap()),
    ];
    for (name, behaviour) in behaviour::ALL {
        for io in &stores {
            println!("{name}: {io:?}");
            behaviour(&**io);
            behaviour::clear(&**io);
            assert_eq!(io.list("").unwrap(), []);
        }
    }
}

#[test]
fn the_name_of_an_open_file_is_free_once_it_is_removed() {
    let scratch = Scratch::new();
    let stores: [Box<dyn Io>; 2] = [
        Box::new(MemoryIo::new()),
        Box::new(NativeIo::open(&scratch.0).unwrap()),
    ];
    for io in stores {
        let old = io.open("file", OpenMode::CreateNew).unwrap();
        io.write_at(old, 0, b"old").unwrap();
        io.remove("file").unwrap();
        let new = io.open("file", OpenMode::CreateNew).unwrap();
        io.write_at(new, 0, b"newer").unwrap();
        assert_eq!((io.size(old).unwrap(), io.size(new).unwrap()), (3, 5));
        io.close(old).unwrap();
        io.close(new).unwrap();
    }
}

#[test]
fn a_crash_keeps_what_was_synced_and_nothing_else_for_sure() {
    let io = PowerLossIo::new();
    let file = io.open("dir/synced", OpenMode::CreateNew).unwrap();
    io.write_at(file, 0, b"old old old!").unwrap();
    io.sync(file).unwrap();
    io.write_at(file, 0, b"NEW NEW NEW!").unwrap();
    let unsynced = io.open("dir/unsynced", OpenMode::CreateNew).unwrap();
    io.write_at(unsynced, 0, b"gone").unwrap();

    let mut outcomes = HashMap::new();
    for seed in 0..300 {
        let after = io.crash(seed);
        assert_eq!(after.list("").unwrap(), [("dir/synced".to_owned(), 12)]);
        let bytes = content(&after, "dir/synced");
        let torn = bytes
            .iter()
            .zip(b"old old old!")
            .zip(b"NEW NEW NEW!")
            .all(|((is, old), new)| is == old || is == new);
        assert!(torn, "bytes from nowhere: {bytes:?}");
        assert_eq!(
            content(&io.crash(seed), "dir/synced"),
            bytes,
            "a seed replays"
        );
        *outcomes.entry(bytes).or_insert(0) += 1;
    }
    assert!(outcomes[b"old old old!".as_slice()] > 20);
    assert!(outcomes[b"NEW NEW NEW!".as_slice()] > 20);
    assert!(outcomes.len() > 4, "no torn write: {outcomes:?}");
}

#[test]
fn power_can_be_cut_and_calls_can_fail() {
    let io = PowerLossIo::new();
    let file = io.open("file", OpenMode::CreateNew).unwrap(); // operation 1
    io.fail_at(3, IoErrorCode::Other);
    io.write_at(file, 0, b"one").unwrap(); // 2
    assert_eq!(code(io.write_at(file, 0, b"two")), Some(IoErrorCode::Other)); // 3: without effect
    assert_eq!(content(&io, "file"), b"one");
    io.sync(file).unwrap(); // 4
    io.cut_after(4);
    assert!(!io.is_cut());
    assert!(io.write_at(file, 0, b"six").is_err()); // cut in the middle
    assert!(io.is_cut());
    let mut buffer = [0; 3];
    assert!(io.read_at(file, 0, &mut buffer).is_err());
    assert!(io.exists("file").is_err());
    let survivors: std::collections::HashSet<_> = (0..50)
        .map(|seed| content(&io.crash(seed), "file"))
        .collect();
    assert!(
        survivors.contains(b"one".as_slice()) && survivors.contains(b"six".as_slice()),
        "{survivors:?}"
    );
}

#[test]
fn a_full_disk_refuses_and_keeps_what_it_has() {
    let io = PowerLossIo::new();
    let file = io.open("file", OpenMode::CreateNew).unwrap();
    io.set_capacity(Some(10));
    io.write_at(file, 0, b"0123456789").unwrap();
    assert_eq!(
        code(io.write_at(file, 8, b"xyz")),
        Some(IoErrorCode::NoSpace)
    );
    assert_eq!(code(io.truncate(file, 11)), Some(IoErrorCode::NoSpace));
    io.write_at(file, 7, b"789").unwrap();
    assert_eq!(content(&io, "file"), b"0123456789");
}

#[test]
fn removals_may_return_where_directories_cannot_be_synced() {
    let io = PowerLossIo::new();
    let file = io.open("file", OpenMode::CreateNew).unwrap();
    io.sync(file).unwrap();
    io.close(file).unwrap();
    io.set_removals_may_return(true);
    io.remove("file").unwrap();
    let returned = (0..50)
        .filter(|&seed| io.crash(seed).exists("file").unwrap())
        .count();
    assert!(0 < returned && returned < 50, "{returned} of 50");
}

#[test]
fn a_directory_belongs_to_one_store() {
    let scratch = Scratch::new();
    let first = NativeIo::open(&scratch.0).unwrap();
    assert_eq!(code(NativeIo::open(&scratch.0)), Some(IoErrorCode::Locked));
    assert_eq!(
        first.list("").unwrap(),
        [],
        "the lock is no file of the store"
    );
    assert!(first.open("heddle.lock", OpenMode::OrCreate).is_err());
    drop(first);
    NativeIo::open(&scratch.0).unwrap();
}

/// Runs the test `name` of this binary in another process, with the store's directory in `HEDDLE_TEST_ROOT`.
fn this_test(name: &str, scratch: &Scratch) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("HEDDLE_TEST_ROOT", &scratch.0);
    command
}

fn inherited_root() -> PathBuf {
    PathBuf::from(std::env::var_os("HEDDLE_TEST_ROOT").expect("HEDDLE_TEST_ROOT names a directory"))
}

/// Holds a store open for its parent process until that kills it.
#[test]
#[ignore = "run in a process of its own by a_killed_process_leaves_no_lock"]
fn child_holds_a_store() {
    let root = inherited_root();
    let _io = NativeIo::open(root).unwrap();
    println!("held");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_killed_process_leaves_no_lock() {
    use std::io::{BufRead, BufReader};
    let scratch = Scratch::new();
    let mut child = this_test("child_holds_a_store", &scratch)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map_while(Result::ok)
            .any(|line| line.contains("held"))
    );
    assert_eq!(code(NativeIo::open(&scratch.0)), Some(IoErrorCode::Locked));
    child.kill().unwrap();
    child.wait().unwrap();
    NativeIo::open(&scratch.0).unwrap();
}

/// Runs as a user who may not write the directory.
#[test]
#[ignore = "run in a process of its own by a_directory_without_permission_is_told"]
fn child_may_not_write() {
    let root = inherited_root();
    assert_eq!(
        code(NativeIo::open(&root)),
        Some(IoErrorCode::PermissionDenied)
    );
    assert_eq!(
        code(NativeIo::open(root.join("below"))),
        Some(IoErrorCode::PermissionDenied)
    );
}

#[cfg(unix)]
#[test]
fn a_directory_without_permission_is_told() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let scratch = Scratch::new();
    std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o555)).unwrap();
    // The test binary must be reachable for the other user: a hard link or copy beside the directory.
    let reachable = Scratch::new();
    std::fs::set_permissions(&reachable.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = reachable.0.join("io-test");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut child = Command::new(binary);
    child
        .args(["--exact", "child_may_not_write", "--ignored"])
        .env("HEDDLE_TEST_ROOT", &scratch.0);
    // Nothing is forbidden to root, so root steps down.
    if std::fs::metadata(&scratch.0).unwrap().uid() == 0 {
        child.uid(NOBODY).gid(NOBODY);
    }
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_store_is_shared_as_one_trait_object() {
    let io: heddle_store::io::SharedIo = Arc::new(MemoryIo::new());
    let other = Arc::clone(&io);
    std::thread::spawn(move || other.open("x", OpenMode::CreateNew).map(drop))
        .join()
        .unwrap()
        .unwrap();
    assert!(io.exists("x").unwrap());
}
