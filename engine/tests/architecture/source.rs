//! The source as modules: what each defines, what it imports, and the paths it
//! writes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItem, Item, ItemUse, Macro, UseTree, Visibility};

/// Segments of a path.
pub(crate) type Segments = Vec<String>;

/// A module, inline ones included.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Its file, by its path from the crate's `src`.
    pub(crate) file: String,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// Names of the items that it defines.
    pub(crate) items: BTreeSet<String>,
    /// Names that it imports or re-exports, and from where.
    pub(crate) imports: BTreeMap<String, Vec<Segments>>,
    /// Modules of which it imports all names.
    pub(crate) globs: Vec<Segments>,
    /// Paths that use something: those of imports, not of re-exports, and those in
    /// the code.
    pub(crate) paths: BTreeSet<Segments>,
}

/// A crate's modules; the first is its root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
}

impl Tree {
    /// The crate whose root is the file at `root`, without what is for tests only.
    pub(crate) fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        let source = root.parent().expect("a file is in a folder").to_owned();
        tree.read_file(root, &source, &source, None);
        tree
    }

    /// Adds the module in `path`, whose children are in `children`.
    fn read_file(
        &mut self,
        path: &Path,
        children: &Path,
        source: &Path,
        parent: Option<usize>,
    ) -> usize {
        let text = fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        let file: File = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("{} is not Rust: {error}", path.display()));
        let name = path.strip_prefix(source).expect("it is below the root");
        let name = name.to_str().expect("names are ASCII").to_owned();
        self.read_items(&file.items, name, children, source, parent)
    }

    fn read_items(
        &mut self,
        items: &[Item],
        file: String,
        children: &Path,
        source: &Path,
        parent: Option<usize>,
    ) -> usize {
        let this = self.modules.len();
        self.modules.push(Module {
            file: file.clone(),
            parent,
            ..Module::default()
        });
        for item in items {
            let Item::Mod(module) = item else {
                self.modules[this].visit_item(item);
                continue;
            };
            if is_for_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let below = children.join(&name);
            let child = match &module.content {
                Some((_, items)) => {
                    self.read_items(items, file.clone(), &below, source, Some(this))
                }
                None => {
                    let beside = children.join(format!("{name}.rs"));
                    let inside = below.join("mod.rs");
                    let path: PathBuf = if beside.exists() { beside } else { inside };
                    self.read_file(&path, &below, source, Some(this))
                }
            };
            self.modules[this].children.insert(name, child);
        }
        this
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, mut prefix: Segments, is_reexport: bool) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.import(&path.tree, prefix, is_reexport);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix.clone(), is_reexport);
                }
            }
            UseTree::Glob(_) => self.globs.push(prefix),
            UseTree::Name(name) => {
                self.import_as(name.ident.to_string(), None, prefix, is_reexport)
            }
            UseTree::Rename(rename) => {
                let alias = rename.rename.to_string();
                self.import_as(rename.ident.to_string(), Some(alias), prefix, is_reexport);
            }
        }
    }

    fn import_as(
        &mut self,
        name: String,
        alias: Option<String>,
        mut path: Segments,
        is_reexport: bool,
    ) {
        if name != "self" {
            path.push(name);
        }
        let Some(name) = alias.or_else(|| path.last().cloned()) else {
            return;
        };
        if !is_reexport {
            self.paths.insert(path.clone());
        }
        self.imports.entry(name).or_default().push(path);
    }

    /// Paths among the tokens of a macro.
    fn read_tokens(&mut self, text: &str) {
        let mut path = Segments::new();
        let mut joined = false;
        for token in tokens(text) {
            if token == "::" {
                joined = true;
                continue;
            }
            if !joined {
                self.add_path(std::mem::take(&mut path));
            }
            joined = false;
            if token.starts_with(|first: char| first.is_alphabetic() || first == '_') {
                path.push(token.to_owned());
            } else {
                self.add_path(std::mem::take(&mut path));
            }
        }
        self.add_path(path);
    }

    fn add_path(&mut self, path: Segments) {
        if !path.is_empty() {
            self.paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name): (&[Attribute], _) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Union(item) => (&item.attrs, Some(&item.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            _ => (&[], None),
        };
        if is_for_tests(attributes) {
            return;
        }
        self.items.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, Segments::new(), is_reexport);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.add_path(segments.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        self.read_tokens(&called.tokens.to_string());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// Whether `cfg(test)`, or `cfg(all(test, …))`, is among the attributes.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let conditions = attributes.iter().filter_map(|attribute| {
        let list = attribute.meta.require_list().ok()?;
        list.path.is_ident("cfg").then(|| list.tokens.to_string())
    });
    conditions
        .map(|condition| condition.replace(' ', ""))
        .any(|condition| condition == "test" || condition.starts_with("all(test,"))
}

/// Words, `::` and single characters of a macro's tokens, without literals.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            ':' if rest.starts_with("::") => 2,
            _ if first.is_alphanumeric() || first == '_' => rest
                .find(|next: char| !next.is_alphanumeric() && next != '_')
                .unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Calls `each` for all Rust files below a folder, with path and text.
pub(crate) fn files_below(folder: &Path, each: &mut impl FnMut(&str, &str)) {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder of the source") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let name = path.strip_prefix(folder).expect("it is below");
                each(name.to_str().expect("names are ASCII"), &text);
            }
        }
    }
}
