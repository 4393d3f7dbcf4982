//! From paths to the files that define what they name, through re-exports.

use crate::Uses;
use crate::source::{Segments, Tree};

/// How many imports may lead from one to the next: more are a circle of them.
const MOST_STEPS: u32 = 32;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Module(usize),
    /// An item, by the module that defines it.
    Item(usize),
}

/// The files that each file of the crate uses.
pub(crate) fn uses(tree: &Tree) -> Uses {
    let mut uses = Uses::new();
    for (module, this) in tree.modules.iter().enumerate() {
        let used = uses.entry(this.file.clone()).or_default();
        let named = this
            .paths
            .iter()
            .filter_map(|path| tree.resolve(module, path, 0));
        let globs = this
            .globs
            .iter()
            .filter_map(|path| tree.resolve(module, path, 0));
        // A module is only the way to what is in it, but for one taken whole.
        let items = named.filter(|named| matches!(named, Named::Item(_)));
        for named in items.chain(globs) {
            let (Named::Item(defined) | Named::Module(defined)) = named;
            let file = &tree.modules[defined].file;
            if *file != this.file {
                used.insert(file.clone());
            }
        }
    }
    uses
}

impl Tree {
    /// What `path`, written in `module`, names in this crate.
    fn resolve(&self, module: usize, path: &[String], steps: u32) -> Option<Named> {
        let (first, rest) = path.split_first()?;
        let parent = |module: usize| self.modules[module].parent;
        match first.as_str() {
            "crate" => self.walk(0, rest, steps),
            "self" => self.walk(module, rest, steps),
            "super" => {
                let mut above = parent(module)?;
                let mut rest = rest;
                while let Some(("super", after)) = rest
                    .split_first()
                    .map(|(first, after)| (first.as_str(), after))
                {
                    above = parent(above)?;
                    rest = after;
                }
                self.walk(above, rest, steps)
            }
            _ => self.walk(module, path, steps),
        }
    }

    /// What `path` names, from inside `module`.
    fn walk(&self, module: usize, path: &[String], steps: u32) -> Option<Named> {
        let Some((first, rest)) = path.split_first() else {
            return Some(Named::Module(module));
        };
        let this = &self.modules[module];
        let is_item = this.items.contains(first);
        if let Some(&child) = this
            .children
            .get(first)
            .filter(|_| !rest.is_empty() || !is_item)
        {
            return self.walk(child, rest, steps);
        }
        if is_item {
            return Some(Named::Item(module));
        }
        if steps == MOST_STEPS {
            return None;
        }
        let sources = this.imports.get(first).into_iter().flatten();
        // An import of an external crate's name resolves to nothing, or to itself.
        let imported = sources
            .filter(|source| source.first() != Some(first))
            .find_map(|source| self.resolve(module, &joined(source, rest), steps + 1));
        imported.or_else(|| {
            let mut globs = this.globs.iter();
            globs.find_map(|glob| self.resolve(module, &joined(glob, path), steps + 1))
        })
    }
}

fn joined(source: &[String], rest: &[String]) -> Segments {
    source.iter().chain(rest).cloned().collect()
}
