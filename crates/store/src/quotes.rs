//! What SQLite's messages quote.
//!
//! Before a statement runs, a message quotes a token of the SQL text, which may be a string. While it runs, a few quote what a function or a table
//! was given: a parameter, or a value of a row. Messages go into logs and to strangers, so such a quotation is cut off – that of a running
//! statement's unless the SQL text has it, which is its caller's own.

/// How the messages begin that end with what was given.
const QUOTING: [&str; 13] = [
    "bad JSON path: ",
    "not an array element: ",
    "fts5: syntax error near ",
    "unknown special query: ",
    "unable to open database: ",
    // Of a full text search, whose conditions are text of their own.
    "no such column: ",
    "no such function: ",
    "no such database: ",
    "parse error in rank function: ",
    // Of a file's name for ATTACH.
    "no such vfs: ",
    "no such access mode: ",
    "no such cache mode: ",
    "invalid uri authority: ",
];

/// What a token of the SQL text stands behind in a message, and the characters that begin one which is more than a word: a name in quotes is
/// unrecognized where it lacks the last of them, and goes on to the text's end.
const TOKENS: [(&str, &[char]); 2] = [
    ("near \"", &['\'']),
    ("unrecognized token: \"", &['\'', '"', '`', '[']),
];

/// A message of SQLite's about the text of a statement.
pub fn without_strings(message: String) -> String {
    for (start, quotes) in TOKENS {
        let Some(token) = message.strip_prefix(start) else {
            continue;
        };
        // A BLOB's begins with an x.
        let quote = token.strip_prefix(['x', 'X']).unwrap_or(token);
        if let Some(quote) = quote.chars().next().filter(|char| quotes.contains(char)) {
            let end = message.strip_suffix("\": syntax error");
            let end = end.map_or("\"", |_| "\": syntax error");
            return format!("{start}{quote}…{end}");
        }
    }
    message
}

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
    fn of_a_text_a_word_is_told() {
        for (told, message) in [
            (
                "near \"'…\": syntax error",
                "near \"'hunter2 pass'\": syntax error",
            ),
            (
                "near \"'…\": syntax error",
                "near \"x'1234'\": syntax error",
            ),
            (
                "unrecognized token: \"'…\"",
                "unrecognized token: \"'hunter2\"",
            ),
            (
                "unrecognized token: \"\"…\"",
                "unrecognized token: \"\"a FROM b\"",
            ),
            ("near \"FORM\": syntax error", "near \"FORM\": syntax error"),
            ("near \"xs\": syntax error", "near \"xs\": syntax error"),
            ("unrecognized token: \"1x\"", "unrecognized token: \"1x\""),
        ] {
            assert_eq!(without_strings(message.to_owned()), told);
        }
    }

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
