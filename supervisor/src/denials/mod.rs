//! What a session was refused, and by which rule.
//!
//! The kernel says that a call failed; nothing in it says why. A denial is an access that the policy denies and that was
//! answered as this level answers what is denied; a failure that the policy does not explain is none.

mod access;
pub mod audit;
mod calls;
pub mod change;
mod judge;
mod own;
pub mod record;
mod sockets;
mod verdict;
mod view;
pub mod watch;

use crate::output::{complain, escaped};
use record::Denial;
use stockade_policy::Verdict;

pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Ask => "ask",
        Verdict::Deny => "deny",
    }
}

/// In the summary at most; the others are said as a number.
const LINES: usize = 5;

/// One line: what, how it looked, why, what to do.
pub fn said(denial: &Denial) -> String {
    let times = if denial.times == 1 {
        String::new()
    } else {
        format!(", {} times", denial.times)
    };
    let change = denial.change.as_ref().map_or_else(
        || "no line of policy allows it".into(),
        |line| format!("to allow: {line}"),
    );
    format!(
        "{} {} ({}{times}) by {}; {change}",
        denial.verb, denial.object, denial.errno, denial.rule
    )
}

/// At the end of a run. What was only looked for where it is hidden is said where the command failed.
pub fn summary(watched: &watch::Watched, failed: bool) {
    let shown = watched.denials.iter().filter(|d| failed || !d.hidden);
    let mut shown: Vec<&Denial> = shown.collect();
    // stable: each kind in the order in which it came
    shown.sort_by_key(|d| d.hidden);
    for denial in shown.iter().take(LINES) {
        complain(&escaped(&format!("stockade: denied: {}", said(denial))));
    }
    let more = watched.denials.len() - shown.len().min(LINES);
    if more > 0 && (failed || !shown.is_empty()) {
        complain(&format!("stockade: and {more} more denied: `stockade why`"));
    }
    if watched.beyond > 0 {
        complain(&format!(
            "stockade: and {} more denials that were not told apart",
            watched.beyond
        ));
    }
    if watched.lost > 0 {
        complain(&format!(
            "stockade: {} records of failed calls were lost: there may be more denials",
            watched.lost
        ));
    }
}
