//! The main thread's requests, served by SQL threads: MessagePack maps over a byte channel each way.
//!
//! Each SQL thread has a channel for requests, one for responses, and a session. A request has an `id` above 0 and an `op`; every response
//! bears the id, and `done` or `error` is its last. A SQL thread whose responses nobody takes waits: that is the back-pressure. It ends when
//! its request channel is closed.
//!
//! A message longer than its channel takes travels in pieces, each behind two bytes: [`PIECE`], which begins no MessagePack value, and 1, or
//! 0 on the last piece.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use heddle_channel::bytes::{Receiver, SendTimeoutError, Sender};
use serde::{Deserialize, Serialize};

use crate::activity::Activity;
use crate::commit::log::Durability;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::import::{self, ImportOptions};
use crate::io::{MemoryIo, SharedIo};
use crate::offending_key::OffendingKey;
use crate::parameters::Parameters;
use crate::recovery::{Damage, Recovery};
use crate::session::{Outcome, Session, Sink};
use crate::statement::Statement;
use crate::store::{Store, StoreOptions};
use crate::value::Value;

/// The first byte of a piece of a long message.
pub const PIECE: u8 = 0xC1;

/// The location of a database that lives in memory.
pub const IN_MEMORY: &str = "memory:";

/// Bytes of rows that are sent as one message, at most: less where the caller asked for fewer rows.
const BATCH_SIZE: usize = 256 * 1024;

/// How often a thread whose responses nobody takes looks for an interrupt.
const SEND_PATIENCE: Duration = Duration::from_millis(20);

/// What the SQL threads of one database share.
#[derive(Default)]
pub struct Service {
    store: Mutex<Option<Arc<Store>>>,
}

/// A request; which fields it has depends on its `op`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    id: u32,
    op: String,
    location: String,
    cache_bytes: Option<f64>,
    memory_bytes: Option<f64>,
    durability: String,
    recovery: String,
    sql: String,
    params: Option<WireParameters>,
    batch_rows: Option<f64>,
    address: u64,
    size: u64,
    table: String,
    format: Option<String>,
    row_number: Option<String>,
    rows: Option<f64>,
    create: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WireParameters {
    Positional(Vec<Value>),
    Named(BTreeMap<String, Value>),
}

/// A response; empty fields are not sent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    id: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_rowid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<BTreeMap<&'static str, f64>>,
    /// What opening went on without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<Damage>,
    /// Why the mover's last round failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    mover_failure: Option<StoreError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<StoreErrorCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlite_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a OffendingKey>,
}

/// A SQL thread.
pub struct Server {
    service: Arc<Service>,
    activity: Arc<Activity>,
    requests: Receiver,
    responses: Sender,
    session: Option<Session>,
}

impl Server {
    /// A SQL thread on its channels.
    pub fn new(
        service: Arc<Service>,
        activity: Arc<Activity>,
        requests: Receiver,
        responses: Sender,
    ) -> Server {
        Server {
            service,
            activity,
            requests,
            responses,
            session: None,
        }
    }

    /// Serves until the request channel is closed.
    pub fn run(mut self) {
        let mut pieces = Vec::new();
        while let Ok(message) = self.requests.recv() {
            let whole = match message[..] {
                [PIECE, more, ref piece @ ..] => {
                    pieces.extend_from_slice(piece);
                    if more == 1 {
                        continue;
                    }
                    std::mem::take(&mut pieces)
                }
                _ => message,
            };
            if self.answer(&whole).is_err() {
                return; // nobody takes responses any more
            }
        }
    }

    /// Runs a request and sends its last response. An error is one of the channel.
    fn answer(&mut self, message: &[u8]) -> Result<(), Unsent> {
        let request: Request = match rmp_serde::from_slice(message) {
            Ok(request) => request,
            Err(_) => {
                // What is wrong with it would be told with the values in it.
                let error = StoreError::new(StoreErrorCode::Misuse, "a request cannot be read");
                return self.fail(0, &error);
            }
        };
        let id = request.id;
        self.activity.begin(id);
        // The main thread may have given the request up before it was read.
        let outcome = if self.activity.is_interrupted() {
            Err(Unsent::Interrupted.into())
        } else {
            heddle_thread::keep_reserve();
            catch_unwind(AssertUnwindSafe(|| self.dispatch(request)))
                .unwrap_or_else(|payload| Err(StoreError::of_panic("the request", &*payload)))
        };
        self.activity.end();
        match outcome {
            Ok(mut done) => {
                done.id = id;
                done.kind = "done";
                self.port(id).send(&done)
            }
            Err(error) => self.fail(id, &error),
        }
    }

    fn fail(&self, id: u32, error: &StoreError) -> Result<(), Unsent> {
        self.port(id).send(&Response {
            id,
            kind: "error",
            code: Some(error.code),
            message: Some(&error.message),
            sqlite_code: error.sqlite_code,
            offset: error.offset,
            key: error.key.as_deref(),
            ..Response::default()
        })
    }

    fn dispatch(&mut self, request: Request) -> StoreResult<Response<'static>> {
        let is_call = matches!(
            &*request.op,
            "query" | "import" | "reset" | "restore" | "stats"
        );
        if is_call && self.session.is_none() {
            // There was no memory for another when the one before could not be left.
            self.attach()?;
        }
        match request.op.as_str() {
            "open" => {
                let mut options = StoreOptions::default();
                if let Some(size) = request.cache_bytes {
                    options.cache_size = size as usize;
                }
                if let Some(size) = request.memory_bytes {
                    options.memory_size = size as usize;
                }
                if request.durability == "relaxed" {
                    options.durability = Durability::Relaxed;
                }
                if request.recovery == "salvage" {
                    options.recovery = Recovery::Salvage;
                }
                let io = open_location(&request.location)?;
                let store = Store::open(io, &options)?;
                self.session = Some(Session::open(&store, self.activity.clone())?);
                let damage = store.damage.clone();
                *self.service.store() = Some(store);
                Ok(Response {
                    damage,
                    ..Response::default()
                })
            }
            "attach" => {
                self.attach()?;
                Ok(Response::default())
            }
            "query" => self.query(request),
            "import" => self.import(request),
            "alloc" => {
                let buffer = zeroed(request.size as usize)?;
                Ok(Response {
                    address: Some(Box::into_raw(buffer).cast::<u8>() as u64),
                    ..Response::default()
                })
            }
            "free" => {
                // SAFETY: the main thread gives back, once, what `alloc` gave it, with the same size.
                drop(unsafe { take_buffer(request.address, request.size) });
                Ok(Response::default())
            }
            "reset" | "restore" => {
                let rolled_back = self.session()?.is_in_transaction();
                if self.leave(request.op == "restore").is_err() {
                    self.session = None;
                    self.attach()?;
                }
                Ok(Response {
                    rolled_back: Some(rolled_back),
                    ..Response::default()
                })
            }
            "stats" => {
                let store = self.session()?.store();
                Ok(Response {
                    stats: Some(store.figures()),
                    mover_failure: store.mover.failure(),
                    ..Response::default()
                })
            }
            "close" => {
                self.session = None;
                let store = self.service.store().take();
                if let Some(store) = store {
                    store.close()?;
                }
                Ok(Response::default())
            }
            other => Err(StoreError::new(
                StoreErrorCode::Misuse,
                format!("unknown operation {other:?}"),
            )),
        }
    }

    fn query(&self, request: Request) -> StoreResult<Response<'static>> {
        let parameters = match request.params {
            Some(WireParameters::Named(values)) => Parameters::Named(values),
            Some(WireParameters::Positional(values)) => Parameters::Positional(values),
            None => Parameters::none(),
        };
        let rows_max = request.batch_rows.unwrap_or(1024.0) as usize;
        let mut rows = RowBatches {
            port: self.port(request.id),
            rows_max,
            body: Vec::new(),
            count: 0,
            has_columns: false,
        };
        let Outcome {
            changes,
            last_insert_rowid,
        } = self.session()?.run(&request.sql, &parameters, &mut rows)?;
        if !rows.has_columns {
            rows.columns(Vec::new())?;
        }
        rows.flush()?;
        Ok(Response {
            changes: Some(changes),
            last_insert_rowid: Some(last_insert_rowid),
            ..Response::default()
        })
    }

    fn import(&self, request: Request) -> StoreResult<Response<'static>> {
        let source = SharedBytes {
            address: request.address,
            size: request.size,
        };
        let options = ImportOptions {
            table: request.table,
            format: request.format,
            row_number: request.row_number,
            rows: request.rows.map(|rows| rows as u64),
            batch_rows: request.batch_rows.map(|rows| rows as usize),
            create: request.create,
        };
        let port = self.port(request.id);
        let rows = import::run(
            self.session()?,
            Bytes::from_owner(source),
            &options,
            &mut |progress| {
                let response = Response {
                    id: port.id,
                    kind: "progress",
                    rows: Some(progress.rows),
                    rows_total: progress.rows_total,
                    ..Response::default()
                };
                port.send(&response).map_err(StoreError::from)
            },
        )?;
        Ok(Response {
            rows: Some(rows),
            ..Response::default()
        })
    }

    fn attach(&mut self) -> StoreResult<()> {
        let store = self.service.store().clone().ok_or_else(not_open)?;
        self.session = Some(Session::open(&store, self.activity.clone())?);
        Ok(())
    }

    /// Ends what calls have left on the thread. Where that fails, for want of memory say, the session is not for the next call: it would be in the
    /// transaction of another, acknowledged and never committed.
    fn leave(&self, restores: bool) -> StoreResult<()> {
        let leave = || {
            let session = self.session()?;
            session.reset()?;
            match restores {
                true => session.restore_settings(),
                false => Ok(()),
            }
        };
        catch_unwind(AssertUnwindSafe(leave))
            .unwrap_or_else(|payload| Err(StoreError::of_panic("the end of a call", &*payload)))
    }

    fn session(&self) -> StoreResult<&Session> {
        self.session.as_ref().ok_or_else(not_open)
    }

    fn port(&self, id: u32) -> Port<'_> {
        Port {
            id,
            responses: &self.responses,
            activity: &self.activity,
        }
    }
}

impl Service {
    fn store(&self) -> MutexGuard<'_, Option<Arc<Store>>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_open() -> StoreError {
    StoreError::new(StoreErrorCode::Closed, "the database is not open")
}

fn open_location(location: &str) -> StoreResult<SharedIo> {
    if location == IN_MEMORY {
        return Ok(Arc::new(MemoryIo::new()));
    }
    // The I/O thread was told the directory when it was started.
    #[cfg(target_arch = "wasm32")]
    let io: SharedIo = Arc::new(crate::io::HostIo::new());
    #[cfg(not(target_arch = "wasm32"))]
    let io: SharedIo = Arc::new(crate::io::NativeIo::open(location)?);
    Ok(io)
}

/// A buffer for a file to import, if there is room for it.
fn zeroed(size: usize) -> StoreResult<Box<[u8]>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(size).map_err(|_| {
        StoreError::new(
            StoreErrorCode::OutOfMemory,
            format!(
                "there is no room for a file of {} MiB in memory: import it in parts",
                size >> 20
            ),
        )
    })?;
    buffer.resize(size, 0);
    Ok(buffer.into_boxed_slice())
}

/// # Safety
/// `address` and `size` must be those of a buffer that the operation `alloc` gave away, and nobody may use it any more.
unsafe fn take_buffer(address: u64, size: u64) -> Box<[u8]> {
    let slice = std::ptr::slice_from_raw_parts_mut(address as usize as *mut u8, size as usize);
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(slice) }
}

/// A file's bytes in shared memory, which the main thread keeps until the import has ended.
struct SharedBytes {
    address: u64,
    size: u64,
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the main thread has filled the buffer that `alloc` gave it, and neither changes nor frees it before the response.
        unsafe {
            std::slice::from_raw_parts(self.address as usize as *const u8, self.size as usize)
        }
    }
}

/// A response that could not be sent.
enum Unsent {
    /// The main thread has closed the channel.
    Closed,
    /// The request was interrupted while the channel was full.
    Interrupted,
}

impl From<Unsent> for StoreError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Closed => {
                StoreError::new(StoreErrorCode::Closed, "the database has been closed")
            }
            Unsent::Interrupted => StoreError::new(StoreErrorCode::Interrupted, "interrupted"),
        }
    }
}

/// Where the responses to one request go.
struct Port<'a> {
    id: u32,
    responses: &'a Sender,
    activity: &'a Activity,
}

impl Port<'_> {
    fn send(&self, response: &Response<'_>) -> Result<(), Unsent> {
        match rmp_serde::to_vec_named(response) {
            Ok(message) => self.send_bytes(&message),
            // Writing to memory fails for no value of this type.
            Err(_) => Err(Unsent::Closed),
        }
    }

    fn send_bytes(&self, message: &[u8]) -> Result<(), Unsent> {
        let size_max = self.responses.max_message_len();
        if message.len() <= size_max {
            return self.send_piece(message);
        }
        let count = message.len().div_ceil(size_max - 2);
        for (index, part) in message.chunks(size_max - 2).enumerate() {
            let mut piece = Vec::with_capacity(part.len() + 2);
            piece.extend_from_slice(&[PIECE, u8::from(index + 1 < count)]);
            piece.extend_from_slice(part);
            // A message whose first piece is sent must be sent to its end.
            loop {
                match self.send_piece(&piece) {
                    Err(Unsent::Interrupted) if index > 0 => {}
                    Ok(()) => break,
                    Err(unsent) => return Err(unsent),
                }
            }
        }
        Ok(())
    }

    fn send_piece(&self, piece: &[u8]) -> Result<(), Unsent> {
        loop {
            match self.responses.send_timeout(piece, SEND_PATIENCE) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::TimedOut) if self.activity.is_interrupted() => {
                    return Err(Unsent::Interrupted);
                }
                Err(SendTimeoutError::TimedOut) => {}
                Err(SendTimeoutError::Closed | SendTimeoutError::TooLong(_)) => {
                    return Err(Unsent::Closed);
                }
            }
        }
    }
}

/// Rows on their way to the main thread, in batches.
struct RowBatches<'a> {
    port: Port<'a>,
    /// Rows of a batch; 0: rows are dropped.
    rows_max: usize,
    body: Vec<u8>,
    count: usize,
    has_columns: bool,
}

impl RowBatches<'_> {
    fn flush(&mut self) -> StoreResult<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut message = Vec::with_capacity(self.body.len() + 32);
        let head = (|| {
            rmp::encode::write_map_len(&mut message, 3)?;
            rmp::encode::write_str(&mut message, "id")?;
            rmp::encode::write_uint(&mut message, self.port.id.into())?;
            rmp::encode::write_str(&mut message, "type")?;
            rmp::encode::write_str(&mut message, "rows")?;
            rmp::encode::write_str(&mut message, "rows")?;
            rmp::encode::write_array_len(&mut message, self.count as u32).map(drop)
        })();
        head.map_err(unwritten)?;
        message.append(&mut self.body);
        self.count = 0;
        Ok(self.port.send_bytes(&message)?)
    }
}

impl Sink for RowBatches<'_> {
    fn columns(&mut self, names: Vec<String>) -> StoreResult<()> {
        if self.rows_max == 0 {
            return Ok(());
        }
        if std::mem::replace(&mut self.has_columns, true) {
            let message = "more than one statement returns rows: ask them one by one";
            return Err(StoreError::new(StoreErrorCode::Misuse, message));
        }
        Ok(self.port.send(&Response {
            id: self.port.id,
            kind: "columns",
            names: Some(names),
            ..Response::default()
        })?)
    }

    fn row(&mut self, statement: &Statement) -> StoreResult<()> {
        if self.rows_max == 0 {
            return Ok(());
        }
        let columns = statement.column_count();
        rmp::encode::write_array_len(&mut self.body, columns as u32).map_err(unwritten)?;
        for column in 0..columns {
            statement.write_value(column, &mut self.body)?;
        }
        self.count += 1;
        if self.count >= self.rows_max || self.body.len() >= BATCH_SIZE {
            self.flush()?;
        }
        Ok(())
    }
}

fn unwritten(error: rmp::encode::ValueWriteError) -> StoreError {
    StoreError::new(
        StoreErrorCode::EngineFailed,
        format!("a message cannot be written: {error}"),
    )
}
