//! The formats in which a run is shown.

use std::io::{self, IsTerminal};

use super::json::Json;
use super::renderer::Renderer;
use super::table::{SetupLines, Table};

use crate::printable;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: one object per line.
    Json,
}

impl Format {
    /// The format that `--json` selects.
    pub fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }

    /// The renderer of this format, on standard output.
    pub fn renderer(self) -> Box<dyn Renderer> {
        match self {
            Self::Json => Box::new(Json::new(printable::stdout())),
            Self::Table => {
                let lines = if io::stdout().is_terminal() {
                    SetupLines::Broken
                } else {
                    SetupLines::Whole
                };
                Box::new(Table::new(printable::stdout(), lines))
            }
        }
    }
}
