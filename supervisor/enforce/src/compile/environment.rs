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
    let texts = |key| policy.of("environment", key).map(|r| r.text.as_str());
    let pass: Vec<&str> = texts("pass").collect();
    let drop: Vec<String> = texts("drop").map(str::to_ascii_lowercase).collect();
    let passes = |name: &str| pass.iter().any(|p| matches(p, name));
    // `http_proxy` and `npm_config__auth` are read in small letters too
    let drops = |name: &str| {
        let name = name.to_ascii_lowercase();
        drop.iter().any(|p| matches(p, &name))
    };
    // named in full, a variable passes whatever drops it by pattern
    let named = |name: &str| pass.contains(&name);
    let mut out = Environment::default();
    for (name, value) in of_caller {
        // judged by what can be read of them, passed as they are
        let (shown, text) = (name.to_string_lossy(), value.to_string_lossy());
        if named(&shown) || (passes(&shown) && !drops(&shown) && !holds_secret(&text)) {
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

/// `scheme://user:password@host`, or a token in the user's place.
fn holds_secret(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let end = |c: char| c.is_whitespace() || "/?#\"'".contains(c);
        let authority = rest.split(end).next().unwrap_or("");
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':') || is_token(user))
    })
}

/// Too long for a name, or long and with digits, or of a known kind.
fn is_token(user: &str) -> bool {
    const KINDS: &[&str] = &[
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "sk_",
        "npm_",
    ];
    let digits = user.contains(|c: char| c.is_ascii_digit());
    KINDS.iter().any(|kind| user.starts_with(kind))
        || user.len() >= 24
        || (user.len() >= 16 && digits)
}

/// What stands between two stars is taken where it first matches: an earlier match leaves more for
/// what follows.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let (between, last) = tail.rsplit_once('*').unwrap_or(("", tail));
    let rest = name.strip_prefix(head).and_then(|r| r.strip_suffix(last));
    let mut rest = rest.unwrap_or_default();
    let fits = name.len() >= head.len() + last.len();
    fits && name.starts_with(head)
        && name.ends_with(last)
        && between.split('*').all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_policy::{Context, Sources};

    #[test]
    fn variables_match_by_star() {
        assert!(
            matches("*TOKEN*", "GH_TOKEN_X")
                && matches("*", "A")
                && matches("LC_*", "LC_ALL")
                && !matches("*_KEY", "KEYS")
        );
        // against every way to take a star's place
        fn naive(pattern: &str, name: &str) -> bool {
            match pattern.split_once('*') {
                None => pattern == name,
                Some((head, tail)) => name
                    .strip_prefix(head)
                    .is_some_and(|rest| (0..=rest.len()).any(|n| naive(tail, &rest[n..]))),
            }
        }
        let words = |letters: &[&str], most: u32| -> Vec<String> {
            let mut out = vec![String::new()];
            let mut last = out.clone();
            for _ in 0..most {
                let longer = |w: &String| letters.iter().map(|l| w.clone() + l).collect::<Vec<_>>();
                last = last.iter().flat_map(longer).collect();
                out.extend(last.clone());
            }
            out
        };
        for pattern in words(&["a", "b", "*"], 5) {
            for name in words(&["a", "b"], 5) {
                let expected = naive(&pattern, &name);
                assert_eq!(matches(&pattern, &name), expected, "{pattern} {name}");
            }
        }
    }

    #[test]
    fn urls_with_passwords_or_tokens_are_secrets() {
        for value in [
            "postgres://u:p@h/db",
            "redis://:p@h",
            "mongodb://a@b:p@h/db?x",
            "see https://u:p@h now",
            "https://ghp_x@h/r",
            "https://0123456789abcdef0123456789abcdef@h.io/1",
        ] {
            assert!(holds_secret(value), "{value}");
        }
        for value in [
            "https://h/a@b:c",
            "https://h?to=a:b@c",
            "git@h:x",
            "ssh://git@h/x",
            "https://name@h/x",
            "http://h:8080",
        ] {
            assert!(!holds_secret(value), "{value}");
        }
    }

    /// Names that pass a preset whose `pass` is everything.
    fn passed(preset: &str, names: &[&str]) -> Vec<String> {
        let sources = Sources {
            preset: Some(preset.into()),
            layers: vec![],
        };
        let context = Context {
            workspaces: vec!["/w".into()],
            home: "/home/u".into(),
            tmp: "/tmp".into(),
            config: "/home/u/.config".into(),
            cache: "/home/u/.cache".into(),
            runtime: "/run/user/1".into(),
            environment: BTreeMap::new(),
        };
        let policy = Policy::build(&sources, context).unwrap();
        let all = names.iter().map(|n| ((*n).into(), "value".into()));
        let out = environment(&policy, &all.collect());
        let text = |n: &OsString| n.to_str().unwrap().to_owned();
        let of_caller = |n: &String| names.contains(&n.as_str());
        out.passed.keys().map(text).filter(of_caller).collect()
    }

    #[test]
    fn presets_drop_secrets_and_keep_what_builds_need() {
        let secrets = [
            "github_token",
            "GH_TOKEN",
            "npm_config__authToken",
            "npm_config__auth",
            "NPM_AUTH",
            "GH_PAT",
            "DB_PASS",
            "MYSQL_PWD",
            "GPG_PASSPHRASE",
            "PRIVATE_KEY_PEM",
            "COOKIE",
            "OPENAI_API_KEY2",
            "CARGO_REGISTRY_CRED",
            "SENTRY_DSN",
            "SLACK_WEBHOOK_URL",
            "TF_VAR_password",
            "aws_session",
            "ld_preload",
            "GITHUB_PAT",
            "CI_JOB_JWT",
        ];
        let needed = [
            "CC",
            "CFLAGS",
            "COMPASS",
            "COOKIECUTTER_CONFIG",
            "GIT_AUTHOR_NAME",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "GIT_CONFIG_VALUE_0",
            "HOME",
            "INIT_CWD",
            "JAVA_HOME",
            "KEYMAP",
            "NODE_OPTIONS",
            "OLDPWD",
            "PWD",
            "PYTHONPATH",
            "RUSTFLAGS",
            "http_proxy",
            "npm_config_cache",
        ];
        for preset in ["agent", "build", "read-only"] {
            assert_eq!(passed(preset, &secrets), [""; 0], "{preset}");
            assert_eq!(passed(preset, &needed), needed, "{preset}");
        }
        // by list, and the same is dropped of it
        let names = ["CI_JOB_JWT", "CI_NAME", "GITHUB_PAT", "GITHUB_SHA"];
        assert_eq!(passed("ci", &names), ["CI_NAME", "GITHUB_SHA"]);
    }
}
