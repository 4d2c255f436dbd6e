//! Removes code that only tests compile.

use std::collections::BTreeSet;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, File, ImplItem, Item, ItemImpl, ItemMod, Meta, Stmt, Token};

/// Removes items, methods and statements that only tests compile. Returns their lines, counted from 1.
pub fn remove(file: &mut File) -> BTreeSet<usize> {
    let mut removed = TestCode::default();
    removed.visit_file_mut(file);
    removed.lines
}

#[derive(Default)]
struct TestCode {
    lines: BTreeSet<usize>,
}

impl TestCode {
    /// Whether code with these attributes is kept. Records its lines if not.
    fn keeps(&mut self, attributes: &[Attribute], code: &impl Spanned) -> bool {
        let test = attributes.iter().any(is_test);
        if test {
            let span = code.span();
            self.lines.extend(span.start().line..=span.end().line);
        }
        !test
    }
}

impl VisitMut for TestCode {
    fn visit_file_mut(&mut self, file: &mut File) {
        file.items.retain(|item| self.keeps(attributes(item), item));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| self.keeps(attributes(item), item));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut ItemImpl) {
        block.items.retain(|item| match item {
            ImplItem::Fn(function) => self.keeps(&function.attrs, item),
            ImplItem::Const(constant) => self.keeps(&constant.attrs, item),
            _ => true,
        });
        visit_mut::visit_item_impl_mut(self, block);
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        block.stmts.retain(|statement| match statement {
            Stmt::Local(local) => self.keeps(&local.attrs, statement),
            Stmt::Item(item) => self.keeps(attributes(item), statement),
            Stmt::Macro(call) => self.keeps(&call.attrs, statement),
            Stmt::Expr(..) => true,
        });
        visit_mut::visit_block_mut(self, block);
    }
}

/// Whether an attribute is `#[test]` or a `cfg` that is true only in tests.
fn is_test(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => list
            .parse_args()
            .is_ok_and(|condition| needs_test(&condition)),
        _ => false,
    }
}

fn needs_test(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .unwrap_or_default()
    };
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_test),
        Meta::List(list) if list.path.is_ident("any") => {
            let parts = parts(list);
            !parts.is_empty() && parts.iter().all(needs_test)
        }
        _ => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
