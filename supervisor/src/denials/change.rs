//! The line of policy that would change a verdict.

use std::collections::BTreeSet;
use std::path::Path;
use stockade_policy::{Access, Decision, FileOperation, Glob, Policy, Rule, Verdict};

/// `[TABLE] KEY = ["OBJECT"]`, the object as it is and not as a pattern.
pub fn path(table: &str, key: &str, path: &Path) -> String {
    line(table, key, &Glob::literally(&path.to_string_lossy()))
}

pub fn line(table: &str, key: &str, object: &str) -> String {
    format!("[{table}] {key} = [{}]", serde_json::json!(object))
}

/// The line that takes away what protects the name: more than one layer may.
pub fn taken_away(policy: &Policy, path: &Path) -> String {
    let covers = |r: &&Rule| !r.report && r.globs.iter().any(|g| g.covers(path));
    let rules: Vec<_> = policy.of("filesystem", "protect").filter(covers).collect();
    without("filesystem", "protect", &rules)
}

/// Entries of lower layers, struck out in a higher one.
fn without(table: &str, key: &str, rules: &[&Rule]) -> String {
    let texts: BTreeSet<_> = rules.iter().map(|r| format!("!{}", r.text)).collect();
    let highest = rules.iter().max_by_key(|r| r.rank);
    let layer = highest.and_then(|r| r.id.as_str().split_once(':'));
    format!(
        "[{table}] {key} = {}    # in a layer above {}",
        serde_json::json!(texts),
        layer.unwrap_or_default().0
    )
}

fn rule<'p>(policy: &'p Policy, decision: &Decision) -> Option<&'p Rule> {
    policy.rules().iter().find(|r| r.id == decision.rule)
}

/// What lets an operation on a file through that is denied.
pub fn file(policy: &Policy, operation: FileOperation, object: &Path) -> String {
    let decide = |operation, path| policy.decide(&Access::File { operation, path });
    if operation == FileOperation::Read {
        return path("filesystem", "read", object);
    }
    let own = decide(FileOperation::Write, object);
    if own.verdict == Verdict::Deny && rule(policy, &own).is_some_and(|r| r.key.name == "protect") {
        return taken_away(policy, object);
    }
    // a name is an entry of its directory
    let entry = matches!(operation, FileOperation::Create | FileOperation::Remove);
    let directory = object.parent().filter(|_| entry);
    match directory.filter(|d| decide(FileOperation::Write, d).verdict == Verdict::Deny) {
        Some(directory) => path("filesystem", "write", directory),
        None => path("filesystem", "write", object),
    }
}

pub fn exec(policy: &Policy, object: &Path) -> String {
    let operation = FileOperation::Read;
    let access = Access::File {
        operation,
        path: object,
    };
    if policy.verdict(&access) == Verdict::Deny {
        path("filesystem", "read", object)
    } else {
        path("exec", "allow", object)
    }
}

/// What opens a system call that a rule or a setting closes; none where nothing does.
pub fn call(policy: &Policy, decision: &Decision) -> Option<String> {
    if let Some(rule) = rule(policy, decision) {
        return Some(without(rule.key.table, rule.key.name, &[rule]));
    }
    ["process.user_namespaces", "process.ptrace"]
        .into_iter()
        .find(|key| {
            policy
                .setting(key)
                .is_some_and(|s| s.id == decision.rule && s.value == "deny")
        })
        .and_then(|key| key.split_once('.'))
        .map(|(table, key)| format!("[{table}] {key} = \"allow\""))
}
