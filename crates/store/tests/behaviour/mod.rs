//! What every [`Io`] does. Run natively by `tests/io.rs`, and in WebAssembly on the host's files by the example
//! `store-testing`.

use heddle_store::io::{Io, IoErrorCode, IoResult, OpenMode};

/// Asserts something of a store.
pub type Behaviour = fn(&dyn Io);

/// Every behaviour by its name. Each expects a store without files and may leave some.
pub const ALL: [(&str, Behaviour); 5] = [
    (
        "open_modes_say_what_must_exist",
        open_modes_say_what_must_exist,
    ),
    (
        "reads_and_writes_are_positioned",
        reads_and_writes_are_positioned,
    ),
    ("names_are_listed_and_removed", names_are_listed_and_removed),
    (
        "paths_outside_the_root_are_refused",
        paths_outside_the_root_are_refused,
    ),
    ("four_threads_use_one_store", four_threads_use_one_store),
];

/// The code of an error.
pub fn code<T>(outcome: IoResult<T>) -> Option<IoErrorCode> {
    outcome.err().map(|error| error.code)
}

/// Removes every file.
pub fn clear(io: &dyn Io) {
    for (path, _) in io.list("").unwrap() {
        io.remove(&path).unwrap();
    }
}

/// All bytes of a file.
pub fn content(io: &dyn Io, path: &str) -> Vec<u8> {
    let file = io.open(path, OpenMode::Existing).unwrap();
    let mut bytes = vec![0; io.size(file).unwrap() as usize];
    assert_eq!(io.read_at(file, 0, &mut bytes).unwrap(), bytes.len());
    io.close(file).unwrap();
    bytes
}

fn open_modes_say_what_must_exist(io: &dyn Io) {
    assert_eq!(
        code(io.open("a/b.db", OpenMode::Existing)),
        Some(IoErrorCode::NotFound)
    );
    let file = io.open("a/b.db", OpenMode::CreateNew).unwrap();
    assert_eq!(
        code(io.open("a/b.db", OpenMode::CreateNew)),
        Some(IoErrorCode::AlreadyExists)
    );
    let again = io.open("a/b.db", OpenMode::OrCreate).unwrap();
    assert_ne!(file, again);
    io.write_at(file, 0, b"seen by both").unwrap();
    let mut buffer = [0; 12];
    assert_eq!(io.read_at(again, 0, &mut buffer).unwrap(), 12);
    assert_eq!(&buffer, b"seen by both");
    io.close(file).unwrap();
    io.close(again).unwrap();
    assert_eq!(code(io.close(again)), Some(IoErrorCode::Closed));
    assert_eq!(
        code(io.read_at(again, 0, &mut buffer)),
        Some(IoErrorCode::Closed)
    );
    assert_eq!(content(io, "a/b.db"), b"seen by both");
}

fn reads_and_writes_are_positioned(io: &dyn Io) {
    let file = io.open("file", OpenMode::OrCreate).unwrap();
    io.write_at(file, 6, b"gap").unwrap();
    assert_eq!(io.size(file).unwrap(), 9);
    let mut buffer = [0xff; 16];
    assert_eq!(
        io.read_at(file, 0, &mut buffer).unwrap(),
        9,
        "short at the end"
    );
    assert_eq!(&buffer[..9], b"\0\0\0\0\0\0gap");
    assert_eq!(io.read_at(file, 9, &mut buffer).unwrap(), 0);
    assert_eq!(io.read_at(file, 1 << 40, &mut buffer).unwrap(), 0);
    io.write_at(file, 2, b"over").unwrap();
    assert_eq!(content(io, "file"), b"\0\0overgap");
    io.truncate(file, 4).unwrap();
    io.truncate(file, 6).unwrap();
    assert_eq!(content(io, "file"), b"\0\0ov\0\0");
    io.sync(file).unwrap();
    io.close(file).unwrap();
}

fn names_are_listed_and_removed(io: &dyn Io) {
    for path in ["tables/1/b", "tables/1/a", "tables/10/c", "top"] {
        let file = io.open(path, OpenMode::CreateNew).unwrap();
        io.write_at(file, 0, path.as_bytes()).unwrap();
        io.sync(file).unwrap();
        io.close(file).unwrap();
    }
    let listed = |directory| io.list(directory).unwrap();
    assert_eq!(
        listed("tables/1"),
        [("tables/1/a".to_owned(), 10), ("tables/1/b".to_owned(), 10)]
    );
    assert_eq!(listed("").len(), 4);
    assert_eq!(listed("nowhere"), []);
    assert!(io.exists("top").unwrap());
    assert!(!io.exists("tables").unwrap(), "a directory is no file");
    assert!(!io.exists("top/of").unwrap(), "nothing is below a file");

    // An open handle outlives its name.
    let file = io.open("top", OpenMode::Existing).unwrap();
    io.remove("top").unwrap();
    assert_eq!(code(io.remove("top")), Some(IoErrorCode::NotFound));
    let mut buffer = [0; 3];
    assert_eq!(io.read_at(file, 0, &mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"top");
    io.close(file).unwrap();
    let file = io.open("top", OpenMode::CreateNew).unwrap();
    assert_eq!(io.size(file).unwrap(), 0);
    io.close(file).unwrap();
}

fn paths_outside_the_root_are_refused(io: &dyn Io) {
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a"] {
        assert!(io.open(path, OpenMode::OrCreate).is_err(), "{path:?}");
        assert!(io.remove(path).is_err(), "{path:?}");
    }
}

fn four_threads_use_one_store(io: &dyn Io) {
    let shared = io.open("shared", OpenMode::CreateNew).unwrap();
    heddle_thread::scope(|scope| {
        for thread in 0..4u8 {
            scope.spawn(move || {
                let own = io
                    .open(&format!("own/{thread}"), OpenMode::CreateNew)
                    .unwrap();
                for round in 0..100u64 {
                    io.write_at(shared, (round * 4 + u64::from(thread)) * 8, &[thread; 8])
                        .unwrap();
                    io.write_at(own, round * 8, &[thread; 8]).unwrap();
                }
                io.sync(own).unwrap();
                io.close(own).unwrap();
            });
        }
    });
    io.close(shared).unwrap();
    let bytes = content(io, "shared");
    assert_eq!(bytes.len(), 4 * 100 * 8);
    assert!(
        bytes
            .chunks(8)
            .enumerate()
            .all(|(index, chunk)| chunk == [(index % 4) as u8; 8])
    );
    assert_eq!(io.list("own").unwrap().len(), 4);
}
