//! `stockade quarantine`: what sessions left under protected names.

use crate::cli::QuarantineCommand;
use crate::exit::Failure;
use crate::layers;
use crate::output::{agreed, escaped, say};
use crate::protect::quarantine::{self, What};
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Of a file that is shown.
const SHOWN: u64 = 64 << 10;

pub fn run(command: &QuarantineCommand) -> Result<u8, Failure> {
    let state = layers::state(&layers::home()?);
    match command {
        QuarantineCommand::List { json } => list(&state, *json)?,
        QuarantineCommand::Show { id } => show(&state, id)?,
        QuarantineCommand::Restore { id, yes } => {
            let (entry, content) = quarantine::find(&state, id)?;
            say(&format!(
                "{}: {}",
                escaped(&entry.path.display().to_string()),
                entry.because
            ))?;
            if !yes {
                if !std::io::stdin().is_terminal() {
                    return Err(Failure::Usage(
                        "no terminal to ask on; `--yes` restores without asking".into(),
                    ));
                }
                tree(&content, 0)?;
                if !agreed("restore it? [y/N] ")? {
                    return Ok(1);
                }
            }
            say(&match quarantine::restore(&state, id)? {
                Some(id) => format!("restored; what stood there is in the quarantine: `{id}`"),
                None => "restored".into(),
            })?;
        }
        QuarantineCommand::Drop { id } => {
            quarantine::drop_entry(&state, id)?;
            say("dropped")?;
        }
    }
    Ok(0)
}

fn list(state: &Path, json: bool) -> Result<(), Failure> {
    let entries = quarantine::list(state);
    if json {
        return Ok(say(
            &serde_json::to_string_pretty(&entries).map_err(std::io::Error::other)?
        )?);
    }
    for entry in entries {
        let what = match entry.what {
            What::Appeared => "appeared",
            What::Original => "original",
        };
        say(&format!(
            "{}  {what}  {}  {}",
            escaped(&entry.id),
            escaped(&entry.path.display().to_string()),
            escaped(&entry.rule)
        ))?;
    }
    Ok(())
}

fn show(state: &Path, id: &str) -> Result<(), Failure> {
    let (entry, content) = quarantine::find(state, id)?;
    say(&format!(
        "path     {}",
        escaped(&entry.path.display().to_string())
    ))?;
    say(&format!("rule     {}", escaped(&entry.rule)))?;
    say(&format!("because  {}", escaped(&entry.because)))?;
    if let Some(aside) = &entry.aside {
        say(&format!("aside    {}", escaped(aside)))?;
    }
    if content.is_symlink() || content.is_dir() {
        return tree(&content, 0);
    }
    let fail = |e| Failure::file("show", &content, e);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&content).map_err(fail)?;
    file.take(SHOWN).read_to_end(&mut bytes).map_err(fail)?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        say(&format!("  {}", escaped(line)))?;
    }
    Ok(())
}

/// Names and links, no content.
fn tree(path: &Path, depth: usize) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let link = match path.read_link() {
        Ok(target) => format!(" -> {}", target.display()),
        Err(_) => String::new(),
    };
    let line = format!("{name}{link}");
    say(&format!("  {}{}", "  ".repeat(depth), escaped(&line)))?;
    if path.is_dir() && !path.is_symlink() && depth < 16 {
        let entries = std::fs::read_dir(path).map_err(|e| Failure::file("show", path, e))?;
        for entry in entries.flatten() {
            tree(&entry.path(), depth + 1)?;
        }
    }
    Ok(())
}
