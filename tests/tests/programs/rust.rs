//! cargo, with its dependencies fetched before, as a user has it.

use crate::Work;
use std::path::{Path, PathBuf};
use std::process::Command;
use stockade_tests::Place;

/// What the crate depends on, in versions that this workspace has: one with a build script too.
const CRATES: &[&str] = &["itoa", "libc"];

const MANIFEST: &str = r#"mkdir -p src tests; cat > Cargo.toml <<'X'
[package]
name = "work"
version = "0.1.0"
edition = "2021"
[dependencies]
itoa = "1"
libc = "0.2"
macros = { path = "macros" }
X
mkdir -p macros/src; cat > macros/Cargo.toml <<'X'
[package]
name = "macros"
version = "0.1.0"
edition = "2021"
[lib]
proc-macro = true
X
cat > macros/src/lib.rs <<'X'
#[proc_macro]
pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { "42".parse().unwrap() }
X
cat > src/lib.rs <<'X'
//! ```
//! assert_eq!(work::twice(2), 4);
//! ```
pub fn shown() -> String { itoa::Buffer::new().format(macros::answer!()).to_owned() }
pub fn twice(n: i32) -> i32 { n * 2 }
pub fn pid() -> i32 { unsafe { libc::getpid() } }
#[test]
fn threads() { std::thread::scope(|s| { for n in 0..4 { s.spawn(move || assert_eq!(twice(n), n + n)); } }); }
X
cat > src/main.rs <<'X'
fn main() { println!("{} {}", work::shown(), work::pid() > 0); }
X
cat > tests/files.rs <<'X'
#[test]
fn temporary_files() {
    let path = std::env::temp_dir().join(format!("work-{}", std::process::id()));
    std::fs::write(&path, "x").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
    std::fs::remove_file(path).unwrap();
}
#[test]
fn the_program() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_work")).output().unwrap();
    assert_eq!(out.stdout, b"42 true\n");
}
X
"#;

#[test]
fn build_and_test_a_crate_with_dependencies() {
    Work::new("cargo")
        .prepare(toolchain)
        .path("~/.cargo/bin")
        .before(format!("{MANIFEST}cargo fetch -q --offline"))
        .unlike(&["target"])
        .same(
            "export CARGO_TERM_COLOR=never CARGO_NET_OFFLINE=true CARGO_BUILD_JOBS=2
             cargo build --quiet; cargo run --quiet; cargo test 2> /dev/null | sed 's/finished in .*//' | sort
             cargo build 2>&1 | sed 's/ in .*//'; cargo metadata --format-version 1 | wc -l; cargo tree --depth 1
             touch src/lib.rs; cargo check --quiet; cargo clean 2>&1 | wc -l; cargo --version; rustc --version",
        );
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {out:?}");
}

/// The tool chain that runs this test, in the place's home: a rustup user's, or one without rustup.
/// Hard links where the file system has them: it is half a gigabyte.
fn toolchain(place: &Place) {
    let out = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let from = PathBuf::from(String::from_utf8(out.stdout).unwrap().trim());
    let cargo = place.home().join(".cargo");
    let to = place.home().join(".rustup/toolchains/stable");
    std::fs::create_dir_all(cargo.join("bin")).unwrap();
    std::fs::create_dir_all(to.join("lib/rustlib")).unwrap();
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for part in ["bin", "lib/*.so*", "lib/rustlib/HOST"] {
        let into = to.join(part).parent().unwrap().to_owned();
        let link = format!(
            "cp -rl {from}/{part} {into} 2>/dev/null || cp -r {from}/{part} {into}",
            from = from.display(),
            part = part.replace("HOST", &host),
            into = into.display()
        );
        run(Command::new("sh").args(["-c", &link]));
    }
    for program in ["cargo", "rustc", "rustdoc"] {
        std::os::unix::fs::symlink(
            to.join("bin").join(program),
            cargo.join("bin").join(program),
        )
        .unwrap();
    }
    registry(&cargo);
}

/// The index and the crates that this workspace has fetched, without what they were unpacked to.
fn registry(cargo: &Path) {
    let own = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let own =
        own.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"));
    let names = CRATES.iter().map(|c| format!("--include={c}-[0-9]*.crate"));
    std::fs::create_dir_all(cargo.join("registry")).unwrap();
    run(Command::new("cp")
        .arg("-r")
        .arg(own.join("registry/index"))
        .arg(cargo.join("registry")));
    run(Command::new("rsync")
        .args(["-r", "--include=*/"])
        .args(names)
        .args(["--exclude=*"])
        .arg(own.join("registry/cache"))
        .arg(cargo.join("registry")));
    let settings = own.join("config.toml");
    if settings.exists() {
        std::fs::copy(settings, cargo.join("config.toml")).unwrap();
    }
    run(Command::new("chmod").args(["-R", "a+rwX"]).arg(cargo));
}
