//! `stockade policy add`: one line into the user's policy file, everything else left as it is.

use crate::exit::Failure;
use crate::layers;
use crate::output::{escaped, say};
use crate::own;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use stockade_policy::{Layer, Source, Sources};
use toml_edit::{DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

const EXAMPLE: &str = "such as `filesystem.read = [\"/x\"]` or `[filesystem] read = [\"/x\"]`";

pub fn run(line: &str) -> Result<u8, Failure> {
    if own::inside() {
        return Err(Failure::Usage(
            "nothing in a session can add to its policy; run `stockade policy add` outside".into(),
        ));
    }
    let context = layers::context(&[])?;
    let named = context.config.join("stockade/policy.toml");
    // a link into somebody's collection of settings stays one
    let path = named.canonicalize().unwrap_or(named);
    let old = layers::read(&path, true)?;
    let before = old.clone().unwrap_or_else(|| "version = 1\n".into());
    let parsed = before.parse::<DocumentMut>();
    let Ok(mut document) = parsed else {
        // what is wrong is shown as `check` shows it
        check(&path, before, context)?;
        return Err(Failure::Usage(format!(
            "{}: not changed",
            escaped(&path.to_string_lossy())
        )));
    };
    merge(document.as_table_mut(), parse(line)?.as_table())?;
    let after = document.to_string();
    let shown = escaped(&path.to_string_lossy());
    if old.as_ref() == Some(&after) {
        say(&format!("{shown}: has it already: {}", escaped(line)))?;
        return Ok(0);
    }
    check(&path, after.clone(), context)?;
    write(&path, &after).map_err(|e| Failure::file("write the policy", &path, e))?;
    say(&format!("{shown}: added: {}", escaped(line)))?;
    Ok(0)
}

/// A line of TOML, or a table's head and a key of it in one line, as `why` prints it.
fn parse(line: &str) -> Result<DocumentMut, Failure> {
    let line = line.trim();
    let text = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((table, rest)) => format!("[{table}]\n{rest}"),
        None => line.to_owned(),
    };
    let usage = |why: &str| {
        Failure::Usage(format!(
            "`{}`: {}; it takes one line of a policy, {EXAMPLE}",
            escaped(line),
            escaped(why)
        ))
    };
    let document = text
        .parse::<DocumentMut>()
        .map_err(|e| usage(e.message()))?;
    let empty = |(_, item): (&str, &Item)| item.as_table().is_some_and(Table::is_empty);
    if document.is_empty() || document.iter().any(empty) {
        return Err(usage("nothing to add"));
    }
    Ok(document)
}

/// Lists get what they do not have, tables are gone into, anything else is set.
fn merge(into: &mut dyn TableLike, from: &dyn TableLike) -> Result<(), Failure> {
    for (key, new) in from.iter() {
        let Some(old) = into.get_mut(key).filter(|old| !old.is_none()) else {
            into.insert(key, fresh(new));
            continue;
        };
        if let (Some(old), Some(new)) = (old.as_table_like_mut(), new.as_table_like()) {
            merge(old, new)?;
        } else if let (Some(old), Some(new)) = (old.as_array_mut(), new.as_array()) {
            for item in new {
                append(old, item);
            }
        } else if let (Some(old), Some(new)) = (old.as_value_mut(), new.as_value()) {
            if old.is_array() || new.is_array() {
                return Err(Failure::Usage(format!(
                    "`{}` is a list and a single value; not changed",
                    escaped(key)
                )));
            }
            // the comment behind it stays
            let decor = old.decor().clone();
            if plain(old) != plain(new) {
                *old = new.clone();
                *old.decor_mut() = decor;
            }
        } else {
            return Err(Failure::Usage(format!(
                "`{}` is a table and a value; not changed",
                escaped(key)
            )));
        }
    }
    Ok(())
}

/// As a new entry: without what stood around it in the line.
fn fresh(item: &Item) -> Item {
    match item {
        Item::Table(table) => {
            let mut own = Table::new();
            for (key, item) in table {
                own.insert(key, fresh(item));
            }
            Item::Table(own)
        }
        Item::Value(Value::InlineTable(table)) => {
            let own: InlineTable = table
                .iter()
                .map(|(key, value)| (key.to_owned(), value.clone()))
                .collect();
            Item::Value(own.into())
        }
        Item::Value(value) => {
            let mut value = value.clone();
            value.decor_mut().clear();
            Item::Value(value)
        }
        Item::None | Item::ArrayOfTables(_) => item.clone(),
    }
}

fn plain(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// On a line of its own where the others are.
fn append(list: &mut toml_edit::Array, item: &Value) {
    let same = |v: &Value| match (v.as_str(), item.as_str()) {
        (Some(a), Some(b)) => a == b,
        _ => plain(v) == plain(item),
    };
    if list.iter().any(same) {
        return;
    }
    let mut item = item.clone();
    item.decor_mut().clear();
    let text = |raw: Option<&RawString>| raw.and_then(|r| r.as_str()).unwrap_or("").to_owned();
    let before = text(list.iter().last().and_then(|v| v.decor().prefix()));
    let Some(start) = before.rfind('\n') else {
        list.push(item);
        return;
    };
    // what stands behind the last one, its comment and the line's end, stays there
    let last = list.len() - 1;
    let mut behind = String::new();
    if let Some(last) = list.get_mut(last) {
        behind = text(last.decor().suffix());
        last.decor_mut().set_suffix("");
    }
    behind += &text(Some(list.trailing()));
    let (comment, end) = behind.split_at(behind.rfind('\n').unwrap_or(behind.len()));
    item.decor_mut()
        .set_prefix(format!("{comment}{}", &before[start..]));
    list.push_formatted(item);
    list.set_trailing(end);
    list.set_trailing_comma(true);
}

/// As `stockade check` reads it.
fn check(path: &Path, text: String, context: stockade_policy::Context) -> Result<(), Failure> {
    let layer = Source {
        layer: Layer::User,
        origin: path.display().to_string(),
        text,
    };
    let sources = Sources {
        preset: None,
        layers: vec![layer],
    };
    layers::build(&sources, context).map(drop)
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mode = path.metadata().map_or(0o600, |m| m.permissions().mode());
    let fresh = folder.join(format!(".policy-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode & 0o777)
        .open(&fresh)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        std::fs::remove_file(&fresh)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(before: &str, line: &str) -> String {
        let mut document: DocumentMut = before.parse().unwrap();
        let parsed = parse(line).unwrap();
        merge(document.as_table_mut(), parsed.as_table()).unwrap();
        document.to_string()
    }

    #[test]
    fn both_forms_add_and_everything_else_stays() {
        let before = "# mine\nversion = 1 # first\n\n[filesystem]\n# why\nread = [\"/a\"] # two\n";
        let after = before.replace("[\"/a\"]", "[\"/a\", \"/x\"]");
        for line in ["filesystem.read = ['/x']", "[filesystem] read = [ '/x' ]"] {
            assert_eq!(added(before, line).replace('\'', "\""), after);
        }
        assert_eq!(added(&after, "filesystem.read = [\"/x\", '/a']"), after);
        let lines =
            "version = 1\n[filesystem]\nread = [\n    \"/a\", # one\n    # two\n    \"/b\",\n]\n";
        assert_eq!(
            added(lines, "filesystem.read = [\"/x\"]"),
            lines.replace("\"/b\",\n", "\"/b\",\n    \"/x\",\n")
        );
        assert_eq!(
            added("read = [\n  '/a', # one\n]\n", "read = ['/x']"),
            "read = [\n  '/a', # one\n  '/x',\n]\n"
        );
        assert_eq!(
            added("read = [\n  '/a' # one\n]\n", "read = ['/x']"),
            "read = [\n  '/a', # one\n  '/x',\n]\n"
        );
    }

    #[test]
    fn new_tables_and_scalars() {
        assert_eq!(
            added("version = 1\n", "[exec] default = \"allow\""),
            "version = 1\n\n[exec]\ndefault = \"allow\"\n"
        );
        assert_eq!(
            added(
                "[exec]\ndefault = \"deny\" # strict\n",
                "exec.default = \"allow\""
            ),
            "[exec]\ndefault = \"allow\" # strict\n"
        );
        let set = added("version = 1\n", "[environment] set = { A = \"b\" }");
        assert!(set.contains("set = { A = \"b\" }"), "{set}");
    }

    #[test]
    fn what_is_no_line_of_a_policy_is_refused() {
        for line in [
            "",
            "[filesystem]",
            "read",
            "= 1",
            "[filesystem read = []",
            "# x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        let mut document: DocumentMut = "[filesystem]\nread = ['/a']\n".parse().unwrap();
        let parsed = parse("filesystem.read = '/x'").unwrap();
        assert!(merge(document.as_table_mut(), parsed.as_table()).is_err());
    }
}
