//! What the guest says on its serial console: lines of its own begin with `@@`, the rest is a test
//! harness's.

use super::{Guest, Kernel};
use std::collections::BTreeMap;

/// Of the table that a run prints.
pub const HEAD: &[&str] = &[
    "| kernel | package | Landlock ABI | levels | suites passed |",
    "| --- | --- | --- | --- | --- |",
];

/// One suite as one user.
#[derive(Default)]
pub struct Suite {
    passed: usize,
    failed: usize,
    /// Exit status; none while it runs.
    status: Option<String>,
}

#[derive(Default)]
pub struct Results {
    /// What is not a test and went wrong.
    pub wrong: Vec<String>,
    /// By suite and user.
    suites: BTreeMap<(String, String), Suite>,
    /// `stockade doctor --json`, by user.
    facts: BTreeMap<String, serde_json::Value>,
    now: Option<(String, String)>,
    /// Within a failure's own output.
    failures: bool,
    done: bool,
    /// What the kernel must provide, and does or does not.
    provided: usize,
    missing: usize,
}

impl Results {
    pub fn line(&mut self, line: &str) {
        // the console may put a line of the kernel's before one of the guest's
        let own = line.find("@@ ").map(|at| &line[at + 3..]);
        match own.map(|l| l.splitn(3, ' ').collect::<Vec<_>>()).as_deref() {
            Some(["facts", user, json]) => match serde_json::from_str(json) {
                Ok(facts) => drop(self.facts.insert((*user).into(), facts)),
                Err(_) => self.wrong.push(format!("doctor as {user} said: {json}")),
            },
            Some(["begin", suite, user]) => {
                let key = ((*suite).to_owned(), (*user).to_owned());
                self.suites.insert(key.clone(), Suite::default());
                self.now = Some(key);
                self.failures = false;
            }
            Some(["end", suite, rest]) => {
                let (user, status) = rest.split_once(' ').unwrap_or((rest, "?"));
                let key = ((*suite).to_owned(), user.to_owned());
                if let Some(found) = self.suites.get_mut(&key) {
                    found.status = Some(status.to_owned());
                }
                self.now = None;
            }
            Some(["done"]) => self.done = true,
            Some(other) => self.wrong.push(other.join(" ")),
            None => self.test(line),
        }
    }

    fn test(&mut self, line: &str) {
        let Some(suite) = self.now.as_ref().and_then(|now| self.suites.get_mut(now)) else {
            return;
        };
        if line == "failures:" {
            self.failures = true;
        }
        if self.failures && !line.trim().is_empty() {
            self.wrong.push(line.to_owned());
        }
        if line.starts_with("test ") {
            suite.passed += usize::from(line.ends_with(" ... ok"));
            suite.failed += usize::from(line.ends_with(" ... FAILED"));
        }
    }

    /// Against what the kernel must provide.
    pub fn check(mut self, kernel: &Kernel, guest: &Guest) -> Self {
        if !self.done {
            self.wrong.push("the guest did not come to its end".into());
        }
        for user in ["root", "user"] {
            let of_root = guest.root_suites.iter().filter(|_| user == "root");
            for suite in guest.suites.iter().chain(of_root) {
                self.suites
                    .entry((suite.clone(), user.to_owned()))
                    .or_default();
            }
            let facts = self.facts.get(user).cloned().unwrap_or_default();
            let abi = facts["facts"]["landlock_abi"].as_u64().unwrap_or(0);
            self.provides(abi >= kernel.landlock_abi, || {
                format!("{user}: Landlock ABI {abi}, not {}", kernel.landlock_abi)
            });
            let group = &facts["facts"]["cgroup"];
            self.provides(group["delegated"].is_string(), || {
                format!("{user}: no delegated cgroup: {group}")
            });
            for level in &guest.levels {
                let all = facts["levels"].as_array().cloned().unwrap_or_default();
                let row = all.iter().find(|l| l["level"] == level.as_str());
                let held = row.is_some_and(|l| l["held"] == true);
                let reason = row.map(|l| l["reason"].to_string()).unwrap_or_default();
                self.provides(held, || format!("{user}: level {level} not held: {reason}"));
            }
        }
        self
    }

    fn provides(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if holds {
            self.provided += 1;
        } else {
            self.missing += 1;
            self.wrong.push(what());
        }
    }

    pub fn passed(&self) -> usize {
        self.provided + self.suites.values().map(|s| s.passed).sum::<usize>()
    }

    /// A suite that ended badly without a failing test, or ran none, counts one.
    pub fn failed(&self) -> usize {
        let of = |s: &Suite| match s.status.as_deref() {
            Some("0") if s.failed == 0 && s.passed > 0 => 0,
            _ => s.failed.max(1),
        };
        let failed = self.missing + self.suites.values().map(of).sum::<usize>();
        // whatever else was said to be wrong is not to pass in silence
        failed.max(usize::from(!self.wrong.is_empty()))
    }

    /// For docs/kernels.md.
    pub fn row(&self, name: &str, packages: &str) -> String {
        let facts = self.facts.get("user").cloned().unwrap_or_default();
        let levels = facts["levels"].as_array().cloned().unwrap_or_default();
        let held: Vec<&str> = levels
            .iter()
            .filter(|l| l["held"] == true)
            .filter_map(|l| l["level"].as_str())
            .collect();
        let suites: Vec<String> = self
            .suites
            .iter()
            .map(|((suite, user), s)| {
                format!("{suite} as {user} {}/{}", s.passed, s.passed + s.failed)
            })
            .collect();
        let packages: Vec<&str> = packages.lines().collect();
        format!(
            "| {name} | {} | {} | {} | {} |",
            packages.join(", "),
            facts["facts"]["landlock_abi"],
            held.join(", "),
            suites.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest() -> (Kernel, Guest) {
        let text = "name='k'\nsuite='s'\nfollow='f'\npackages=[]\nmodules=[]\nlandlock_abi=2";
        let guest = "levels=['landlock']\nsuites=['a']\nroot_suites=[]\nprograms=[]\nfolders=[]";
        (
            toml::from_str(text).unwrap(),
            toml::from_str(guest).unwrap(),
        )
    }

    fn read(abi: u32, second: &str) -> Results {
        let mut results = Results::default();
        for user in ["root", "user"] {
            results.line(&format!(
                "@@ facts {user} {{\"facts\":{{\"landlock_abi\":{abi},\"cgroup\":{{\"delegated\":\"/\"}}}},\
                 \"levels\":[{{\"level\":\"landlock\",\"held\":true}}]}}"
            ));
            results.line(&format!("@@ begin a {user}"));
            results.line("test one ... ok");
            results.line(second);
            results.line(&format!("@@ end a {user} 0"));
        }
        results.line("@@ done");
        let (kernel, guest) = guest();
        results.check(&kernel, &guest)
    }

    #[test]
    fn what_went_well_is_counted_and_nothing_else() {
        let good = read(2, "test two ... ok");
        assert_eq!((good.passed(), good.failed()), (10, 0), "{:?}", good.wrong);
        assert_eq!(read(2, "test two ... FAILED").failed(), 2);
        assert_eq!(read(1, "test two ... ok").failed(), 2);
    }

    #[test]
    fn a_guest_that_stops_early_has_failed() {
        let (kernel, guest) = guest();
        let mut cut = Results::default();
        cut.line("@@ begin a root");
        cut.line("test one ... ok");
        let cut = cut.check(&kernel, &guest);
        // two suites that did not end well, and for each user ABI, group and level
        assert_eq!(cut.failed(), 2 + 2 * 3);
        assert!(Results::default().check(&kernel, &guest).failed() > 0);
    }
}
