//! What is said when a session is over, and the exit status.

use super::run::host_network;
use crate::cli::Run;
use crate::denials::{self, watch::Watched};
use crate::exit::Failure;
use crate::finding::Finding;
use crate::output::{complain, escaped};
use crate::session::{self, Over};
use stockade_enforce::{Exit, Plan};
use stockade_policy::Policy;

pub fn summary(run: &Run, policy: &Policy, plan: &Plan, over: &Over, findings: &[Finding]) {
    let grave = findings.iter().any(|f| f.grave);
    if run.quiet && !grave {
        return;
    }
    say_all(findings);
    if run.quiet {
        return;
    }
    for id in &policy.ignored {
        complain(&format!(
            "stockade: not counted, {}: {}",
            if id.as_str().starts_with("project:") {
                "the project's file is not trusted"
            } else {
                "a layer below is final"
            },
            escaped(id.as_str())
        ));
    }
    if over.timed_out {
        let seconds = plan.wall.unwrap_or(0);
        complain(&format!("stockade: ended after {seconds} s (limits.wall)"));
    }
    if matches!(over.result, Ok(Exit::OutOfMemory)) {
        let bytes = plan.memory.unwrap_or(0);
        complain(&format!(
            "stockade: ended by the kernel: the session used more than {bytes} bytes of memory (limits.memory)"
        ));
    }
    if host_network(policy) {
        complain("stockade: the host's network was reachable, unfiltered (network.namespace)");
    }
}

pub fn say_all(findings: &[Finding]) {
    for finding in findings {
        let text = escaped(&finding.text);
        complain(&if finding.grave && crate::output::colour() {
            format!("\x1b[31mstockade: {text}\x1b[0m")
        } else {
            format!("stockade: {text}")
        });
    }
}

pub fn status(over: Over) -> Result<u8, Failure> {
    Ok(match over.result? {
        // as timeout(1) says it
        Exit::Signal(_) | Exit::OutOfMemory if over.timed_out => 124,
        Exit::OutOfMemory => {
            let signal = nix::sys::signal::Signal::SIGKILL as i32;
            session::end_by(signal)
        }
        Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        Exit::Signal(signal) => session::end_by(signal),
    })
}

pub fn say_denials(over: &Over, watched: Option<Result<Watched, Failure>>) {
    let failed = !matches!(over.result, Ok(Exit::Code(0)));
    match watched {
        Some(Ok(watched)) => denials::summary(&watched, failed),
        Some(Err(failure)) => failure.print(),
        None if matches!(over.result, Ok(Exit::Code(code)) if code != 0) => complain(
            "stockade: denials are not visible: to list them takes root, or CAP_BPF and CAP_PERFMON, and a terminal or `--denials always`; `stockade why read|write|exec|connect OBJECT` says what a rule decides",
        ),
        None => {}
    }
}
