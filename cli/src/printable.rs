//! Text for a terminal. What files, peers and the kernel's names hold may be made to
//! look like something else, or to give the terminal orders: characters that are not
//! seen are written as their numbers.
//!
//! Everything that is printed goes through here, so that no text is forgotten. A number
//! is written as in JSON, so that JSON stays what it was.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Stderr, Stdout, Write};

/// Standard output, for printable text.
pub fn stdout() -> Printable<Stdout> {
    Printable(io::stdout())
}

/// Standard error, for printable text.
pub fn stderr() -> Printable<Stderr> {
    Printable(io::stderr())
}

/// Another writer, for printable text. A buffer goes below, as it may part characters.
pub fn on<W: Write>(writer: W) -> Printable<W> {
    Printable(writer)
}

/// `text` with characters that are not seen as `\u001b`. Line breaks and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::new(), |mut escaped, c| {
        push(&mut escaped, c);
        escaped
    }))
}

/// `mark`, a line under `text` that points at some of it, for under the printable text.
pub fn printable_mark(text: &str, mark: &str) -> String {
    let mut widths = text.chars().map(|c| {
        let mut escaped = String::new();
        push(&mut escaped, c);
        escaped.chars().count()
    });
    let wide = |c: char| c.to_string().repeat(widths.next().unwrap_or(1));
    mark.chars().map(wide).collect()
}

fn push(text: &mut String, c: char) {
    if is_unseen(c) {
        // All of them fit four digits.
        write!(text, "\\u{:04x}", u32::from(c)).expect("memory takes everything");
    } else {
        text.push(c);
    }
}

/// Orders to a terminal, and characters that change the direction of others, or have no
/// width.
fn is_unseen(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        _ => c.is_control(),
    }
}

/// Writes printable text only.
pub struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is no text passes as it is.
        for chunk in bytes.utf8_chunks() {
            self.0.write_all(printable(chunk.valid()).as_bytes())?;
            self.0.write_all(chunk.invalid())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_are_not_seen_are_written_as_numbers() {
        for (text, printed) in [
            ("plain, ä and 漢字\n\ttoo", "plain, ä and 漢字\n\ttoo"),
            ("\u{1b}[31mred", "\\u001b[31mred"),
            ("a\rb\u{7f}\u{9b}", "a\\u000db\\u007f\\u009b"),
            ("a\u{202e}txt\u{2066}", "a\\u202etxt\\u2066"),
            ("\u{feff}\u{200b}", "\\ufeff\\u200b"),
        ] {
            let mut written = Printable(Vec::new());
            write!(written, "{text}").expect("memory takes it");

            assert_eq!(printable(text), printed);
            assert_eq!(written.0, printed.as_bytes());
        }
    }

    #[test]
    fn json_stays_what_it_was() {
        let name = "\u{1b}a\u{202e}\u{9b}\"";
        let mut written = Printable(Vec::new());

        serde_json::to_writer(&mut written, name).expect("memory takes it");

        let read: String = serde_json::from_slice(&written.0).expect("JSON");
        assert_eq!(read, name);
        assert!(written.0.is_ascii(), "{:?}", written.0);
    }

    #[test]
    fn mark_stays_under_what_it_points_at() {
        let text = "a\u{202e}b c";

        assert_eq!(printable(text), "a\\u202eb c");
        assert_eq!(printable_mark(text, "    ^"), "         ^");
        assert_eq!(printable_mark(text, " ^^"), " ^^^^^^^");
        assert_eq!(printable_mark("ab", "  ^"), "  ^");
    }
}
