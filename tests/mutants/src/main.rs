//! Puts every mutant of some files into one program, each behind a number that is chosen when the
//! program runs (mutant schemata; Untch, Offutt and Harrold 1993): one build for all of them
//! instead of one for each. `tests/mutants/run` uses it on a copy of the library.
//!
//! `secant-mutants LIST SKIP FILE...` rewrites the files in place and writes a line to LIST for
//! each mutant: number, file, line, function, what is replaced by what. SKIP is a file of numbers
//! that are left out since they do not compile; numbers do not depend on it.
//!
//! The mutants are those of `cargo mutants`: operators by others, `!` and `-` left out, functions
//! that return at once with a plain value, arms of a `match` that has a last resort left out. An
//! operator becomes
//!
//! ```text
//! ({ let (l, r) = (LEFT, RIGHT); match crate::mutant::at(7, 2) {
//! 1 => l - r, /*M7*/
//! 2 => l * r, /*M8*/
//! _ => l + r } })
//! ```
//!
//! Constants are left as they are: a choice at run time does not reach them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use proc_macro2::LineColumn;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, BinOp, Block, Expr, ExprBinary, ExprMatch, ExprUnary, Pat, ReturnType, Type, UnOp,
};

/// Inserts a text at a place, in place of what lies between.
struct Edit {
    from: usize,
    to: usize,
    /// Among edits at one place: outer ones before inner ones where they begin, behind them where
    /// they end.
    order: isize,
    text: String,
}

struct Rewriter<'a> {
    name: &'a str,
    /// Bytes before each line.
    lines: Vec<usize>,
    text: &'a str,
    functions: Vec<String>,
    edits: Vec<Edit>,
    depth: isize,
    next: u32,
    skip: &'a BTreeSet<u32>,
    list: String,
}

impl Rewriter<'_> {
    fn at(&self, place: LineColumn) -> usize {
        let line = self.lines[place.line - 1];
        let rest = &self.text[line..];
        line + rest
            .chars()
            .take(place.column)
            .map(char::len_utf8)
            .sum::<usize>()
    }

    fn range(&self, of: &impl Spanned) -> (usize, usize) {
        let span = of.span();
        (self.at(span.start()), self.at(span.end()))
    }

    fn edit(&mut self, from: usize, to: usize, order: isize, text: String) {
        self.edits.push(Edit {
            from,
            to,
            order,
            text,
        });
    }

    /// Numbers a mutant; false if it is left out.
    fn mutant(&mut self, line: usize, what: &str) -> (u32, bool) {
        let number = self.next;
        self.next += 1;
        let function = self.functions.last().cloned().unwrap_or_default();
        let kept = !self.skip.contains(&number);
        if kept {
            let what = what.replace('\n', " ");
            let name = self.name;
            let _ = writeln!(self.list, "{number}\t{name}\t{line}\t{function}\t{what}");
        }
        (number, kept)
    }

    /// The arms of a choice between alternatives, and its first number.
    fn arms(&mut self, line: usize, old: &str, all: &[(String, String)]) -> (u32, usize, String) {
        let mut arms = String::new();
        let first = self.next;
        for (i, (what, arm)) in all.iter().enumerate() {
            let (number, kept) = self.mutant(line, &format!("{old} -> {what}"));
            if kept {
                let _ = write!(arms, "\n{} => {arm}, /*M{number}*/", i + 1);
            }
        }
        (first, all.len(), arms + "\n")
    }

    /// `l && r` is `if l { r } else { l }`, `l || r` is `if !l { r } else { l }`.
    fn lazy(&mut self, binary: &ExprBinary, old: &str, other: &str) {
        let line = binary.op.span().start().line;
        let (number, kept) = self.mutant(line, &format!("{old} -> {other}"));
        if kept {
            self.depth += 1;
            let depth = self.depth;
            let (from, to) = self.range(binary);
            let (_, left_end) = self.range(&*binary.left);
            let (right, _) = self.range(&*binary.right);
            self.edit(from, from, depth, "({ let l = ".to_owned());
            let takes = if old == "&&" { "!=" } else { "==" };
            let text = format!("; if l {takes} (crate::mutant::at({number}, 1) == 1) {{ ");
            self.edit(left_end, right, 0, text);
            self.edit(to, to, -depth, " } else { l } })".to_owned());
        }
        visit::visit_expr_binary(self, binary);
        self.depth -= isize::from(kept);
    }

    fn function(&mut self, output: &ReturnType, name: &str, block: &Block) {
        let values: Vec<String> = match output {
            ReturnType::Default => vec!["()".to_owned()],
            ReturnType::Type(_, kind) => values(kind),
        };
        let line = block.span().start().line;
        let (from, _) = self.range(block);
        let old = block.to_token_stream().to_string();
        let mut text = String::new();
        for value in values {
            if block.stmts.is_empty() || old == format!("{{ {value} }}") {
                continue;
            }
            let (number, kept) = self.mutant(line, &format!("return {value}"));
            if kept {
                let _ = write!(
                    text,
                    "\nif crate::mutant::at({number}, 1) == 1 {{ return {value}; }} /*M{number}*/\n"
                );
            }
        }
        self.edit(from + 1, from + 1, self.depth, text);
        self.functions.push(name.to_owned());
        visit::visit_block(self, block);
        self.functions.pop();
    }
}

/// Plain values of a type; none where nothing plain is known.
fn values(kind: &Type) -> Vec<String> {
    let text = kind.to_token_stream().to_string().replace(' ', "");
    let own = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
    match text.as_str() {
        "()" => own(&["()"]),
        "bool" => own(&["true", "false"]),
        "f32" | "f64" => own(&["0.0", "1.0", "-1.0"]),
        "u8" | "u16" | "u32" | "u64" | "usize" => own(&["0", "1"]),
        "i8" | "i16" | "i32" | "i64" | "isize" => own(&["0", "1", "-1"]),
        "R" => own(&["R::ZERO", "R::ONE"]),
        "Self" => own(&["Default::default()"]),
        _ if text.starts_with("Option<") => own(&["None"]),
        _ if text.starts_with("Result<") => {
            let Type::Path(path) = kind else {
                return vec![];
            };
            let last = path.path.segments.last();
            let Some(syn::PathArguments::AngleBracketed(arguments)) = last.map(|l| &l.arguments)
            else {
                return vec![];
            };
            match arguments.args.first() {
                Some(syn::GenericArgument::Type(inner)) => {
                    let inner = values(inner).into_iter();
                    inner.map(|value| format!("Ok({value})")).collect()
                }
                _ => vec![],
            }
        }
        _ => vec![],
    }
}

/// What an operator is replaced by.
fn others(op: &BinOp) -> Option<(&'static str, &'static [&'static str])> {
    Some(match op {
        BinOp::Add(_) => ("+", &["-", "*"]),
        BinOp::Sub(_) => ("-", &["+", "/"]),
        BinOp::Mul(_) => ("*", &["+", "/"]),
        BinOp::Div(_) => ("/", &["%", "*"]),
        BinOp::Rem(_) => ("%", &["/", "+"]),
        BinOp::BitXor(_) => ("^", &["|", "&"]),
        BinOp::BitAnd(_) => ("&", &["|", "^"]),
        BinOp::BitOr(_) => ("|", &["&", "^"]),
        BinOp::Shl(_) => ("<<", &[">>"]),
        BinOp::Shr(_) => (">>", &["<<"]),
        BinOp::Eq(_) => ("==", &["!="]),
        BinOp::Ne(_) => ("!=", &["=="]),
        BinOp::Lt(_) => ("<", &["==", ">", "<="]),
        BinOp::Gt(_) => (">", &["==", "<", ">="]),
        BinOp::Le(_) => ("<=", &[">", "<"]),
        BinOp::Ge(_) => (">=", &["<", ">"]),
        BinOp::And(_) => ("&&", &["||"]),
        BinOp::Or(_) => ("||", &["&&"]),
        BinOp::AddAssign(_) => ("+=", &["-=", "*="]),
        BinOp::SubAssign(_) => ("-=", &["+=", "/="]),
        BinOp::MulAssign(_) => ("*=", &["+=", "/="]),
        BinOp::DivAssign(_) => ("/=", &["%=", "*="]),
        BinOp::BitOrAssign(_) => ("|=", &["&=", "^="]),
        BinOp::BitXorAssign(_) => ("^=", &["|=", "&="]),
        BinOp::BitAndAssign(_) => ("&=", &["|=", "^="]),
        _ => return None,
    })
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string().replace(' ', "");
        text == "#[test]" || text == "#[cfg(test)]" || text.starts_with("#[cfg(target")
    })
}

/// Whether a condition holds a `let`, which may not move into parentheses.
fn binds(expression: &Expr) -> bool {
    struct Finder(bool);
    impl Visit<'_> for Finder {
        fn visit_expr_let(&mut self, _: &syn::ExprLet) {
            self.0 = true;
        }
        fn visit_block(&mut self, _: &Block) {}
    }
    let mut finder = Finder(false);
    finder.visit_expr(expression);
    finder.0
}

impl<'ast> Visit<'ast> for Rewriter<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig.output, &item.sig.ident.to_string(), &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig.output, &item.sig.ident.to_string(), &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig.output, &item.sig.ident.to_string(), block);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let shown = item.trait_.as_ref().is_some_and(|(_, path, _)| {
            let last = path.segments.last().map(|last| last.ident.to_string());
            last.is_some_and(|name| ["Debug", "Display", "Format"].contains(&name.as_str()))
        });
        if !is_test(&item.attrs) && !shown {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let whole = Expr::Binary(binary.clone());
        let Some((old, others)) = others(&binary.op).filter(|_| !binds(&whole)) else {
            visit::visit_expr_binary(self, binary);
            return;
        };
        if ["&&", "||"].contains(&old) {
            self.lazy(binary, old, others[0]);
            return;
        }
        self.depth += 1;
        let depth = self.depth;
        let (from, to) = self.range(binary);
        let (_, left_end) = self.range(&*binary.left);
        let (right, _) = self.range(&*binary.right);
        let line = binary.op.span().start().line;
        let assigns =
            old.len() > 1 && old.ends_with('=') && !["==", "!=", "<=", ">="].contains(&old);
        let compares = ["==", "!=", "<", ">", "<=", ">="].contains(&old);
        let (left, value) = match (assigns, compares) {
            (true, _) => (self.text[from..left_end].to_owned(), "r"),
            (_, true) => ("*l".to_owned(), "*r"),
            _ => ("l".to_owned(), "r"),
        };
        let arm = |op: &str| (op.to_owned(), format!("{left} {op} {value}"));
        let all: Vec<_> = others.iter().map(|op| arm(op)).collect();
        let (first, count, arms) = self.arms(line, old, &all);
        let last = format!("_ => {left} {old} {value}");
        let choice = format!("match crate::mutant::at({first}, {count}) {{{arms}{last} }}");
        if assigns {
            // The place on the left is written again in each arm, as it was.
            self.edit(from, right, depth, "{ let r = ".to_owned());
            self.edit(to, to, -depth, format!("; {choice} }}"));
            self.visit_expr(&binary.right);
        } else if compares {
            self.edit(from, from, depth, "(match (&(".to_owned());
            self.edit(left_end, right, 0, "), &(".to_owned());
            self.edit(to, to, -depth, format!(")) {{ (l, r) => {choice} }})"));
            visit::visit_expr_binary(self, binary);
        } else {
            self.edit(from, from, depth, "({ let (l, r) = (".to_owned());
            self.edit(left_end, right, 0, ", ".to_owned());
            self.edit(to, to, -depth, format!("); {choice} }})"));
            visit::visit_expr_binary(self, binary);
        }
        self.depth -= 1;
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        let old = match unary.op {
            UnOp::Not(_) => "!",
            // A literal's sign belongs to it.
            UnOp::Neg(_) => "-",
            _ => {
                visit::visit_expr_unary(self, unary);
                return;
            }
        };
        self.depth += 1;
        let depth = self.depth;
        let (from, to) = self.range(unary);
        let (inner, _) = self.range(&*unary.expr);
        let line = unary.span().start().line;
        let all = [("nothing".to_owned(), "x".to_owned())];
        let (first, _, arms) = self.arms(line, old, &all);
        self.edit(from, inner, depth, "({ let x = ".to_owned());
        let text = format!("; match crate::mutant::at({first}, 1) {{{arms}_ => {old}x }} }})");
        self.edit(to, to, -depth, text);
        self.visit_expr(&unary.expr);
        self.depth -= 1;
    }

    fn visit_expr_match(&mut self, choice: &'ast ExprMatch) {
        let resort = choice.arms.last().is_some_and(|arm| {
            // An upper-case name is a constant or a variant, not a binding.
            let binding = |pat: &syn::PatIdent| {
                pat.subpat.is_none() && pat.ident.to_string().starts_with(char::is_lowercase)
            };
            arm.guard.is_none()
                && match &arm.pat {
                    Pat::Wild(_) => true,
                    Pat::Ident(pat) => binding(pat),
                    _ => false,
                }
        });
        let lasts = choice.arms.len() - 1;
        for arm in choice.arms.iter().take(if resort { lasts } else { 0 }) {
            if arm.guard.is_some() {
                continue;
            }
            let line = arm.pat.span().start().line;
            let (_, end) = self.range(&arm.pat);
            let pattern = arm.pat.to_token_stream().to_string();
            let (number, kept) = self.mutant(line, &format!("without the arm {pattern}"));
            if kept {
                let text = format!(" if crate::mutant::at({number}, 1) == 0 /*M{number}*/\n");
                self.edit(end, end, 0, text);
            }
        }
        visit::visit_expr_match(self, choice);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, skip, files @ ..] = arguments.as_slice() else {
        panic!("usage: secant-mutants LIST SKIP FILE...");
    };
    let skip = fs::read_to_string(skip).unwrap_or_default();
    let skip: BTreeSet<u32> = skip
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    let (mut next, mut lines) = (1, String::new());
    for name in files {
        let text = fs::read_to_string(name).expect("a file of Rust");
        let tree = syn::parse_file(&text).expect("Rust");
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let mut rewriter = Rewriter {
            name,
            lines: starts,
            text: &text,
            functions: Vec::new(),
            edits: Vec::new(),
            depth: 0,
            next,
            skip: &skip,
            list: String::new(),
        };
        rewriter.visit_file(&tree);
        let Rewriter {
            mut edits,
            next: after,
            list,
            ..
        } = rewriter;
        // Where several meet: those that end something before those that begin something.
        edits.sort_by_key(|edit| (edit.from, edit.order >= 0, edit.order));
        let (mut out, mut at) = (String::new(), 0);
        for edit in &edits {
            assert!(edit.from >= at, "{name}: edits overlap: {}", edit.text);
            out += &text[at..edit.from];
            out += &edit.text;
            at = edit.to;
        }
        out += &text[at..];
        fs::write(name, out).expect("room");
        lines += &list;
        next = after;
    }
    fs::write(list, lines).expect("room");
}
