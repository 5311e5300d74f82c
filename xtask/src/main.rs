//! `cargo xtask demo` and `cargo xtask test`: from a fresh Debian or Ubuntu machine with Rust.
#![forbid(unsafe_code)]

mod demo;
mod packages;
mod test;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let yes = arguments.iter().any(|a| a == "--yes");
    let outcome = match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(yes),
        Some("test") => test::run(yes),
        Some(_) | None => Err("usage: cargo xtask demo|test [--yes]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The top of the checkout.
fn top() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
