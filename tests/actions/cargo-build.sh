# marks: 5+
export RUSTC_WRAPPER=$PWD/wrapper CARGO_HOME=${CARGO_HOME:-$USER_HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$USER_HOME/.rustup} PATH=$PATH:$USER_HOME/.cargo/bin CARGO_TARGET_DIR=$PWD/target
printf '#!/bin/sh\nmark\nexec "$@"\n' >wrapper; chmod 755 wrapper
mkdir src; printf '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n' >Cargo.toml; echo 'fn main() {}' >src/main.rs
cat >build.rs <<'P'
use std::io::Write;
fn main() {
    let var = |n| std::env::var(n).unwrap();
    let mut t = std::fs::OpenOptions::new().append(true).open(var("TRUTH")).unwrap();
    t.write_all(format!("{} {}\n", var("STEP"), std::process::id()).as_bytes()).unwrap();
    std::process::Command::new("mark").status().unwrap();
}
P
step a 'm; cargo build -q --offline'
