//! What SQLite's messages quote while a statement runs.
//!
//! Before it runs, a message quotes the SQL text. While it runs, a few quote what a function or a table was given: a parameter, or a value of a
//! row. Messages go into logs and to strangers, so the quotation is cut off – unless the SQL text has it, which is its caller's own.

/// How the messages begin that end with what was given.
const QUOTING: [&str; 8] = [
    "bad JSON path: ",
    "not an array element: ",
    "fts5: syntax error near ",
    "unknown special query: ",
    "unable to open database: ",
    // Of a full text search, whose conditions are text of their own.
    "no such column: ",
    "no such function: ",
    "no such database: ",
];

/// A message of SQLite's about a statement that was running.
pub fn without_values(message: String, sql: &str) -> String {
    for start in QUOTING {
        if let Some(quoted) = message.strip_prefix(start)
            && !sql.contains(quoted.trim_matches(['\'', '"']))
        {
            return start.trim_end_matches([':', ' ']).to_owned();
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_stays_where_the_sql_text_has_it() {
        let message = || "bad JSON path: 'b'".to_owned();
        let told = |sql: &str| without_values(message(), sql);
        assert_eq!(told("SELECT json_extract(a, 'b')"), message());
        assert_eq!(told("SELECT json_extract(a, ?)"), "bad JSON path");
        let other = "UNIQUE constraint failed: t.a".to_owned();
        assert_eq!(without_values(other.clone(), ""), other);
    }
}
