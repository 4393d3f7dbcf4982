//! What ARCHITECTURE.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::Uses;

/// The cell of a module that uses none of the others.
const NONE: &str = "–";

pub(crate) struct Page {
    text: String,
}

/// A row of the table of modules.
struct Row<'a> {
    name: &'a str,
    what: &'a str,
    uses: BTreeSet<&'a str>,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        Self { text }
    }

    /// The lines between two marks.
    fn between(&self, name: &str) -> impl Iterator<Item = &str> {
        let begin = format!("<!-- {name}: begin -->");
        let end = format!("<!-- {name}: end -->");
        let after = self.text.split_once(&begin).map(|(_, after)| after);
        let inside = after.and_then(|after| after.split_once(&end));
        let (inside, _) = inside.unwrap_or_else(|| panic!("ARCHITECTURE.md has no `{begin}`"));
        inside.lines()
    }

    /// Files of the list of unsafe modules.
    pub(crate) fn unsafe_modules(&self) -> BTreeSet<String> {
        let files = self.between("unsafe modules").filter_map(|line| {
            let (file, _) = line.strip_prefix("- `")?.split_once('`')?;
            Some(file.to_owned())
        });
        files.collect()
    }

    /// The rows of the table of modules.
    fn rows(&self) -> Vec<Row<'_>> {
        let rows = self.between("modules").filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (name, what, uses) = (cells.next()?, cells.next()?, cells.next()?);
            let name = name.strip_prefix('`')?.strip_suffix('`')?;
            let uses = uses.split(',').map(|used| used.trim().trim_matches('`'));
            let uses = uses.filter(|used| *used != NONE).collect();
            Some(Row { name, what, uses })
        });
        rows.collect()
    }

    /// Rows that are not what `uses` says: with `-` as they are, with `+` as they
    /// should be.
    pub(crate) fn differences(&self, uses: &Uses) -> Vec<String> {
        let rows = self.rows();
        let names: Vec<_> = rows.iter().map(|row| row.name).collect();
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut lines = Vec::new();
        for (file, used) in uses.iter().filter(|(file, _)| *file != "lib.rs") {
            let Some(module) = module_of(file, &names) else {
                lines.push(format!("{file} is in no module of the table"));
                continue;
            };
            let used = used.iter().filter_map(|used| module_of(used, &names));
            let others = used.filter(|used| *used != module);
            found.entry(module).or_default().extend(others);
        }
        for row in &rows {
            match found.get(row.name) {
                Some(uses) if *uses == row.uses => {}
                Some(uses) => {
                    lines.push(format!("- {}", line(row, &row.uses, &names)));
                    lines.push(format!("+ {}", line(row, uses, &names)));
                }
                None => lines.push(format!("- {}", line(row, &row.uses, &names))),
            }
        }
        lines
    }
}

/// The module of a file: the one with the longest name that is the file's path, or
/// a folder in it.
fn module_of<'a>(file: &str, modules: &[&'a str]) -> Option<&'a str> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let is_in = |module: &&str| {
        let rest = path.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mine = modules.iter().copied().filter(is_in);
    mine.max_by_key(|module| module.len())
}

/// A row of the table with these uses, in the order of the table.
fn line(row: &Row<'_>, uses: &BTreeSet<&str>, names: &[&str]) -> String {
    let unknown = uses.iter().filter(|used| !names.contains(used));
    let in_order = names.iter().filter(|name| uses.contains(*name));
    let quoted: Vec<_> = in_order
        .chain(unknown)
        .map(|used| format!("`{used}`"))
        .collect();
    let uses = match quoted.as_slice() {
        [] => NONE.to_owned(),
        quoted => quoted.join(", "),
    };
    format!("| `{}` | {} | {uses} |", row.name, row.what)
}
