//! Decimals in SQL: a connection's collation and functions.

use std::cmp::Ordering;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use rusqlite::ffi;

use super::Decimal;
use crate::error::StoreResult;
use crate::statement::{Handle, bytes, text_of};
use crate::value::Value;

/// Makes the collation and the functions known to a connection.
pub fn register(handle: Handle) -> StoreResult<()> {
    let db = handle.raw();
    let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS;
    let functions: [(&CStr, Function); 4] = [
        (c"decimal_add", x_add),
        (c"decimal_sub", x_sub),
        (c"decimal_mul", x_mul),
        (c"decimal_cmp", x_cmp),
    ];
    for (name, function) in functions {
        // SAFETY: the connection is open, the name ends in NUL, the function is static.
        let code = unsafe {
            ffi::sqlite3_create_function_v2(
                db,
                name.as_ptr(),
                2,
                flags,
                ptr::null_mut(),
                Some(function),
                None,
                None,
                None,
            )
        };
        check(handle, code)?;
    }
    // SAFETY: as above.
    let code = unsafe {
        ffi::sqlite3_create_window_function(
            db,
            c"decimal_sum".as_ptr(),
            1,
            flags,
            ptr::null_mut(),
            Some(x_step),
            Some(x_final),
            Some(x_value),
            Some(x_inverse),
            None,
        )
    };
    check(handle, code)?;
    // SAFETY: as above.
    let code = unsafe {
        ffi::sqlite3_create_collation_v2(
            db,
            c"DECIMAL".as_ptr(),
            ffi::SQLITE_UTF8,
            ptr::null_mut(),
            Some(x_compare),
            None,
        )
    };
    check(handle, code)
}

type Function =
    unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

fn check(handle: Handle, code: c_int) -> StoreResult<()> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(handle.error(code)),
    }
}

/// The number that an argument's text is: `Ok(None)` for NULL, `Err` for what is none.
///
/// # Safety
/// `raw` must be a valid value of SQLite's.
unsafe fn argument(raw: *mut ffi::sqlite3_value) -> Result<Option<Decimal>, ()> {
    // SAFETY: the caller's promise.
    let text = unsafe {
        match ffi::sqlite3_value_type(raw) {
            ffi::SQLITE_NULL => return Ok(None),
            _ => text_of(raw),
        }
    };
    let decimal = match &text {
        Value::Text(text) => Decimal::parse(text),
        _ => None,
    };
    decimal.map(Some).ok_or(())
}

/// # Safety
/// `context` must be a context of SQLite's.
unsafe fn fail(context: *mut ffi::sqlite3_context) {
    const MESSAGE: &CStr = c"not a decimal number";
    // SAFETY: the caller's promise; SQLite copies the message.
    unsafe { ffi::sqlite3_result_error(context, MESSAGE.as_ptr(), -1) };
}

/// # Safety
/// `context` must be a context of SQLite's.
unsafe fn return_decimal(context: *mut ffi::sqlite3_context, decimal: &Decimal) {
    let text = decimal.to_string();
    // SAFETY: the caller's promise; SQLite copies the text.
    unsafe {
        ffi::sqlite3_result_text64(
            context,
            text.as_ptr().cast(),
            text.len() as u64,
            ffi::SQLITE_TRANSIENT(),
            ffi::SQLITE_UTF8 as u8,
        );
    }
}

/// Runs a function of two numbers; NULL where one is.
///
/// # Safety
/// The arguments must be those of a function with two arguments.
unsafe fn of_two(
    context: *mut ffi::sqlite3_context,
    values: *mut *mut ffi::sqlite3_value,
    body: impl FnOnce(Decimal, Decimal),
) {
    // SAFETY: the caller's promise.
    unsafe {
        match (argument(*values), argument(*values.add(1))) {
            (Ok(Some(a)), Ok(Some(b))) => {
                if catch_unwind(AssertUnwindSafe(|| body(a, b))).is_err() {
                    fail(context);
                }
            }
            (Ok(_), Ok(_)) => ffi::sqlite3_result_null(context),
            _ => fail(context),
        }
    }
}

unsafe extern "C" fn x_add(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's own arguments.
    unsafe { of_two(context, values, |a, b| return_decimal(context, &a.add(&b))) }
}

unsafe extern "C" fn x_sub(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's own arguments.
    unsafe {
        of_two(context, values, |a, b| {
            return_decimal(context, &a.add(&b.negated()));
        })
    }
}

unsafe extern "C" fn x_mul(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's own arguments.
    unsafe {
        of_two(context, values, |a, b| {
            return_decimal(context, &a.multiply(&b));
        })
    }
}

unsafe extern "C" fn x_cmp(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's own arguments.
    unsafe {
        of_two(context, values, |a, b| {
            ffi::sqlite3_result_int(context, a.compare(&b) as c_int);
        })
    }
}

/// The sum so far, in memory that SQLite keeps for the aggregate and clears at first; null where there is none and `size` is 0.
///
/// # Safety
/// `context` must be an aggregate's.
unsafe fn sum_so_far(context: *mut ffi::sqlite3_context, size: usize) -> *mut *mut Decimal {
    // SAFETY: the caller's promise.
    unsafe { ffi::sqlite3_aggregate_context(context, size as c_int).cast() }
}

/// # Safety
/// The arguments must be those of a step.
unsafe fn step(
    context: *mut ffi::sqlite3_context,
    values: *mut *mut ffi::sqlite3_value,
    change: impl FnOnce(&Decimal, &Decimal) -> Decimal,
) {
    // SAFETY: the caller's promise; the place is this aggregate's alone, and holds null or what was boxed here.
    unsafe {
        let place = sum_so_far(context, size_of::<*mut Decimal>());
        if place.is_null() {
            return ffi::sqlite3_result_error_nomem(context);
        }
        if (*place).is_null() {
            *place = Box::into_raw(Box::new(Decimal::zero()));
        }
        match argument(*values) {
            Ok(None) => {}
            Ok(Some(value)) => **place = change(&**place, &value),
            Err(()) => fail(context),
        }
    }
}

unsafe extern "C" fn x_step(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's own arguments.
    unsafe { step(context, values, Decimal::add) }
}

unsafe extern "C" fn x_inverse(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's own arguments.
    unsafe { step(context, values, |sum, value| sum.add(&value.negated())) }
}

unsafe extern "C" fn x_value(context: *mut ffi::sqlite3_context) {
    // SAFETY: SQLite's own argument; the place holds null or what `step` boxed.
    unsafe {
        let place = sum_so_far(context, 0);
        if !place.is_null() && !(*place).is_null() {
            return_decimal(context, &**place);
        }
    }
}

unsafe extern "C" fn x_final(context: *mut ffi::sqlite3_context) {
    // SAFETY: as in `x_value`; SQLite calls this once, last.
    unsafe {
        x_value(context);
        let place = sum_so_far(context, 0);
        if !place.is_null() && !(*place).is_null() {
            drop(Box::from_raw(*place));
            *place = ptr::null_mut();
        }
    }
}

/// Numbers by their values; behind them what is none, by its bytes.
unsafe extern "C" fn x_compare(
    _client: *mut c_void,
    a_length: c_int,
    a: *const c_void,
    b_length: c_int,
    b: *const c_void,
) -> c_int {
    // SAFETY: SQLite passes texts of these lengths.
    let (a, b) = unsafe { (bytes(a.cast(), a_length), bytes(b.cast(), b_length)) };
    let number = |bytes| std::str::from_utf8(bytes).ok().and_then(Decimal::parse);
    let order = match (number(a), number(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    };
    order as c_int
}
