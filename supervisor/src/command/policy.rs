//! `stockade policy`: what is merged, and the data it is merged from.

use crate::cli::PolicyCommand;
use crate::exit::Failure;
use crate::layers;
use crate::output::{escaped, say};
use stockade_policy::PRESETS;

pub fn run(command: PolicyCommand) -> Result<u8, Failure> {
    match command {
        PolicyCommand::Show(options) => {
            let policy = layers::policy(&options)?;
            for (key, setting) in policy.settings() {
                say(&format!(
                    "{key} = {}    # {}",
                    escaped(&setting.value),
                    escaped(setting.id.as_str())
                ))?;
            }
            for rule in policy.rules() {
                let because = rule
                    .because
                    .as_deref()
                    .map_or(String::new(), |b| format!("    # {}", escaped(b)));
                say(&format!(
                    "{}{}{because}",
                    escaped(rule.id.as_str()),
                    if rule.report { " (report)" } else { "" }
                ))?;
            }
            for id in &policy.ignored {
                say(&format!(
                    "not counted, the layer may only tighten: {}",
                    escaped(id.as_str())
                ))?;
            }
        }
        PolicyCommand::Presets { name: None } => {
            for preset in PRESETS {
                let about = preset
                    .text
                    .lines()
                    .find_map(|l| l.strip_prefix("description = "))
                    .unwrap_or("")
                    .trim_matches('"');
                say(&format!("{:<10} {about}", preset.name))?;
            }
        }
        PolicyCommand::Presets { name: Some(name) } => {
            let preset = PRESETS.iter().find(|p| p.name == name).ok_or_else(|| {
                Failure::Usage(format!(
                    "no preset `{}`; `stockade policy presets` lists them",
                    escaped(&name)
                ))
            })?;
            say(preset.text.trim_end())?;
        }
        PolicyCommand::Add { line } => return super::add::run(&line),
        PolicyCommand::Schema => say(&format!("{:#}", stockade_policy::json_schema()))?,
    }
    Ok(0)
}
