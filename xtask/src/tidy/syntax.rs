//! Rust source as a syntax tree.

use syn::{Attribute, Expr, ExprLit, Ident, Item, Lit, Meta};

use super::tree::File;
use crate::result::Result;

/// Parses a source file.
pub(super) fn parse(file: &File) -> Result<syn::File> {
    syn::parse_file(&file.text).map_err(|error| format!("{}: {error}", file.path.display()).into())
}

/// Whether `#[cfg(test)]` or `#[cfg(all(test, …))]` is among the attributes.
pub(super) fn only_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
    })
}

/// Returns the attributes of an item.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        other => defined(other).map_or(&[], |(_, attributes)| attributes),
    }
}

/// Returns the name that an item defines, and its attributes.
pub(super) fn defined(item: &Item) -> Option<(&Ident, &[Attribute])> {
    match item {
        Item::Const(item) => Some((&item.ident, &item.attrs)),
        Item::Enum(item) => Some((&item.ident, &item.attrs)),
        Item::Fn(item) => Some((&item.sig.ident, &item.attrs)),
        Item::Macro(item) => item.ident.as_ref().map(|name| (name, &*item.attrs)),
        Item::Static(item) => Some((&item.ident, &item.attrs)),
        Item::Struct(item) => Some((&item.ident, &item.attrs)),
        Item::Trait(item) => Some((&item.ident, &item.attrs)),
        Item::TraitAlias(item) => Some((&item.ident, &item.attrs)),
        Item::Type(item) => Some((&item.ident, &item.attrs)),
        Item::Union(item) => Some((&item.ident, &item.attrs)),
        _ => None,
    }
}

/// Whether `#[doc(hidden)]` is among the attributes.
pub(super) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("doc") && list.tokens.to_string() == "hidden",
        _ => false,
    })
}

/// Returns the documentation of an item as Markdown.
pub(super) fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let pair = attribute.meta.require_name_value().ok().filter(|pair| pair.path.is_ident("doc"))?;
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { return None };
        let line = line.value();
        Some(line.strip_prefix(' ').map_or(line.clone(), str::to_owned) + "\n")
    });
    lines.collect()
}
