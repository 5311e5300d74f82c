//! Real coding agents in a session, against a scripted model: the native run is the oracle.

use stockade_tests::LEVELS;

#[path = "agents/run.rs"]
mod run;

use run::{Outcome, Run, agents, installed, users};

const REFUSED: usize = 5;

fn compare(what: &str, native: &Outcome, confined: &Outcome) {
    let Outcome {
        codes,
        results,
        state,
        hello,
        written,
        texts,
    } = confined;
    let said = texts.join("\n");
    assert!(
        codes.iter().all(|c| *c == Some(0)),
        "{what}: {codes:?}\n{said}"
    );
    assert!(!*written, "{what}: written outside");
    assert_eq!(hello, &native.hello, "{what}");
    let until = results.len();
    assert!(until >= REFUSED, "{what}: {results:?}\n{said}");
    for (oracle, own) in native.results.iter().zip(results) {
        if own.0 == REFUSED {
            let refused = own.1.contains("refused-outside") && oracle.1.contains("written-outside");
            assert!(refused, "{what}: {own:?} where native says {oracle:?}");
        } else {
            assert_eq!(oracle, own, "{what}");
        }
    }
    // a single start leaves a part of what two leave
    let missing: Vec<_> = native.state.difference(state).collect();
    let more: Vec<_> = state.difference(&native.state).collect();
    assert!(
        more.is_empty() && (codes.len() == 1 || missing.is_empty()),
        "{what}: in its state {missing:?} are missing, {more:?} are new"
    );
}

const HOST: &str = "version = 1\n[network]\nnamespace = \"host\"\ndefault = \"allow\"\n";

#[test]
fn agents_work_in_a_session_as_without_one() {
    let agents = agents();
    let installed = installed(&agents);
    for user in users() {
        for (name, agent) in &agents {
            let new = |how: &str| Run::new(name, agent, user, how, &installed);
            let native = new("native").twice(&[]);
            assert_eq!(
                native.codes,
                [Some(0), Some(0)],
                "{name} natively: {native:?}"
            );
            for level in LEVELS {
                let run = new(level);
                let host = run.at("data/host.toml").display().to_string();
                std::fs::write(&host, HOST).unwrap();
                let program = run.at("data/stockade").display().to_string();
                let around = [
                    program.as_str(),
                    "run",
                    "--require",
                    level,
                    "--policy",
                    &host,
                    "--allow-env",
                    "PROBE_OUTSIDE",
                    "--",
                ];
                compare(
                    &format!("{name} {user:?} {level}"),
                    &native,
                    &run.twice(&around),
                );
                drop(run);
                let run = new("inside");
                std::fs::write(&host, HOST).unwrap();
                run.configure(1);
                // at `landlock` there is no loopback of the session's own
                let policy: &[&str] = if level == "landlock" {
                    &["--policy", &host]
                } else {
                    &[]
                };
                let outcome = run.inside(level, policy);
                compare(
                    &format!("{name} {user:?} {level}, model inside"),
                    &native,
                    &outcome,
                );
            }
        }
    }
}
