//! Which variables the agent gets.

use std::collections::BTreeMap;
use stockade_policy::Policy;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub passed: BTreeMap<String, String>,
    /// Names only: values are what must not be shown.
    pub dropped: Vec<String>,
}

/// The caller's variables under the policy's `[environment]`.
pub fn environment(policy: &Policy, of_caller: &BTreeMap<String, String>) -> Environment {
    let hit = |key: &str, name: &str| {
        policy
            .of("environment", key)
            .any(|r| matches(&r.text, name))
    };
    // named in full, a variable passes whatever drops it by pattern
    let named = |name: &str| policy.of("environment", "pass").any(|r| r.text == name);
    let mut out = Environment::default();
    for (name, value) in of_caller {
        if named(name) || (hit("pass", name) && !hit("drop", name) && !holds_password(value)) {
            out.passed.insert(name.clone(), value.clone());
        } else {
            out.dropped.push(name.clone());
        }
    }
    for rule in policy.of("environment", "set") {
        if let Some((name, value)) = rule.text.split_once('=') {
            out.passed.insert(name.into(), value.into());
        }
    }
    out.passed.insert("STOCKADE".into(), "1".into());
    out
}

/// `scheme://user:password@host`
fn holds_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        rest.split(['/', ' ']).next().is_some_and(|authority| {
            authority
                .split_once('@')
                .is_some_and(|(user, _)| user.contains(':'))
        })
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|n| rest.is_char_boundary(n) && matches(tail, &rest[n..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_match_by_star() {
        assert!(
            matches("*TOKEN*", "GH_TOKEN_X")
                && matches("*", "A")
                && matches("LC_*", "LC_ALL")
                && !matches("*_KEY", "KEYS")
        );
    }

    #[test]
    fn urls_with_passwords_are_secrets() {
        assert!(
            holds_password("postgres://u:p@h/db")
                && !holds_password("https://h/a@b:c")
                && !holds_password("git@h:x")
        );
    }
}
