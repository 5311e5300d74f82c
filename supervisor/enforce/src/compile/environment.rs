//! Which variables the agent gets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use stockade_policy::Policy;

/// Where commands are looked for when the caller does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub passed: BTreeMap<OsString, OsString>,
    /// Names only: values are what must not be shown.
    pub dropped: Vec<String>,
}

/// The caller's variables under the policy's `[environment]`.
pub fn environment(policy: &Policy, of_caller: &BTreeMap<OsString, OsString>) -> Environment {
    let hit = |key: &str, name: &str| {
        policy
            .of("environment", key)
            .any(|r| matches(&r.text, name))
    };
    // named in full, a variable passes whatever drops it by pattern
    let named = |name: &str| policy.of("environment", "pass").any(|r| r.text == name);
    let mut out = Environment::default();
    for (name, value) in of_caller {
        // judged by what can be read of them, passed as they are
        let (shown, text) = (name.to_string_lossy(), value.to_string_lossy());
        if named(&shown) || (hit("pass", &shown) && !hit("drop", &shown) && !holds_password(&text))
        {
            out.passed.insert(name.clone(), value.clone());
        } else {
            out.dropped.push(shown.into_owned());
        }
    }
    for rule in policy.of("environment", "set") {
        if let Some((name, value)) = rule.text.split_once('=') {
            out.passed.insert(name.into(), value.into());
        }
    }
    out.passed.insert("STOCKADE".into(), "1".into());
    // an empty one would mean the current directory
    let path = out.passed.entry("PATH".into()).or_default();
    if path.is_empty() {
        path.push(DEFAULT_PATH);
    }
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
