//! What the work is done on: made once for each sub-benchmark, the same in every run.

use super::place::Place;
use super::ways::output;
use crate::top;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

pub const FILES: usize = 20_000;
pub const COMMITS: usize = 2_000;
pub const TRACKED: usize = 5_000;
pub const C_FILES: usize = 50;

/// Where cargo finds the crate's dependency: in a folder that the preset overlays.
const VENDORED: &str = "home/.cargo/registry/vendored/part";
const PARTS: usize = 10;

/// Small files, 200 a folder.
pub fn files(place: &Place, below: &str) -> Result<(), String> {
    let text = "a line of text, as any other\n".repeat(20);
    (0..FILES).try_for_each(|n| place.write(&format!("{below}/{:03}/{n:05}", n / 200), &text))
}

pub fn c_project(place: &Place) -> Result<(), String> {
    let mut header = String::from("#include <stdio.h>\n#include <stdlib.h>\n");
    let mut main = String::from("#include \"all.h\"\nint main(void)\n{\n    long sum = 0;\n");
    for n in 0..C_FILES {
        header += &format!("long part_{n}(long);\n");
        main += &format!("    sum += part_{n}(sum);\n");
        let mut text = String::from("#include \"all.h\"\n");
        for m in 0..8 {
            text += &format!(
                "static long step_{m}(long n)\n{{\n    for (long k = 0; k < n; k++)\n        n ^= k * {m};\n    return n;\n}}\n"
            );
        }
        let calls: String = (0..8).map(|m| format!(" + step_{m}(n)")).collect();
        text += &format!("long part_{n}(long n)\n{{\n    return n{calls};\n}}\n");
        place.write(&format!("work/c/part_{n}.c"), &text)?;
    }
    main += "    printf(\"%ld\\n\", sum);\n    return 0;\n}\n";
    place.write("work/c/all.h", &header)?;
    place.write("work/c/main.c", &main)?;
    place.write(
        "work/c/Makefile",
        "objects := $(patsubst %.c,%.o,$(wildcard *.c))\n\
         program: $(objects)\n\tcc -o $@ $(objects)\n\
         %.o: %.c all.h\n\tcc -c -o $@ $<\n\
         clean:\n\trm -f program *.o\n",
    )
}

/// A crate with one dependency, fetched already.
pub fn crate_with_dependency(place: &Place) -> Result<(), String> {
    place.write(
        "work/crate/Cargo.toml",
        "[package]\nname = \"whole\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\npart = \"1\"\n",
    )?;
    place.write(
        "work/crate/.cargo/config.toml",
        &format!(
            "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"{}\"\n",
            place.at(VENDORED).parent().unwrap_or(Path::new("/")).display()
        ),
    )?;
    place.write(
        "work/crate/src/main.rs",
        "fn main() {\n    println!(\"{}\", part::sum(7));\n}\n",
    )?;
    place.write(
        &format!("{VENDORED}/Cargo.toml"),
        "[package]\nname = \"part\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    )?;
    place.write(
        &format!("{VENDORED}/.cargo-checksum.json"),
        "{\"files\":{}}",
    )?;
    let mut lib = String::new();
    for n in 0..PARTS {
        lib += &format!("pub mod part_{n};\n");
        let functions: String = (0..10)
            .map(|m| format!("pub fn step_{m}(n: u64) -> Vec<String> {{\n    (0..n).map(|k| format!(\"{{k}}:{m}\")).collect()\n}}\n"))
            .collect();
        place.write(&format!("{VENDORED}/src/part_{n}.rs"), &functions)?;
    }
    let calls: String = (0..PARTS)
        .map(|n| format!(" + part_{n}::step_1(n).len()"))
        .collect();
    lib += &format!("pub fn sum(n: u64) -> usize {{\n    0{calls}\n}}\n");
    place.write(&format!("{VENDORED}/src/lib.rs"), &lib)
}

/// The folder of the toolchain that builds stockade itself.
pub fn toolchain() -> Result<String, String> {
    let mut command = Command::new("rustc");
    output(command.args(["--print", "sysroot"]).current_dir(top()))
        .map(|text| text.trim().to_owned())
}

/// The workspace itself is a repository with a history.
pub fn repository(place: &Place) -> Result<(), String> {
    git(place, &["init", "--quiet", "--initial-branch", "main"], "")?;
    git(place, &["fast-import", "--quiet"], &history())?;
    git(place, &["reset", "--quiet", "--hard", "main"], "")
}

/// As `git fast-import` reads it: all files first, then three changed by each commit.
fn history() -> String {
    let mut out = String::new();
    for commit in 0..COMMITS {
        let files: Vec<usize> = if commit == 0 {
            (0..TRACKED).collect()
        } else {
            (0..3).map(|n| (commit * 7 + n * 1_201) % TRACKED).collect()
        };
        let message = format!("change {commit}\n");
        out += &format!(
            "commit refs/heads/main\ncommitter a <a@localhost> {} +0000\ndata {}\n{message}",
            1_577_836_800 + commit,
            message.len()
        );
        for file in files {
            let text = format!("file {file}, commit {commit}\n").repeat(20);
            out += &format!(
                "M 100644 inline src/{:02}/{file:04}\ndata {}\n{text}",
                file / 100,
                text.len()
            );
        }
    }
    out
}

fn git(place: &Place, words: &[&str], input: &str) -> Result<(), String> {
    let mut command = place.command(Path::new("git"));
    command.args(words).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("git: {e}"))?;
    let mut stdin = child.stdin.take().ok_or("git without input")?;
    stdin
        .write_all(input.as_bytes())
        .map_err(|e| format!("git {words:?}: {e}"))?;
    drop(stdin);
    let status = child.wait().map_err(|e| e.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("git {words:?}: {status}"))
    }
}
