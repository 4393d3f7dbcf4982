//! ARCHITECTURE.md is what the imports say: the modules and their arrows, that
//! arrows go down the floors, that files form no circle, and where `unsafe` is.
//! What tests alone use does not count.

mod circles;
mod page;
mod resolve;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use page::Page;
use source::Tree;

/// The floors of the engine, from the ground up: each uses only those before it.
const FLOORS: [&str; 7] = [
    "kernel",
    "memory",
    "xsk",
    "steering",
    "runtime",
    "message",
    "impairment",
];

/// Folders whose files still use each other. To be emptied, and never added to.
const TANGLED: [&str; 0] = [];

/// Files that a floor below still uses. To be emptied, and never added to.
const USED_FROM_BELOW: [&str; 0] = [];

/// The files that each file uses, by paths from the crate's `src`.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> Page {
    Page::read(&repository().join("ARCHITECTURE.md"))
}

fn uses_of(root: &str) -> Uses {
    resolve::uses(&Tree::read(&repository().join(root)))
}

/// The engine's files, read once for all tests.
fn engine() -> &'static Uses {
    static USES: LazyLock<Uses> = LazyLock::new(|| uses_of("engine/src/lib.rs"));
    &USES
}

/// The floor of a file; `lib.rs` is on none.
fn floor(file: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| *floor == folder(file))
}

/// The first part of a file's path.
fn folder(file: &str) -> &str {
    file.split_once('/').map_or(file, |(folder, _)| folder)
}

fn fail_with(what: &str, lines: &[String]) {
    assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
}

#[test]
fn every_file_is_on_a_floor() {
    let outside = engine().keys().filter(|file| floor(file).is_none());

    let lines: Vec<_> = outside.filter(|file| *file != "lib.rs").cloned().collect();
    fail_with("files of engine/src that are on none of the floors", &lines);
}

#[test]
fn arrows_go_down_the_floors() {
    let mut lines = Vec::new();
    for (file, used) in engine().iter().filter(|(file, _)| floor(file).is_some()) {
        let up = used.iter().filter(|used| floor(used) > floor(file));
        let up = up.filter(|used| !USED_FROM_BELOW.contains(&used.as_str()));
        lines.extend(up.map(|used| format!("{file} uses {used}")));
    }

    fail_with("files that use a floor above their own", &lines);
}

#[test]
fn files_of_the_engine_form_no_circle() {
    let is_known = |circle: &String| {
        let mut tangled = TANGLED.iter();
        tangled.any(|folder| circle.split(" → ").all(|file| file.starts_with(folder)))
    };

    let (known, lines): (Vec<_>, Vec<_>) = circles::find(engine()).into_iter().partition(is_known);
    known.iter().for_each(|circle| println!("known: {circle}"));
    fail_with("files of engine/src that use each other", &lines);
}

#[test]
fn files_and_folders_of_the_command_form_no_circle() {
    let files = uses_of("cli/src/main.rs");
    let mut folders = Uses::new();
    for (file, used) in &files {
        let others = used.iter().map(|used| folder(used));
        let others = others.filter(|other| *other != folder(file));
        let known = folders.entry(folder(file).to_owned()).or_default();
        known.extend(others.map(str::to_owned));
    }

    let lines = [circles::find(&files), circles::find(&folders)].concat();
    fail_with("files and folders of cli/src that use each other", &lines);
}

#[test]
fn files_of_the_testbed_form_no_circle() {
    let lines = circles::find(&uses_of("tests/harness/src/lib.rs"));

    fail_with("files of tests/harness/src that use each other", &lines);
}

#[test]
fn table_of_modules_is_what_the_imports_say() {
    let lines = page().differences(engine());

    fail_with("the table of modules in ARCHITECTURE.md", &lines);
}

#[test]
fn unsafe_code_is_where_the_page_says() {
    let mut files = BTreeSet::new();
    source::files_below(&repository().join("engine/src"), &mut |path, text| {
        if text.contains("unsafe_code") {
            files.insert(format!("engine/src/{path}"));
        }
    });
    let written = page().unsafe_modules();

    let unlisted = files.difference(&written).map(|file| format!("+ {file}"));
    let stale = written.difference(&files).map(|file| format!("- {file}"));
    let lines: Vec<_> = unlisted.chain(stale).collect();
    fail_with("the list of unsafe modules in ARCHITECTURE.md", &lines);
}
