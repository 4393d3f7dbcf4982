//! What benchmarks print: a table for people within 80 columns, or one JSON object per
//! line.
//!
//! A [`Row`] is both. Its type names the object and the columns, so the two cannot
//! differ. Heads are printed before the first row, and again when another type of row
//! begins.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::header::Header;
use crate::exit::Failure;
use crate::{printable, stdout};

/// Where a benchmark prints: standard output.
pub struct Output {
    is_json: bool,
    /// Set when standard output has no reader any more, which ends the benchmark.
    stop: Arc<AtomicBool>,
    is_lost: bool,
    /// The type of the row before.
    row_type: &'static str,
}

/// A line of results.
pub trait Row: Serialize {
    /// The `type` of the JSON object.
    const TYPE: &'static str;
    /// Heads of the table's columns, and the width of each where its cells are wider;
    /// with two blanks between them at most 80 columns.
    const COLUMNS: &'static [Column];

    /// A text for each column.
    fn cells(&self) -> Vec<String>;
}

/// A column's head and its least width. The first column is aligned left, the others
/// right.
pub type Column = (&'static str, usize);

/// An object with its type in front.
#[derive(Serialize)]
struct Typed<'a, T> {
    r#type: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl Output {
    /// As a table, or as JSON.
    pub fn new(is_json: bool, stop: Arc<AtomicBool>) -> Self {
        Self {
            is_json,
            stop,
            is_lost: false,
            row_type: "",
        }
    }

    /// Prints what the benchmark runs on.
    pub fn header(&mut self, header: &Header) -> Result<(), Failure> {
        if self.is_json {
            return self.object("header", header);
        }
        let [machine, bed] = header.lines();
        self.print(&format!("{machine}\n{bed}\n"))
    }

    /// Prints a row.
    pub fn row<R: Row>(&mut self, row: &R) -> Result<(), Failure> {
        if self.is_json {
            return self.object(R::TYPE, row);
        }
        let mut text = String::new();
        if self.row_type != R::TYPE {
            self.row_type = R::TYPE;
            let heads = R::COLUMNS.iter().map(|(head, _)| (*head).to_owned());
            text = format!("\n{}\n", line(R::COLUMNS, heads));
        }
        text.push_str(&line(R::COLUMNS, row.cells().into_iter()));
        text.push('\n');
        self.print(&text)
    }

    /// Prints a row of the table; JSON does without.
    pub fn table_row<R: Row>(&mut self, row: &R) -> Result<(), Failure> {
        if self.is_json {
            return Ok(());
        }
        self.row(row)
    }

    /// Prints an object; a table does without.
    pub fn object<T: Serialize>(&mut self, kind: &'static str, object: &T) -> Result<(), Failure> {
        if !self.is_json {
            return Ok(());
        }
        let typed = Typed {
            r#type: kind,
            body: object,
        };
        let text = serde_json::to_string(&typed)
            .map_err(|error| Failure::Run(format!("cannot write JSON: {error}")))?;
        self.print(&format!("{text}\n"))
    }

    /// Each line at once, so that a reader sees it when it is there. A reader that has
    /// seen enough ends the benchmark, as no failure.
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_lost {
            return Ok(());
        }
        let mut out = printable::stdout();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = &written
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            self.is_lost = true;
            self.stop.store(true, Ordering::Relaxed);
        }
        stdout::outcome(written)
    }
}

/// Cells in their columns, two blanks between them.
fn line(columns: &[Column], cells: impl Iterator<Item = String>) -> String {
    let padded = columns.iter().zip(cells).enumerate();
    let padded = padded.map(|(index, (&(head, width), cell))| {
        let width = width.max(head.chars().count());
        if index == 0 {
            format!("{cell:<width$}")
        } else {
            format!("{cell:>width$}")
        }
    });
    let line = padded.collect::<Vec<_>>().join("  ");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_their_heads() {
        let columns: &[Column] = &[("size", 6), ("in place", 0), ("ratio", 0)];
        let heads = columns.iter().map(|(head, _)| (*head).to_owned());
        let cells = ["4096", "1.5 Gbit", "2.8"].map(str::to_owned);

        assert_eq!(line(columns, heads), "size    in place  ratio");
        assert_eq!(line(columns, cells.into_iter()), "4096    1.5 Gbit    2.8");
    }

    #[test]
    fn object_has_its_type_in_front() {
        #[derive(Serialize)]
        struct Result {
            messages: u64,
        }
        let typed = Typed {
            r#type: "summary",
            body: &Result { messages: 3 },
        };

        let text = serde_json::to_string(&typed).expect("JSON");

        assert_eq!(text, r#"{"type":"summary","messages":3}"#);
    }
}
