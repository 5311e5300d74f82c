//! What stockade itself prints. Text from outside is escaped before it reaches a terminal.

use std::io::Write;
pub use stockade_policy::escaped;

/// One message on standard error.
pub fn complain(text: &str) {
    // a closed standard error leaves nobody to tell
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// On standard output; a closed pipe is reported to the caller.
pub fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

pub fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Asks on the terminal; anything but yes is no.
pub fn agreed(question: &str) -> std::io::Result<bool> {
    use std::io::BufRead;
    write!(std::io::stdout(), "{question}")?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}
