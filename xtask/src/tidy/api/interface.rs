//! Public items of a library, by the path under which users find them.

use std::collections::{BTreeMap, BTreeSet};

use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, Meta, TraitItem, Type, UseTree, Visibility};

use super::text::source;
use crate::tidy::program::{Named, Program, Target};
use crate::tidy::syntax::{attributes, defined, is_hidden, only_for_tests};

/// The public interface of a library.
#[derive(Debug, Default)]
pub(super) struct Interface {
    /// One line for each item.
    pub(super) lines: BTreeSet<String>,
    /// Types and traits of dependencies that the items name.
    pub(super) foreign: BTreeSet<String>,
}

impl Interface {
    /// Returns the interface of a library that is called `name` in code, and so are its dependencies.
    pub(super) fn of(program: &Program, name: &str, dependencies: BTreeSet<String>) -> Self {
        let (exported, walked) = Default::default();
        let mut reader = Reader { program, dependencies, exported, walked, interface: Self::default() };
        reader.module(0, name);
        reader.macros(name);
        reader.implementations();
        reader.interface
    }
}

struct Reader<'a> {
    program: &'a Program,
    dependencies: BTreeSet<String>,
    /// Public path of each item: its module and its name there.
    exported: BTreeMap<(usize, String), String>,
    /// Modules that have been read, with their public paths.
    walked: BTreeSet<(usize, String)>,
    interface: Interface,
}

impl<'a> Reader<'a> {
    fn module(&mut self, module: usize, path: &str) {
        let program = self.program;
        if !self.walked.insert((module, path.to_owned())) {
            return;
        }
        for item in program.modules[module].items.iter().filter(|item| is_shown(attributes(item))) {
            match item {
                Item::Mod(child) if is_public(&child.vis) => {
                    let name = child.ident.unraw().to_string();
                    for named in program.modules[module].names.get(&name).into_iter().flatten() {
                        if let Named::Module(child) = named {
                            self.module(*child, &format!("{path}::{name}"));
                        }
                    }
                }
                Item::Use(import) if is_public(&import.vis) => self.export(&import.tree, &[], module, path),
                _ => {
                    if let (Some((name, _)), Some(visibility)) = (defined(item), visibility(item))
                        && is_public(visibility)
                    {
                        let name = name.unraw().to_string();
                        self.item(module, &name, &format!("{path}::{name}"));
                    }
                }
            }
        }
    }

    /// Takes in `pub use`: `before` are the segments that lead to `tree`.
    fn export(&mut self, tree: &UseTree, before: &[String], module: usize, path: &str) {
        let longer = |name: &syn::Ident| [before, &[name.unraw().to_string()]].concat();
        let (target, alias) = match tree {
            UseTree::Path(further) => return self.export(&further.tree, &longer(&further.ident), module, path),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.export(tree, before, module, path));
            }
            UseTree::Glob(_) => (before.to_vec(), None),
            UseTree::Name(name) => (longer(&name.ident), Some(name.ident.unraw().to_string())),
            UseTree::Rename(name) => (longer(&name.ident), Some(name.rename.unraw().to_string())),
        };
        let public = alias.as_ref().map_or(path.to_owned(), |alias| format!("{path}::{alias}"));
        let found = self.program.resolve(module, &target);
        for target in &found {
            match target {
                Target::Module(module) => self.module(*module, &public),
                Target::Item { module, name, .. } => self.item(*module, name, &public),
            }
        }
        if found.is_empty() {
            let target = target.join("::");
            let all = if alias.is_none() { "::*" } else { "" };
            self.line(&public, &format!("re-export of {target}{all}"));
            self.interface.foreign.insert(target);
        }
    }

    /// Describes the items with a name in a module, and notes their public path.
    fn item(&mut self, module: usize, name: &str, path: &str) {
        if let Some(known) = self.exported.get(&(module, name.to_owned())) {
            if known != path {
                self.line(path, &format!("re-export of {known}"));
            }
            return;
        }
        self.exported.insert((module, name.to_owned()), path.to_owned());
        let items = self.program.modules[module].items.iter();
        let items: Vec<&Item> =
            items.filter(|item| defined(item).is_some_and(|(ident, _)| ident.unraw() == name)).collect();
        for item in &items {
            self.describe(item, module, path);
        }
        if items.is_empty() {
            self.line(path, "generated by a macro");
        }
    }

    fn describe(&mut self, item: &'a Item, module: usize, path: &str) {
        let gate = gate(attributes(item));
        match item {
            Item::Const(item) => {
                self.names(module, |names| names.visit_type(&item.ty));
                self.line(path, &format!("const: {}{gate}", source(&item.ty)));
            }
            Item::Static(item) => {
                self.names(module, |names| names.visit_type(&item.ty));
                self.line(path, &format!("static: {}{gate}", source(&item.ty)));
            }
            Item::Type(item) => {
                self.names(module, |names| names.visit_type(&item.ty));
                self.line(path, &format!("type{} = {}{gate}", source(&item.generics), source(&item.ty)));
            }
            Item::Fn(item) => {
                self.names(module, |names| names.visit_signature(&item.sig));
                self.line(path, &format!("{}{gate}", source(&item.sig)));
            }
            Item::Struct(item) => {
                self.names(module, |names| names.visit_generics(&item.generics));
                let open = if has_private_fields(&item.fields) { " with private fields" } else { "" };
                let closed = non_exhaustive(&item.attrs);
                self.line(path, &format!("struct{}{open}{closed}{gate}", source(&item.generics)));
                self.derives(&item.attrs, path);
                for (number, field) in item.fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
                    let name = field.ident.as_ref().map_or(number.to_string(), |name| name.unraw().to_string());
                    self.names(module, |names| names.visit_type(&field.ty));
                    self.line(&format!("{path}.{name}"), &source(&field.ty));
                }
            }
            Item::Enum(item) => {
                let closed = non_exhaustive(&item.attrs);
                self.line(path, &format!("enum{}{closed}{gate}", source(&item.generics)));
                self.derives(&item.attrs, path);
                for variant in item.variants.iter().filter(|variant| is_shown(&variant.attrs)) {
                    self.names(module, |names| names.visit_fields(&variant.fields));
                    let closed = non_exhaustive(&variant.attrs);
                    self.line(
                        &format!("{path}::{}", variant.ident),
                        &format!("variant {}{closed}", source(&variant.fields)),
                    );
                }
            }
            Item::Trait(item) => {
                self.names(module, |names| {
                    names.visit_generics(&item.generics);
                    item.supertraits.iter().for_each(|bound| names.visit_type_param_bound(bound));
                });
                let bounds = if item.supertraits.is_empty() {
                    String::new()
                } else {
                    format!(": {}", source(&item.supertraits))
                };
                self.line(path, &format!("trait{}{bounds}{gate}", source(&item.generics)));
                for member in &item.items {
                    self.trait_member(member, module, path);
                }
            }
            Item::Union(_) => self.line(path, &format!("union{gate}")),
            _ => {}
        }
    }

    fn trait_member(&mut self, member: &'a TraitItem, module: usize, path: &str) {
        self.names(module, |names| match member {
            TraitItem::Fn(member) => names.visit_signature(&member.sig),
            TraitItem::Const(member) => names.visit_type(&member.ty),
            _ => {}
        });
        match member {
            TraitItem::Fn(member) if is_shown(&member.attrs) => {
                let default = if member.default.is_some() { ", with a default" } else { "" };
                self.line(&format!("{path}::{}", member.sig.ident), &format!("{}{default}", source(&member.sig)));
            }
            TraitItem::Const(member) => {
                let default = if member.default.is_some() { ", with a default" } else { "" };
                self.line(&format!("{path}::{}", member.ident), &format!("const: {}{default}", source(&member.ty)));
            }
            TraitItem::Type(member) => self.line(&format!("{path}::{}", member.ident), "type"),
            _ => {}
        }
    }

    /// Describes the macros that the library exports.
    fn macros(&mut self, name: &str) {
        for item in self.program.modules.iter().flat_map(|module| &module.items) {
            if let Item::Macro(item) = item
                && let Some(ident) = &item.ident
                && item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
                && is_shown(&item.attrs)
            {
                self.line(&format!("{name}::{ident}!"), "macro");
            }
        }
    }

    /// Describes the methods and traits of the types that have been found.
    fn implementations(&mut self) {
        for (at, module) in self.program.modules.iter().enumerate().filter(|(_, module)| !module.tests) {
            for item in &module.items {
                if let Item::Impl(item) = item
                    && is_shown(&item.attrs)
                {
                    self.implementation(item, at);
                }
            }
        }
    }

    fn implementation(&mut self, item: &'a ItemImpl, module: usize) {
        let own = match &*item.self_ty {
            Type::Path(path) => self.public(module, &path.path),
            _ => None,
        };
        let Some((of, _)) = &item.trait_ else {
            let Some(path) = own else { return };
            for member in &item.items {
                self.member(member, module, &path);
            }
            return;
        };
        let is_private = !self.program.resolve(module, &segments(of)).is_empty() && self.public(module, of).is_none();
        let path = own.or_else(|| self.public(module, of));
        if let Some(path) = path.filter(|_| !is_private) {
            self.names(module, |names| {
                names.visit_generics(&item.generics);
                names.visit_path(of);
                names.visit_type(&item.self_ty);
            });
            let limits = item.generics.where_clause.as_ref().map(|limits| format!(" {}", source(limits)));
            let (generics, of, on) = (source(&item.generics), source(of), source(&item.self_ty));
            let gate = gate(&item.attrs);
            self.line(&path, &format!("impl{generics} {of} for {on}{}{gate}", limits.unwrap_or_default()));
        }
    }

    fn member(&mut self, member: &'a ImplItem, module: usize, path: &str) {
        match member {
            ImplItem::Fn(member) if is_public(&member.vis) && is_shown(&member.attrs) => {
                self.names(module, |names| names.visit_signature(&member.sig));
                let line = format!("{}{}", source(&member.sig), gate(&member.attrs));
                self.line(&format!("{path}::{}", member.sig.ident.unraw()), &line);
            }
            ImplItem::Const(member) if is_public(&member.vis) && is_shown(&member.attrs) => {
                self.names(module, |names| names.visit_type(&member.ty));
                self.line(&format!("{path}::{}", member.ident), &format!("const: {}", source(&member.ty)));
            }
            _ => {}
        }
    }

    /// Returns the public path of a type or trait of this library.
    fn public(&self, module: usize, path: &syn::Path) -> Option<String> {
        self.program.resolve(module, &segments(path)).iter().find_map(|target| match target {
            Target::Item { module, name, .. } => self.exported.get(&(*module, name.clone())).cloned(),
            Target::Module(_) => None,
        })
    }

    fn derives(&mut self, attributes: &[Attribute], path: &str) {
        let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
            Meta::List(list) if list.path.is_ident("derive") => Some(source(&list.tokens)),
            _ => None,
        });
        let traits = lists.collect::<Vec<_>>().join(", ");
        if !traits.is_empty() {
            self.line(path, &format!("derives {traits}"));
        }
    }

    /// Notes the types and traits of dependencies that `look` visits.
    fn names(&mut self, module: usize, look: impl FnOnce(&mut Names<'_>)) {
        let mut names = Names { program: self.program, module, dependencies: &self.dependencies, found: Vec::new() };
        look(&mut names);
        self.interface.foreign.extend(names.found);
    }

    fn line(&mut self, path: &str, what: &str) {
        // Whether a method changes its own copy is no part of the interface.
        let what = what.replace("(mut self", "(self");
        self.interface.lines.insert(format!("{path}: {}", what.trim_end()));
    }
}

/// Collects paths that lead into dependencies.
struct Names<'a> {
    program: &'a Program,
    module: usize,
    dependencies: &'a BTreeSet<String>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = segments(path);
        let named = self.program.modules[self.module].names.get(&segments[0]).into_iter().flatten();
        let imported = named.filter_map(|named| match named {
            Named::Import(import) => Some([import, &segments[1..]].concat()),
            _ => None,
        });
        let paths: Vec<Vec<String>> = imported.chain([segments.clone()]).collect();
        let foreign = paths.iter().find(|path| path.len() > 1 && self.dependencies.contains(&path[0]));
        self.found.extend(foreign.map(|path| path.join("::")));
        visit::visit_path(self, path);
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect()
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_shown(attributes: &[Attribute]) -> bool {
    !is_hidden(attributes) && !only_for_tests(attributes)
}

fn has_private_fields(fields: &Fields) -> bool {
    fields.iter().any(|field| !is_public(&field.vis))
}

fn non_exhaustive(attributes: &[Attribute]) -> &'static str {
    let is = attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
    if is { " (non-exhaustive)" } else { "" }
}

/// Returns the condition under which an item exists, in brackets.
fn gate(attributes: &[Attribute]) -> String {
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.map(|attribute| format!(" [{}]", source(&attribute.meta))).collect()
}

fn visibility(item: &Item) -> Option<&Visibility> {
    match item {
        Item::Const(item) => Some(&item.vis),
        Item::Enum(item) => Some(&item.vis),
        Item::Fn(item) => Some(&item.vis),
        Item::Static(item) => Some(&item.vis),
        Item::Struct(item) => Some(&item.vis),
        Item::Trait(item) => Some(&item.vis),
        Item::Type(item) => Some(&item.vis),
        Item::Union(item) => Some(&item.vis),
        _ => None,
    }
}
