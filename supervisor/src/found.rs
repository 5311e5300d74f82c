//! Text of layers that stockade writes itself. Who chose a name on the host has no say in the policy:
//! nothing of it is read as a pattern, a variable or the end of a text.

use std::path::Path;
use stockade_policy::{Glob, Layer, Source};
use toml::Value;

/// A table's name, and its keys with their values.
pub type Table<'a> = (&'a str, Vec<(&'a str, Value)>);

/// The pattern of exactly this path; a name that is not UTF-8 has none.
pub fn literal(path: &Path) -> Option<String> {
    path.to_str().map(Glob::literally)
}

/// For rules that only tighten: of a name that is not UTF-8 a pattern that covers it, and its like.
pub fn covering(path: &Path) -> String {
    let text = Glob::literally(&path.to_string_lossy());
    let mut out = String::new();
    let mut unsaid = false;
    for c in text.chars() {
        match c {
            char::REPLACEMENT_CHARACTER if unsaid => continue,
            char::REPLACEMENT_CHARACTER => out.push('*'),
            c => out.push(c),
        }
        unsaid = c == char::REPLACEMENT_CHARACTER;
    }
    out
}

/// As a policy file would say it; none where nothing is said.
pub fn text(tables: &[Table<'_>]) -> Option<String> {
    let says = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Table(items) => !items.is_empty(),
        _ => true,
    };
    let mut text = String::from("version = 1\n");
    let mut any = false;
    for (table, keys) in tables {
        text += &format!("[{table}]\n");
        for (key, value) in keys.iter().filter(|(_, value)| says(value)) {
            any = true;
            text += &format!("{key} = {value}\n");
        }
    }
    any.then_some(text)
}

/// The same as a layer of what was found.
pub fn source(name: &str, origin: &str, tables: &[Table<'_>]) -> Option<Source> {
    Some(Source {
        layer: Layer::Found(name.into()),
        origin: origin.into(),
        text: text(tables)?,
    })
}

/// One entry of `protect`.
pub fn mark(path: String, mode: &str, because: &str) -> Value {
    let pairs = [
        ("path", path.as_str()),
        ("mode", mode),
        ("because", because),
    ];
    let table = pairs.map(|(key, text)| (key.to_owned(), text.into()));
    Value::Table(table.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use stockade_policy::{Access, Context, FileOperation, Policy, Sources, Verdict};

    fn built(source: Source) -> Policy {
        let sources = Sources {
            preset: None,
            layers: vec![source],
        };
        let context = Context {
            workspaces: vec!["/w".into()],
            home: "/h".into(),
            tmp: "/tmp".into(),
            config: "/h/.config".into(),
            cache: "/h/.cache".into(),
            runtime: "/run/user/1".into(),
            environment: Default::default(),
        };
        Policy::build(&sources, context).unwrap()
    }

    #[test]
    fn a_name_says_nothing_but_itself() {
        let mut names: Vec<String> = (1..=0x7f_u8)
            .filter(|c| *c != b'/')
            .map(|c| format!("/a{}b", char::from(c)))
            .collect();
        names.extend(
            [
                "/a\"]\nwrite = [\"/\"]\n#b",
                "/a\\",
                "/\"\"\"a\n",
                "/a${home}b",
                "/a[*]b",
                "/[$]{home}",
                "/a\u{85}\u{2028}\u{202e}b",
            ]
            .map(String::from),
        );
        for name in names {
            let path = Path::new(&name);
            let literally = |key: &str, value: Value| {
                let policy =
                    built(source("x", "x", &[("filesystem", vec![(key, value)])]).unwrap());
                let own = policy
                    .rules()
                    .iter()
                    .filter(|r| r.id.as_str().starts_with("x:"));
                let own: Vec<_> = own.cloned().collect();
                assert_eq!(own.len(), 1, "{name:?}");
                assert_eq!(own[0].globs[0].literal(), Some(path.into()));
                own[0].because.clone()
            };
            literally("read", vec![literal(path).unwrap()].into());
            let marks = vec![mark(covering(path), "deny", &name)];
            let because = literally("protect", marks.into());
            assert_eq!(because.as_ref(), Some(&name));
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_covered() {
        let path = Path::new(OsStr::from_bytes(b"/w/a\xff\xfe*b/\xff"));
        assert_eq!(literal(path), None);
        let marks = vec![
            ("write", vec!["/w".to_owned()].into()),
            (
                "protect",
                vec![mark(covering(path), "deny", "because")].into(),
            ),
        ];
        let policy = built(source("x", "x", &[("filesystem", marks)]).unwrap());
        let verdict = |path: &Path| {
            policy.verdict(&Access::File {
                operation: FileOperation::Write,
                path,
            })
        };
        assert_eq!(verdict(path), Verdict::Deny);
        assert_eq!(verdict(Path::new("/w/ab/c")), Verdict::Allow);
    }
}
