//! What documents say is there.

use super::Checkout;
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

/// `FILE: TEST` in backticks: the test is there. Of a file whose one test is a table, the row.
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
        let named = line.split('`').skip(1).step_by(2);
        let tests: Vec<_> = named.filter_map(|t| t.split_once(".rs: ")).collect();
        if tests.is_empty() && !line.starts_with("| escape |") && !line.starts_with("| --- |") {
            wrong.push(format!("{ESCAPES}:{}: no test is named", n + 1));
        }
        for (file, test) in tests {
            let paths = [format!("tests/tests/{file}.rs"), format!("{file}.rs")];
            let source = paths.iter().find_map(|p| checkout.text(p));
            let there = source.is_some_and(|s| {
                s.contains(&format!("fn {test}(")) || s.contains(&format!("row(&[\"{test}\""))
            });
            if !there {
                wrong.push(format!("{ESCAPES}:{}: {file}.rs has no {test}", n + 1));
            }
        }
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
