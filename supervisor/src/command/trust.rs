//! `stockade trust`: shows what the project's allow rules open, asks, remembers path and hash.

use crate::cli::Trust;
use crate::exit::Failure;
use crate::layers::{self, PROJECT_FILE};
use crate::output::{agreed, escaped, say};
use crate::trust;
use std::io::IsTerminal;
use stockade_policy::{Layer, Source, Sources};

pub fn run(asked: &Trust) -> Result<u8, Failure> {
    let directories: Vec<_> = asked.directory.iter().cloned().collect();
    let context = layers::context(&directories)?;
    let path = context.workspaces[0].join(PROJECT_FILE);
    let Some(text) = layers::read(&path, false)? else {
        return Err(Failure::Usage(format!(
            "{} does not exist; there is nothing to trust",
            escaped(&path.display().to_string())
        )));
    };
    let state = layers::state(&context.home);
    let layer = Source {
        layer: Layer::Project { trusted: false },
        origin: path.display().to_string(),
        text: text.clone(),
    };
    let policy = layers::build(
        &Sources {
            preset: None,
            layers: vec![layer],
        },
        context,
    )?;
    say(&format!(
        "{} would open:",
        escaped(&path.display().to_string())
    ))?;
    for id in &policy.ignored {
        say(&format!("  {}", escaped(id.as_str())))?;
    }
    if policy.ignored.is_empty() {
        say("  nothing: it only tightens and counts already")?;
    }
    if !asked.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "no terminal to ask on; `--yes` trusts without asking".into(),
            ));
        }
        if !agreed("trust it? [y/N] ")? {
            say("not trusted")?;
            return Ok(1);
        }
    }
    trust::trust(&state, &path, &text)?;
    say("trusted until it changes")?;
    Ok(0)
}
