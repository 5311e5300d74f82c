//! `stockade generate`: the man page and completions, from the command line's own rows.

use crate::cli::{Arguments, Generate};
use crate::exit::Failure;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::io::Write;

pub fn run(what: Generate) -> Result<u8, Failure> {
    let mut command = Arguments::command();
    let mut text = Vec::new();
    match what {
        Generate::Man => {
            command.build();
            Man::new(command.clone()).render(&mut text)?;
            subcommands(&command, &mut text)?;
        }
        Generate::Completions { shell } => {
            clap_complete::generate(shell, &mut command, "stockade", &mut text);
        }
    }
    std::io::stdout().write_all(&text)?;
    Ok(0)
}

/// One page for all: what would be a page of each subcommand is a section.
fn subcommands(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let shown = |c: &&Command| !c.is_hide_set() && c.get_name() != "help";
    for sub in command.get_subcommands().filter(shown) {
        let name = sub.get_bin_name().unwrap_or(sub.get_name()).to_owned();
        writeln!(out, ".SH \"{}\"", name.to_uppercase())?;
        let mut text = Vec::new();
        let page = Man::new(sub.clone());
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        if sub.get_arguments().next().is_some() {
            page.render_options_section(&mut text)?;
        }
        let text = String::from_utf8_lossy(&text).replace(".SH ", ".SS ");
        out.write_all(text.as_bytes())?;
        subcommands(sub, out)?;
    }
    Ok(())
}
