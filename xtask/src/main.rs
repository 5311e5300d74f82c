//! The project's own commands, from a fresh Debian or Ubuntu machine with Rust and a linker.
#![forbid(unsafe_code)]

mod aarch64;
mod bench;
mod counts;
mod demo;
mod deny;
mod library;
mod packages;
mod probes;
mod test;
mod tidy;
mod tiers;
mod tools;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "usage: cargo xtask COMMAND [--yes]
    demo                    a real job under the preset `agent`
    test [--tier NAME]... [--full]
                            the tiers of tests/tiers.toml; all where none is named; --full takes all
                            random cases, faults and rounds instead of a part of them
    tidy                    layout rules
    deny                    licences, sources and advisories of the crates
    bench [--json|--write] [--only NAME]... [--rounds N]
                            what a session costs, beside nothing and beside the peers; --only takes
                            start, open, files, idle or one of their rows; --write puts the tables
                            into docs/benchmarks.md
    aarch64                 the workspace type-checked for aarch64
    probes                  the eBPF object, built from its sources into ebpf-probes/prebuilt
    vm run [KERNEL]... [-- FILTER...]
                            the end-to-end suites on other kernels, in virtual machines; a filter is a suite,
                            or SUITE::PART for the tests of it whose name has that part
    vm shell KERNEL         a shell in one of them
--yes installs what is missing without asking";

fn dispatch(arguments: &[String]) -> Result<(), String> {
    let (command, rest) = arguments.split_first().ok_or(USAGE)?;
    let (mut yes, mut full) = (false, false);
    let mut bench = bench::Run::default();
    let mut tiers = Vec::new();
    if command == "vm" {
        return vm::run(rest);
    }
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match (command.as_str(), word.as_str()) {
            (_, "--yes") => yes = true,
            ("bench", "--json") => bench.json = true,
            ("bench", "--write") => bench.write = true,
            ("bench", "--only") => bench.only.push(words.next().ok_or(USAGE)?.clone()),
            ("bench", "--rounds") => {
                let number = words.next().ok_or(USAGE)?;
                let rounds = number.parse().ok().filter(|n| *n > 0);
                bench.rounds =
                    Some(rounds.ok_or_else(|| format!("{number}: no number of rounds"))?);
            }
            ("test", "--full") => full = true,
            ("test", "--tier") => tiers.push(words.next().ok_or(USAGE)?.clone()),
            _ => return Err(format!("{word}: not an option of {command}\n{USAGE}")),
        }
    }
    let counted = match command.as_str() {
        "demo" => return demo::run(yes),
        "test" => return test::run(&tiers, yes, full),
        "probes" => return probes::run(),
        "bench" => return bench::run(bench::Run { yes, ..bench }),
        "tidy" => tidy::run()?,
        "deny" => deny::run()?,
        "aarch64" => aarch64::run(yes)?,
        _ => return Err(USAGE.into()),
    };
    println!("{counted}");
    counted.verdict()
}

/// The top of the checkout.
fn top() -> std::path::PathBuf {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    // no `..` in it: cargo compares such paths as they are written
    own.parent().unwrap_or(own).to_owned()
}
