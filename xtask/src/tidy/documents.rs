//! What documents say is there.

use super::Checkout;
use std::collections::BTreeSet;
use std::path::{Component, Path};

const MAP: &str = "ARCHITECTURE.md";

/// The first column of the code map holds paths in backticks, with `{a,b}` for several.
pub fn code_map(checkout: &Checkout) -> Vec<String> {
    let Some(text) = checkout.text(MAP) else {
        return vec![format!("{MAP}: not there")];
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (n, line) in text.lines().enumerate() {
        let Some(column) = line.strip_prefix("| `").and_then(|l| l.split(" | ").next()) else {
            continue;
        };
        for named in column
            .split('`')
            .step_by(2)
            .filter(|p| p.contains(['/', '.']))
        {
            seen += 1;
            for path in expand(named) {
                if !checkout.has(&path) {
                    wrong.push(format!("{MAP}:{}: {path} is not there", n + 1));
                }
            }
        }
    }
    if seen == 0 {
        wrong.push(format!("{MAP}: no code map"));
    }
    wrong
}

const ESCAPES: &str = "docs/escapes.md";

/// `FILE: TEST` in backticks, each as file without its ending and test.
fn tests_of(line: &str) -> Vec<(&str, &str)> {
    let named = line.split('`').skip(1).step_by(2);
    named.filter_map(|t| t.split_once(".rs: ")).collect()
}

/// Those that are not there. Of a file whose one test is a table, the row counts.
fn gone<'l>(checkout: &Checkout, tests: &[(&'l str, &'l str)]) -> Vec<String> {
    let there = |(file, test): &(&str, &str)| {
        let paths = [format!("tests/tests/{file}.rs"), format!("{file}.rs")];
        let source = paths.iter().find_map(|p| checkout.text(p));
        source.is_some_and(|s| {
            s.contains(&format!("fn {test}(")) || s.contains(&format!("row(&[\"{test}\""))
        })
    };
    let gone = tests.iter().filter(|t| !there(t));
    gone.map(|(file, test)| format!("{file}.rs has no {test}"))
        .collect()
}

/// Each row of the table names tests that are there.
pub fn named_tests(checkout: &Checkout) -> Vec<String> {
    let Some(text) = checkout.text(ESCAPES) else {
        return vec![format!("{ESCAPES}: not there")];
    };
    let mut wrong = Vec::new();
    for (n, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| l.starts_with("| "))
    {
        let tests = tests_of(line);
        if tests.is_empty() && !line.starts_with("| escape |") && !line.starts_with("| --- |") {
            wrong.push(format!("{ESCAPES}:{}: no test is named", n + 1));
        }
        let gone = gone(checkout, &tests);
        wrong.extend(gone.iter().map(|g| format!("{ESCAPES}:{}: {g}", n + 1)));
    }
    wrong
}

const SPECIFICATION: &str = "docs/specification.md";

/// `- SNUMBER: promise. TESTS` is one line; a number is one promise's for good.
pub fn promises(checkout: &Checkout) -> Vec<String> {
    let Some(text) = checkout.text(SPECIFICATION) else {
        return vec![format!("{SPECIFICATION}: not there")];
    };
    let mut wrong = Vec::new();
    let mut numbers = BTreeSet::new();
    for (n, line) in text.lines().enumerate() {
        let Some(promise) = line.strip_prefix("- ") else {
            continue;
        };
        let mut say = |what: &str| wrong.push(format!("{SPECIFICATION}:{}: {what}", n + 1));
        let number = promise
            .split_once(": ")
            .and_then(|(number, _)| number.strip_prefix('S')?.parse::<u32>().ok());
        match number {
            None => say("a promise begins with its number, `S1: `"),
            Some(number) if !numbers.insert(number) => say(&format!("S{number} is used twice")),
            Some(_) => {}
        }
        let tests = tests_of(promise);
        if tests.is_empty() {
            say("no test is named");
        }
        gone(checkout, &tests).iter().for_each(|g| say(g));
    }
    if !text.lines().any(|l| l.starts_with("- ")) {
        wrong.push(format!("{SPECIFICATION}: no promise"));
    }
    wrong
}

fn expand(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(before, rest)| {
        let (names, after) = rest.split_once('}')?;
        Some((before, names, after))
    });
    match parts {
        Some((before, names, after)) => names
            .split(',')
            .flat_map(|name| expand(&format!("{before}{name}{after}")))
            .collect(),
        None => vec![path.to_owned()],
    }
}

/// Relative links of Markdown files: `[text](path)`.
pub fn links(checkout: &Checkout) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in checkout.files(".md") {
        let mut code = false;
        for (n, line) in text.lines().enumerate() {
            code ^= line.trim_start().starts_with("```");
            if code || line.starts_with("    ") {
                continue;
            }
            for target in targets(line) {
                let file = target.split('#').next().unwrap_or("");
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if !file.is_empty()
                    && !elsewhere
                    && !resolve(path, file).is_some_and(|p| checkout.has(&p))
                {
                    wrong.push(format!("{path}:{}: {target} is not there", n + 1));
                }
            }
        }
    }
    wrong
}

fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
}

fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for component in Path::new(link).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_map_that_names_what_is_gone_is_found() {
        let of = |row: &str| {
            code_map(&Checkout::of(&[(MAP, row), ("a/b.rs", ""), ("a/c.rs", "")])).len()
        };
        assert_eq!(of("| `a/{b,c}.rs`, `a/` | both |"), 0);
        assert_eq!(of("| `a/{b,d}.rs` | one of them |"), 1);
        assert_eq!(of("| `gone/` | a folder |"), 1);
        assert_eq!(of("no map at all"), 1);
    }

    #[test]
    fn a_test_that_is_gone_is_found() {
        let of = |row: &str| {
            let tests = [
                (ESCAPES, row),
                ("tests/tests/a.rs", "fn here() {} row(&[\"probe\", 1])"),
                ("x/src/b.rs", "fn inside() {}"),
            ];
            named_tests(&Checkout::of(&tests)).len()
        };
        assert_eq!(
            of("| e | a | `a.rs: here`, `a.rs: probe`, `x/src/b.rs: inside` |"),
            0
        );
        assert_eq!(of("| e | a | `a.rs: gone`, `c.rs: here` |"), 2);
        assert_eq!(of("| e | a | |"), 1);
    }

    #[test]
    fn a_promise_that_nothing_holds_is_found() {
        let of = |text: &str| {
            let tests = [(SPECIFICATION, text), ("tests/tests/a.rs", "fn here() {}")];
            promises(&Checkout::of(&tests))
        };
        let good = "# Files\n\nText.\n- S1: one. `a.rs: here`\n- S7: two. `a.rs: here`\n";
        assert_eq!(of(good), Vec::<String>::new());
        for (wrong, says) in [
            ("- S1: one. `a.rs: gone`", "a.rs has no gone"),
            ("- S1: one. `c.rs: here`", "c.rs has no here"),
            ("- S1: one.", "no test is named"),
            ("- one. `a.rs: here`", "begins with its number"),
            (
                "- S1: a. `a.rs: here`\n- S1: b. `a.rs: here`",
                ":2: S1 is used twice",
            ),
            ("# Files\n", "no promise"),
        ] {
            let found = of(wrong);
            assert!(
                found.len() == 1 && found[0].contains(says),
                "{wrong}: {found:?}"
            );
        }
        assert_eq!(promises(&Checkout::of(&[])).len(), 1);
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let of = |line: &str| links(&Checkout::of(&[("docs/a.md", line), ("b.md", "")])).len();
        for good in [
            "[b](../b.md#part)",
            "[x](https://example.com)",
            "[here](#part)",
            "    [code](x)",
        ] {
            assert_eq!(of(good), 0, "{good}");
        }
        assert_eq!(of("[b](b.md) and [c](../../b.md)"), 2);
        assert_eq!(of("```\n[b](b.md)\n```\n[b](b.md)"), 1);
    }
}
