//! System calls that the filter refuses: what of the policy closes them.

use super::change;
use super::judge::Refusal;
use nix::libc;
use stockade_events::{Argument, Value};
use stockade_policy::{Access, Decision, Policy, RuleId, Verdict};

/// Of a call that was answered with EPERM by the filter.
pub fn refused(policy: &Policy, call: &str, arguments: &[Argument]) -> Refusal {
    let decision = decision(policy, call, arguments);
    Refusal {
        verb: "call",
        object: call.to_owned(),
        change: change::call(policy, &decision),
        rule: decision.rule,
        hidden: false,
    }
}

fn built_in(text: &str) -> Decision {
    Decision {
        verdict: Verdict::Deny,
        rule: RuleId::new("built-in", "syscalls", text),
    }
}

fn decision(policy: &Policy, call: &str, arguments: &[Argument]) -> Decision {
    let by_name = policy.decide(&Access::SystemCall { name: call });
    if by_name.verdict == Verdict::Deny {
        return by_name;
    }
    let by =
        |access: &Access<'_>| Some(policy.decide(access)).filter(|d| d.verdict == Verdict::Deny);
    let inside = Access::Process {
        inside: true,
        ptrace: true,
    };
    let outside = Access::Process {
        inside: false,
        ptrace: false,
    };
    let closed = match call {
        "clone" | "unshare" => by(&Access::UserNamespace),
        "ptrace" | "process_vm_readv" | "process_vm_writev" => by(&inside),
        "prlimit64" | "setpriority" | "ioprio_set" | "kill" => by(&outside),
        "socket" | "socketpair" if is_inet(arguments) => no_network(policy),
        "sendto" | "sendmsg" | "sendmmsg" => no_network(policy),
        _ => None,
    };
    closed.unwrap_or_else(|| built_in(why(call)))
}

fn no_network(policy: &Policy) -> Option<Decision> {
    let setting = policy
        .setting("network.default")
        .filter(|s| s.value == "deny")?;
    Some(Decision {
        verdict: Verdict::Deny,
        rule: setting.id.clone(),
    })
}

/// IPv4 or IPv6: the first argument, as a number where it is not decoded.
fn is_inet(arguments: &[Argument]) -> bool {
    match arguments.first().map(|a| &a.value) {
        Some(Value::Flags(text)) => matches!(text.as_str(), "AF_INET" | "AF_INET6"),
        Some(_) => arguments
            .first()
            .and_then(super::access::number)
            .is_some_and(|n| [libc::AF_INET, libc::AF_INET6].map(i64::from).contains(&n)),
        None => false,
    }
}

/// What no line opens.
fn why(call: &str) -> &str {
    match call {
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "creat" | "mknod" | "mknodat" | "open"
        | "openat" => "no file is made set-user-id or set-group-id, none cut by its name alone",
        "ioctl" => "nothing types into the terminal",
        "fcntl" => "no lease on a file",
        "socket" | "socketpair" => "sockets of this family or type",
        "shmget" | "shmat" | "shmctl" | "shmdt" | "semget" | "semop" | "semctl" | "semtimedop"
        | "msgget" | "msgsnd" | "msgrcv" | "msgctl" | "mq_open" | "mq_unlink" => {
            "objects that are shared with the host"
        }
        other => other,
    }
}
