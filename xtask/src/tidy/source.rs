//! Rules over Rust source: by tokens, so that macros are seen too, or by syntax where that is needed.

use super::Checkout;
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Folders and files where unsafe code may stand; a folder ends with a slash.
const UNSAFE: &[&str] = &[
    "supervisor/enforce/src/sys/", // system calls that no library wraps
    "supervisor/bpf/src/sys.rs",   // bpf(2), and promises to the library
    "ebpf-probes/src/",            // its helpers are all unsafe; the verifier judges what they do
    "tests/src/bin/probe.rs",      // the same calls, made by the side that is refused
    "tests/src/bin/probe/network.rs",
    "tests/src/bin/traced", // calls, processes and requests as no library makes them
    "tests/src/bin/calls",  // and with pointers that lead nowhere
    "tests/src/bin/attack.rs", // every other call, with arguments that nobody means
];

/// The crate around `sys/`: `forbid` could not be lifted there again.
const DENIES: &[&str] = &["supervisor/enforce/src/lib.rs", "supervisor/bpf/src/lib.rs"];

/// What a pure crate does not name.
const IMPURE: &[&str] = &["fs", "net", "process", "env", "thread", "io", "time", "os"];
/// Types and traits that only describe.
const PURE: &[&str] = &[
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "Duration",
    "OsStrExt",
    "OsStringExt",
];

const LONGEST: usize = 60;

/// Longer functions, each with its reason.
const LONG: &[(&str, &str, &str)] = &[
    (
        "supervisor/enforce/src/compile/view.rs",
        "fixed",
        "a table, one row a path",
    ),
    (
        "tests/src/bin/probe.rs",
        "attempt",
        "a table, one row an access",
    ),
];

type Found = Vec<String>;

fn tokens(path: &str, text: &str) -> Result<TokenStream, String> {
    text.parse().map_err(|e| format!("{path}: {e}"))
}

/// Each run of tokens: the file's own, and those in each pair of brackets.
fn runs(stream: TokenStream, see: &mut dyn FnMut(&[TokenTree])) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    see(&trees);
    for tree in trees {
        if let TokenTree::Group(group) = tree {
            runs(group.stream(), see);
        }
    }
}

/// Judges every token of every file by what follows it.
fn by_token(checkout: &Checkout, judge: fn(&str, &[TokenTree]) -> Option<String>) -> Found {
    let mut found = Found::new();
    for (path, text) in checkout.files(".rs") {
        match tokens(path, text) {
            Ok(stream) => runs(stream, &mut |run| {
                for n in 0..run.len() {
                    if let Some(what) = judge(path, &run[n..]) {
                        let line = run[n].span().start().line;
                        found.push(format!("{path}:{line}: {what}"));
                    }
                }
            }),
            Err(why) => found.push(why),
        }
    }
    found
}

fn word(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        Some(TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) | None => None,
    }
}

fn mark(tree: Option<&TokenTree>, sign: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(p)) if p.as_char() == sign)
}

pub fn unsafe_code(checkout: &Checkout) -> Found {
    let mut found = by_token(checkout, |path, rest| {
        let may = UNSAFE.iter().any(|place| path.starts_with(place));
        (!may && word(rest.first())? == "unsafe")
            .then(|| format!("unsafe code belongs in {}", UNSAFE.join(", ")))
    });
    for (path, text) in checkout.files(".rs").filter(|(path, _)| is_root(path)) {
        let may = UNSAFE.iter().any(|place| path.starts_with(place));
        let promised = text.contains("#![forbid(unsafe_code)]")
            || DENIES.contains(&path) && text.contains("#![deny(unsafe_code)]");
        if !may && !promised {
            found.push(format!("{path}: #![forbid(unsafe_code)] is missing"));
        }
    }
    found
}

/// A library or program; the tests beside them are judged by their tokens alone.
fn is_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("src/bin/")
}

pub fn purity(checkout: &Checkout) -> Found {
    by_token(checkout, |path, rest| {
        if !path.starts_with("policy/src/") || word(rest.first())? != "std" {
            return None;
        }
        let path_follows = mark(rest.get(1), ':') && mark(rest.get(2), ':');
        let names = match rest.get(3) {
            _ if !path_follows => return None,
            Some(TokenTree::Group(group)) => heads(group),
            after => vec![(word(after)?, rest[4..].to_vec())],
        };
        names
            .into_iter()
            .find(|(name, rest)| IMPURE.contains(&name.as_str()) && !only_describes(rest))
            .map(|(name, _)| {
                format!("std::{name} in policy, which reads no file, variable or clock")
            })
    })
}

/// The first names in `{a::b, c}`, each with what follows it.
fn heads(group: &proc_macro2::Group) -> Vec<(String, Vec<TokenTree>)> {
    let trees: Vec<TokenTree> = group.stream().into_iter().collect();
    trees
        .split(|t| mark(Some(t), ','))
        .filter_map(|part| Some((word(part.first())?, part[1..].to_vec())))
        .collect()
}

/// `::IpAddr`, or `::{…}` of nothing but such.
fn only_describes(rest: &[TokenTree]) -> bool {
    // `unix::ffi::` of std::os is one way to a trait
    let rest = match word(rest.get(2)).as_deref() {
        Some("unix") => rest.get(6..).unwrap_or(&[]),
        Some(_) | None => rest,
    };
    match rest.get(2) {
        Some(TokenTree::Group(group)) => {
            heads(group).iter().all(|(n, _)| PURE.contains(&n.as_str()))
        }
        tree => word(tree).is_some_and(|n| PURE.contains(&n.as_str())),
    }
}

pub fn stubs(checkout: &Checkout) -> Found {
    let mut found = by_token(checkout, |_, rest| {
        let macro_call = mark(rest.get(1), '!') && matches!(rest.get(2), Some(TokenTree::Group(_)));
        match rest.first()? {
            TokenTree::Ident(name) if macro_call && (name == "todo" || name == "unimplemented") => {
                Some(format!("{name}! is a stub"))
            }
            TokenTree::Punct(p) if p.as_char() == '#' && p.spacing() == Spacing::Alone => {
                let Some(TokenTree::Group(group)) = rest.get(1) else {
                    return None;
                };
                let first = group.stream().into_iter().next();
                (group.delimiter() == Delimiter::Bracket && word(first.as_ref())? == "ignore")
                    .then(|| "an ignored test proves nothing; give it a tier of its own".into())
            }
            _ => None,
        }
    });
    let unfinished = [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
    ];
    for (path, text) in checkout.files("") {
        for (n, line) in text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric());
            if words.into_iter().any(|w| unfinished.contains(&w)) {
                found.push(format!("{path}:{}: unfinished", n + 1));
            }
        }
    }
    found
}

pub fn functions(checkout: &Checkout) -> Found {
    by_syntax(checkout, ".rs", |path, file| {
        let mut long = Long {
            path,
            found: Found::new(),
        };
        long.visit_file(file);
        long.found
    })
}

fn by_syntax(checkout: &Checkout, ending: &str, judge: fn(&str, &syn::File) -> Found) -> Found {
    let mut found = Found::new();
    for (path, text) in checkout.files(ending) {
        match syn::parse_file(text) {
            Ok(file) => found.extend(judge(path, &file)),
            Err(why) => found.push(format!("{path}: {why}")),
        }
    }
    found
}

struct Long<'a> {
    path: &'a str,
    found: Found,
}

impl Long<'_> {
    fn measure(&mut self, signature: &syn::Signature, whole: proc_macro2::Span) {
        let lines = whole.end().line - signature.span().start().line + 1;
        let name = signature.ident.to_string();
        let exempt = LONG
            .iter()
            .any(|(path, known, _)| *path == self.path && *known == name);
        if lines > LONGEST && !exempt {
            self.found.push(format!(
                "{}:{}: {name} has {lines} lines, {LONGEST} at most; split it by its steps",
                self.path,
                signature.span().start().line
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Long<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }
}

/// Of `supervisor/enforce/src/backend/`: in a match with an arm on a requirement, no arm that takes
/// whatever is left.
pub fn wildcards(checkout: &Checkout) -> Found {
    by_syntax(checkout, ".rs", |path, file| {
        if !path.starts_with("supervisor/enforce/src/backend/") {
            return Found::new();
        }
        let mut matches = Matches {
            path,
            found: Found::new(),
        };
        matches.visit_file(file);
        matches.found
    })
}

struct Matches<'a> {
    path: &'a str,
    found: Found,
}

impl<'ast> Visit<'ast> for Matches<'_> {
    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        let mut on_requirement = NamesRequirement(false);
        expression
            .arms
            .iter()
            .for_each(|arm| on_requirement.visit_pat(&arm.pat));
        if on_requirement.0 {
            for arm in expression.arms.iter().filter(|arm| takes_all(&arm.pat)) {
                self.found.push(format!(
                    "{}:{}: name the requirements, so that a new one breaks the build here",
                    self.path,
                    arm.pat.span().start().line
                ));
            }
        }
        visit::visit_expr_match(self, expression);
    }
}

struct NamesRequirement(bool);

impl<'ast> Visit<'ast> for NamesRequirement {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let owner = path
            .segments
            .len()
            .checked_sub(2)
            .map(|n| &path.segments[n].ident);
        self.0 |= owner.is_some_and(|name| name == "R" || name == "Requirement");
    }
}

fn takes_all(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        // a name that is not a variant's binds anything
        syn::Pat::Ident(name) => name
            .subpat
            .as_ref()
            .is_none_or(|(_, below)| takes_all(below)),
        syn::Pat::Or(or) => or.cases.iter().any(takes_all),
        syn::Pat::Paren(inner) => takes_all(&inner.pat),
        syn::Pat::Guard(guarded) => takes_all(&guarded.pat),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&Checkout) -> Found, path: &str, text: &str) -> usize {
        rule(&Checkout::of(&[(path, text)])).len()
    }

    #[test]
    fn unsafe_outside_its_places_is_found() {
        let of = |path, text| count(unsafe_code, path, text);
        assert_eq!(
            of(
                "a/src/lib.rs",
                "#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe\";"
            ),
            0
        );
        assert_eq!(of("a/src/lib.rs", "fn a() {}"), 1);
        assert_eq!(of("a/src/lib.rs", "#![deny(unsafe_code)]"), 1);
        assert_eq!(
            of("supervisor/enforce/src/lib.rs", "#![deny(unsafe_code)]"),
            0
        );
        assert_eq!(of("a/src/b.rs", "fn a() { unsafe { b() } }"), 1);
        assert_eq!(of("a/src/b.rs", "m! { unsafe { b() } }"), 1);
        assert_eq!(
            of(
                "supervisor/enforce/src/sys/b.rs",
                "fn a() { unsafe { b() } }"
            ),
            0
        );
    }

    #[test]
    fn input_and_output_in_policy_are_found() {
        let of = |text| count(purity, "policy/src/a.rs", text);
        for bad in [
            "use std::fs;",
            "use std::{fmt, env};",
            "fn a() { std::process::exit(1) }",
            "use std::net::{IpAddr, TcpStream};",
            "use std::{fmt, net::TcpStream};",
            "fn a() { std::time::Instant::now(); }",
        ] {
            assert_eq!(of(bad), 1, "{bad}");
        }
        for good in [
            "use std::{fmt, str};",
            "use std::net::{IpAddr, Ipv4Addr};",
            "// std::fs",
            "use std::{net::IpAddr};",
        ] {
            assert_eq!(of(good), 0, "{good}");
        }
        assert_eq!(count(purity, "supervisor/src/a.rs", "use std::fs;"), 0);
    }

    #[test]
    fn stubs_and_ignored_tests_are_found() {
        let of = |text| count(stubs, "a.rs", text);
        for bad in [
            "fn a() { todo!() }",
            "fn a() { unimplemented!(\"b\") }",
            "#[ignore] fn a() {}",
            "#[test]\n#[ignore = \"slow\"]\nfn a() {}",
            concat!("// FIX", "ME"),
        ] {
            assert_eq!(of(bad), 1, "{bad}");
        }
        assert_eq!(of("fn todo() { ignore(); }"), 0);
    }

    #[test]
    fn a_long_function_is_found() {
        let of = |lines: usize| {
            let body = "    a();\n".repeat(lines - 2);
            count(
                functions,
                "a.rs",
                &format!("impl A {{\nfn b() {{\n{body}}}\n}}\n"),
            )
        };
        assert_eq!((of(LONGEST), of(LONGEST + 1)), (0, 1));
    }

    #[test]
    fn a_wildcard_over_requirements_is_found() {
        let path = "supervisor/enforce/src/backend/a.rs";
        let of = |arms: &str| {
            count(
                wildcards,
                path,
                &format!("fn a() {{ match r {{ {arms} }} }}"),
            )
        };
        assert_eq!(of("R::A { .. } => 1, R::B | R::C => 2,"), 0);
        assert_eq!(of("Some(1) => 1, _ => 2,"), 0);
        for bad in [
            "_ => 2,",
            "other => 2,",
            "_ if x => 2,",
            "R::B | _ => 2,",
            "all @ _ => 2,",
        ] {
            assert_eq!(of(&format!("R::A {{ .. }} => 1, {bad}")), 1, "{bad}");
        }
        assert_eq!(
            count(
                wildcards,
                "a.rs",
                "fn a() { match r { R::A => 1, _ => 2 } }"
            ),
            0
        );
    }
}
