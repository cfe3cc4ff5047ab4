//! Reads the modules of a program from its root file.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, UseTree, Visibility};

use super::{Kind, Mention, Module, Named, Program};
use crate::result::Result;
use crate::tidy::syntax::{attributes, defined, only_for_tests, parse};
use crate::tidy::tree::{File, Tree, plain};

impl Program {
    /// Reads the program whose root is `root`.
    pub(in crate::tidy) fn read(tree: &Tree, root: &File) -> Result<Self> {
        let mut reader = Reader { tree, program: Self::default() };
        let folder = root.path.parent().unwrap_or(Path::new("")).to_owned();
        reader.file(root, None, folder, false)?;
        Ok(reader.program)
    }
}

struct Reader<'a> {
    tree: &'a Tree,
    program: Program,
}

impl Reader<'_> {
    /// Reads a module and its submodules. The files of those are in `folder`.
    fn file(&mut self, file: &File, parent: Option<usize>, folder: PathBuf, tests: bool) -> Result<usize> {
        let parsed = parse(file)?;
        let module = self.module(file.path.clone(), parent, tests);
        self.items(parsed.items, module, &folder)?;
        Ok(module)
    }

    fn module(&mut self, file: PathBuf, parent: Option<usize>, tests: bool) -> usize {
        self.program.modules.push(Module { file, parent, tests, ..Module::default() });
        self.program.modules.len() - 1
    }

    fn items(&mut self, items: Vec<Item>, module: usize, folder: &Path) -> Result<()> {
        for item in &items {
            if let Item::Mod(declared) = item {
                let tests = self.program.modules[module].tests || only_for_tests(&declared.attrs);
                let name = declared.ident.unraw().to_string();
                let child = match &declared.content {
                    Some((_, items)) => {
                        let child = self.module(self.program.modules[module].file.clone(), Some(module), tests);
                        self.items(items.clone(), child, &folder.join(&name))?;
                        Some(child)
                    }
                    None => self.submodule(&declared.attrs, &name, module, folder, tests)?,
                };
                // A module without a file is generated, or for another platform.
                if let Some(child) = child {
                    self.name(module, name, Named::Module(child));
                }
                continue;
            }
            let tests = self.program.modules[module].tests;
            Contents { program: &mut self.program, module, tests }.visit_item(item);
            if let Some((name, attributes)) = defined(item) {
                let tests = tests || only_for_tests(attributes);
                self.name(module, name.unraw().to_string(), Named::Item { tests });
                if matches!(item, Item::Macro(_)) {
                    self.program.macros.insert(name.to_string(), module);
                }
            }
        }
        self.program.modules[module].items = items;
        Ok(())
    }

    /// Reads the file of `mod name;`.
    fn submodule(
        &mut self,
        attributes: &[Attribute],
        name: &str,
        module: usize,
        folder: &Path,
        tests: bool,
    ) -> Result<Option<usize>> {
        let declaring = &self.program.modules[module].file;
        let places = match path_attribute(attributes) {
            Some(path) => vec![plain(&declaring.parent().unwrap_or(Path::new("")).join(path))],
            None => vec![folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")],
        };
        let tree = self.tree;
        let Some(file) = places.iter().find_map(|path| tree.file(path)) else { return Ok(None) };
        // Submodules are beside a `mod.rs` and files that `#[path]` names, otherwise in a folder of the module's name.
        let owns_folder = file.path.ends_with("mod.rs") || path_attribute(attributes).is_some();
        let submodules = match file.path.parent() {
            Some(parent) if owns_folder => parent.to_owned(),
            _ => folder.join(name),
        };
        self.file(file, Some(module), submodules, tests).map(Some)
    }

    fn name(&mut self, module: usize, name: String, named: Named) {
        self.program.modules[module].names.entry(name).or_default().push(named);
    }
}

/// Collects the paths and the imports of an item, including imports inside of functions.
struct Contents<'a> {
    program: &'a mut Program,
    module: usize,
    tests: bool,
}

impl Contents<'_> {
    /// Visits what belongs to `attributes`, which may say that it is for tests only.
    fn within(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.tests;
        self.tests |= only_for_tests(attributes);
        visit(self);
        self.tests = before;
    }

    fn mention(&mut self, path: Vec<String>, span: Span, kind: Kind) {
        let mention = Mention { path, line: span.start().line, kind, tests: self.tests };
        self.program.modules[self.module].paths.push(mention);
    }

    /// Takes in an import: `before` are the segments that lead to `tree`.
    fn import(&mut self, tree: &UseTree, before: &mut Vec<String>, kind: Kind) {
        let (ident, name) = match tree {
            UseTree::Path(path) => {
                before.push(path.ident.unraw().to_string());
                self.import(&path.tree, before, kind);
                before.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, kind);
                }
                return;
            }
            UseTree::Glob(_) => {
                self.program.modules[self.module].globs.push(before.clone());
                return;
            }
            UseTree::Name(name) => (&name.ident, name.ident.unraw().to_string()),
            UseTree::Rename(rename) => (&rename.ident, rename.rename.unraw().to_string()),
        };
        let mut path = before.clone();
        let mut name = name;
        if ident == "self" {
            // `a::{self}` imports `a`.
            name = if name == "self" { before.last().cloned().unwrap_or_default() } else { name };
        } else {
            path.push(ident.unraw().to_string());
        }
        self.program.modules[self.module].names.entry(name).or_default().push(Named::Import(path.clone()));
        self.mention(path, ident.span(), kind);
    }

    /// Finds paths in the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(it)) if it.as_char() == sign);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                // A name after a single dot is a field or a method.
                TokenTree::Ident(first) if at == 0 || !is(at - 1, '.') || (at > 1 && is(at - 2, '.')) => {
                    let mut path = vec![first.unraw().to_string()];
                    while is(at + 1, ':')
                        && is(at + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(next.unraw().to_string());
                        at += 3;
                    }
                    let called = matches!(tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
                    let invoked = is(at + 1, '!') && !is(at + 2, '=');
                    if path.len() > 1 || called || invoked || path[0].starts_with(char::is_uppercase) {
                        self.mention(path, first.span(), if invoked { Kind::Macro } else { Kind::Code });
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Contents<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(attributes(item), |contents| visit::visit_item(contents, item));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.within(&function.attrs, |contents| visit::visit_impl_item_fn(contents, function));
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.within(&field.attrs, |contents| visit::visit_field(contents, field));
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        let kind = if matches!(import.vis, Visibility::Inherited) { Kind::Import } else { Kind::ReExport };
        self.import(&import.tree, &mut Vec::new(), kind);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
        if let Some(first) = path.segments.first() {
            // A lone name in lower case may be a variable. Calls are visited below.
            let named = segments.len() > 1 || segments[0].starts_with(char::is_uppercase);
            if named && path.leading_colon.is_none() {
                self.mention(segments, first.ident.span(), Kind::Code);
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(called) = &*call.func
            && let Some(name) = called.path.get_ident()
        {
            self.mention(vec![name.unraw().to_string()], name.span(), Kind::Code);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        let segments: Vec<String> = invoked.path.segments.iter().map(|it| it.ident.unraw().to_string()).collect();
        if let Some(first) = invoked.path.segments.first() {
            self.mention(segments, first.ident.span(), Kind::Macro);
        }
        self.tokens(invoked.tokens.clone());
    }

    // `pub(in path)` uses nothing, and attributes name items of other crates.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// Returns the value of `#[path = "…"]`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let pair = attribute.meta.require_name_value().ok().filter(|pair| pair.path.is_ident("path"))?;
        let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value else { return None };
        Some(path.value())
    })
}
