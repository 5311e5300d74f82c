//! `stockade doctor`: tries each level with a command that does nothing.

use crate::cli::{PolicyOptions, Run};
use crate::exit::Failure;
use crate::output::{escaped, say};
use crate::session;
use stockade_enforce::{Cgroup, HostFacts, Level, launch};

use super::run::Asked;

struct Tried {
    level: Level,
    held: bool,
    reason: Option<String>,
    fix: Option<&'static str>,
}

pub fn run(json: bool) -> Result<u8, Failure> {
    let facts = HostFacts::ask()?;
    let tried: Vec<Tried> = Level::ALL.into_iter().map(|l| attempt(l, &facts)).collect();
    if json {
        let levels: Vec<_> = tried
            .iter()
            .map(|t| {
                serde_json::json!({
                    "level": t.level, "held": t.held, "reason": t.reason, "fix": t.fix,
                })
            })
            .collect();
        let value = serde_json::json!({ "facts": facts, "levels": levels });
        say(&format!("{value:#}"))?;
    } else {
        for t in &tried {
            print(t)?;
        }
        say(&format!("landlock    ABI {}", facts.landlock_abi))?;
        say(&format!("sockets     {}", sockets(&facts)))?;
        say(&format!("cgroup      {}", cgroup(&facts.cgroup)))?;
    }
    Ok(u8::from(!tried.iter().any(|t| t.held)))
}

fn print(tried: &Tried) -> Result<(), Failure> {
    let state = if tried.held { "held" } else { "not held" };
    say(&format!("{:<11} {state}", tried.level.to_string()))?;
    if let Some(reason) = &tried.reason {
        say(&format!("  because   {}", escaped(reason)))?;
    }
    if let Some(fix) = tried.fix {
        say(&format!("  fix       {fix}"))?;
    }
    Ok(())
}

/// At level `landlock`.
fn sockets(facts: &HostFacts) -> String {
    match facts.notify.why_not() {
        None => "level landlock has them, performed by the supervisor".into(),
        Some(why) => format!("level landlock has none with names: {why}"),
    }
}

fn cgroup(found: &Cgroup) -> &'static str {
    match found {
        Cgroup::Delegated(_) => "memory and processes can be limited",
        Cgroup::NotDelegated => {
            "not delegated: start under `systemd-run --user --scope -p Delegate=yes` for limits"
        }
        Cgroup::WithoutControllers => {
            "no memory and pids controllers of version 2: limits.memory and limits.processes are refused"
        }
        Cgroup::None => "none",
    }
}

/// A real launch, in an empty folder of its own, of a program that ends at once.
fn attempt(level: Level, facts: &HostFacts) -> Tried {
    let reason = try_level(level).err();
    let fix = reason.as_ref().and_then(|_| fix(level, facts));
    Tried {
        level,
        held: reason.is_none(),
        reason,
        fix,
    }
}

fn try_level(level: Level) -> Result<(), String> {
    let text = |e: Failure| e.to_string();
    let place = std::env::temp_dir().join(format!("stockade-doctor-{}", std::process::id()));
    std::fs::create_dir(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    let run = Run {
        policy: PolicyOptions {
            workspaces: vec![place.clone()],
            preset: Some("locked".into()),
            ..PolicyOptions::default()
        },
        command: vec!["/bin/true".into()],
        ..Run::default()
    };
    let outcome = (|| {
        let asked = Asked::new(&run, true).map_err(text)?;
        let plan = asked.at(level).map_err(text)?.plan;
        if let Some(unmet) = plan.unmet.first() {
            return Err(format!("{}: {}", unmet.requirement, unmet.why));
        }
        asked.folder.prepare(&plan, &[], false).map_err(text)?;
        let outcome = launch(&plan, None)
            .map_err(|e| e.to_string())
            .and_then(|s| {
                let over = session::attend(s, &plan, &mut []);
                over.result.map(|_| ()).map_err(|e| e.to_string())
            });
        asked.folder.remove().map_err(text)?;
        outcome
    })();
    let removed = std::fs::remove_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()));
    outcome.and(removed)
}

/// What would lift the host to the level.
fn fix(level: Level, facts: &HostFacts) -> Option<&'static str> {
    let set = |path: &str, value: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
    };
    Some(match level {
        Level::Landlock if facts.landlock_abi == 0 => {
            "a kernel with Landlock (5.13 or later) and `landlock` in the boot parameter lsm="
        }
        Level::Landlock => return None,
        Level::Namespaces
            if set(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ) =>
        {
            "AppArmor restricts user namespaces: install a profile for stockade with `userns,`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        }
        Level::Namespaces if set("/proc/sys/kernel/unprivileged_userns_clone", "0") => {
            "sysctl kernel.unprivileged_userns_clone=1"
        }
        Level::Namespaces if set("/proc/sys/user/max_user_namespaces", "0") => {
            "sysctl user.max_user_namespaces=10000"
        }
        Level::Namespaces => {
            "in a container: its seccomp profile must allow clone with namespaces, and /proc must not be masked (docker: --security-opt seccomp=… --security-opt systempaths=unconfined)"
        }
    })
}
