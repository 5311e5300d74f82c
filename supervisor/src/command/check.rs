//! `stockade check`: every mistake; how many names each pattern matches now.

use crate::cli::Check;
use crate::exit::Failure;
use crate::layers;
use crate::output::{escaped, say};
use std::path::Path;
use stockade_policy::{Glob, Layer, Source, Sources};

/// Names looked at for one pattern; more is said as "more than".
const LOOK_AT: usize = 100_000;

pub fn run(check: &Check) -> Result<u8, Failure> {
    let mut wrong = false;
    for file in &check.files {
        let Some(text) = layers::read(file, true)? else {
            return Err(Failure::file(
                "read the policy",
                file,
                std::io::ErrorKind::NotFound.into(),
            ));
        };
        let sources = Sources {
            preset: None,
            layers: vec![Source {
                layer: Layer::User,
                origin: file.display().to_string(),
                text,
            }],
        };
        match layers::build(&sources, layers::context(&[])?) {
            Ok(policy) => {
                say(&format!("{}: good", escaped(&file.display().to_string())))?;
                for rule in policy
                    .rules()
                    .iter()
                    .filter(|r| r.id.as_str().starts_with("user:") && !r.globs.is_empty())
                {
                    let (count, more) = rule
                        .globs
                        .iter()
                        .map(count)
                        .fold((0, false), |(n, m), (a, b)| (n + a, m | b));
                    say(&format!(
                        "  {} matches {}{count} {}",
                        escaped(rule.id.as_str()),
                        if more { "more than " } else { "" },
                        if count == 1 { "name" } else { "names" }
                    ))?;
                }
            }
            Err(failure) => {
                failure.print();
                wrong = true;
            }
        }
    }
    Ok(u8::from(wrong))
}

/// Names that the pattern itself matches (what is below them is covered, not counted).
fn count(glob: &Glob) -> (usize, bool) {
    if let Some(path) = glob.literal() {
        return (usize::from(path.symlink_metadata().is_ok()), false);
    }
    let (mut matched, mut seen) = (0, 0);
    let mut folders = vec![glob.root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > LOOK_AT {
                return (matched, true);
            }
            let path = entry.path();
            if glob.covers(&path) {
                matched += 1;
            } else if is_folder(&path) && glob.reaches_below(&path) {
                folders.push(path);
            }
        }
    }
    (matched, false)
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_dir())
}
