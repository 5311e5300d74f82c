//! `calls DIRECTORY`: makes system calls of every decoded kind, each with the same arguments whenever it runs, so that
//! two tracers can be compared. What a call answers is not looked at: most are made to fail as well.
#![allow(
    unsafe_code,
    reason = "calls that no library wraps, with pointers that lead nowhere"
)]

#[cfg(target_arch = "x86_64")]
#[path = "calls/all.rs"]
mod all;

#[cfg(target_arch = "x86_64")]
fn main() {
    all::main();
}

#[cfg(not(target_arch = "x86_64"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    Err("many of these calls are not there on this architecture".into())
}
