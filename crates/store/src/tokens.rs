//! The words of SQL text, and the name that a statement about an object of a schema begins with.

/// The words of a statement.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

/// A word of a statement, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// As it is written.
    pub text: &'a str,
    /// The byte that it begins at.
    pub start: usize,
}

impl Token<'_> {
    /// Whether it is this word, in whatever case.
    pub fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    /// The name that it means.
    pub fn unquoted(&self) -> String {
        let (Some(first), Some(last)) = (self.text.chars().next(), self.text.chars().last()) else {
            return String::new();
        };
        match (first, last) {
            ('"' | '\'' | '`', _) if first == last && self.text.len() >= 2 => {
                let doubled = format!("{first}{first}");
                self.text[1..self.text.len() - 1].replace(&doubled, &first.to_string())
            }
            ('[', ']') => self.text[1..self.text.len() - 1].to_owned(),
            _ => self.text.to_owned(),
        }
    }
}

/// The byte of the first word of `sql` behind `from` whose name a message ends with, or has in quotes.
pub fn place_of_named(message: &str, sql: &str, from: usize) -> Option<usize> {
    let mut tokens = Tokens::new(&sql[from..]);
    std::iter::from_fn(|| tokens.next_token())
        .find(|token| {
            let name = token.unquoted();
            !name.is_empty()
                && (message.ends_with(&format!(": {name}"))
                    || message.contains(&format!("\"{name}\"")))
        })
        .map(|token| from + token.start)
}

/// What stands behind `CREATE TABLE`, `DROP VIEW` and their kin: `[IF [NOT] EXISTS] [schema.]name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The schema, where one is named.
    pub schema: Option<String>,
    /// Whether it says IF EXISTS or IF NOT EXISTS.
    pub has_if: bool,
    /// The byte that the schema begins at, or the name where none is named.
    pub start: usize,
    /// The byte that the name itself begins at.
    pub name_start: usize,
    /// The byte behind the name.
    pub end: usize,
}

impl Named {
    /// Whether it says `main`, `temp` or no schema: Tonbo tables and what belongs to them can be meant by all three.
    pub fn is_ours(&self) -> bool {
        self.is_in("main") || self.is_in("temp")
    }

    /// Whether it says this schema, or none.
    pub fn is_in(&self, schema: &str) -> bool {
        let named = self.schema.as_ref();
        named.is_none_or(|named| named.eq_ignore_ascii_case(schema))
    }
}

impl<'a> Tokens<'a> {
    /// The words of `text`, from its start.
    pub fn new(text: &'a str) -> Tokens<'a> {
        Tokens { text, at: 0 }
    }

    /// The byte behind the last token.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next token: a word, a number, a quoted name or string, or one other character. Space and comments are passed over.
    pub fn next_token(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let skipped = if trimmed.starts_with("--") {
                trimmed.find('\n').map_or(trimmed.len(), |end| end + 1)
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                break;
            };
            self.at += skipped;
        }
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let length = match first {
            '"' | '\'' | '`' => quoted_length(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            _ if first.is_ascii_digit() => number_length(rest),
            _ if first.is_alphanumeric() || first == '_' => rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let token = Token {
            text: &rest[..length],
            start: self.at,
        };
        self.at += length;
        Some(token)
    }

    /// The token that comes next, without passing over it.
    pub fn peek(&self) -> Option<Token<'a>> {
        let mut ahead = *self;
        ahead.next_token()
    }

    /// The name of what a statement makes, drops or changes.
    pub fn named(&mut self) -> Option<Named> {
        let mut first = self.next_token()?;
        let has_if = first.is("IF");
        if has_if {
            if self.peek()?.is("NOT") {
                self.next_token()?;
            }
            self.expect("EXISTS")?;
            first = self.next_token()?;
        }
        let is_qualified = self.peek().is_some_and(|token| token.text == ".");
        let (schema, name) = if is_qualified {
            self.next_token()?;
            (Some(first.unquoted()), self.next_token()?)
        } else {
            (None, first)
        };
        Some(Named {
            name: name.unquoted(),
            schema,
            has_if,
            start: first.start,
            name_start: name.start,
            end: self.at,
        })
    }

    /// Passes over `word`; `None` where another one stands.
    pub fn expect(&mut self, word: &str) -> Option<()> {
        self.next_token()?.is(word).then_some(())
    }
}

/// The length of a number that begins with a digit, with its fraction and exponent.
fn number_length(text: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    let mut end = 0;
    loop {
        end += text[end..]
            .find(|c| !is_part(c))
            .unwrap_or(text.len() - end);
        let is_hexadecimal = text[..end].starts_with("0x") || text[..end].starts_with("0X");
        let in_exponent = !is_hexadecimal && text[..end].ends_with(['e', 'E']);
        let sign = text[end..].starts_with(['+', '-']);
        if !(in_exponent && sign) {
            return end;
        }
        end += 1;
    }
}

/// The length of a quoted token, a doubled quote being part of it.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(found) = text[at..].find(quote) {
        at += found + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}
