//! Large policies: nothing may cost the square of the number of rules. The bound is far above what
//! a slow machine needs and far below what a square of 100,000 would.

mod common;

use common::context;
use std::path::Path;
use std::time::{Duration, Instant};
use stockade_policy::{Access, FileOperation, Layer, Policy, Source, Sources, Verdict};

const RULES: usize = 100_000;
const BOUND: Duration = Duration::from_secs(60);

fn list(key: &str, text: impl Fn(usize) -> String) -> String {
    let texts: Vec<_> = (0..RULES).map(|n| format!("{:?}", text(n))).collect();
    format!("{key} = [\n{}\n]\n", texts.join(",\n"))
}

fn layer(layer: Layer, lists: &[String]) -> Source {
    Source {
        origin: format!("{}.toml", layer.name()),
        layer,
        text: format!("version = 1\n[filesystem]\n{}", lists.concat()),
    }
}

fn within<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = work();
    let took = start.elapsed();
    assert!(took < BOUND, "{took:?}");
    out
}

fn build(layers: Vec<Source>) -> Result<Policy, Vec<stockade_policy::Diagnostic>> {
    let sources = Sources {
        preset: None,
        layers,
    };
    Policy::build(&sources, context())
}

fn name(n: usize) -> String {
    format!("/srv/d{}/f{n}", n % 100)
}

#[test]
fn many_rules_are_built_warned_of_and_decided() {
    let lists = [list("read", name), list("deny_read", name)];
    let policy = within(|| build(vec![layer(Layer::User, &lists[..1])])).expect("good");
    let read = |policy: &Policy, path: &str| {
        policy.verdict(&Access::File {
            operation: FileOperation::Read,
            path: Path::new(path),
        })
    };
    assert_eq!(read(&policy, &name(7)), Verdict::Allow);
    assert_eq!(read(&policy, "/srv/d7/other"), Verdict::Deny);
    let both = within(|| build(vec![layer(Layer::User, &[lists.concat()])])).expect("good");
    assert_eq!(both.warnings.len(), RULES);
    assert_eq!(read(&both, &name(7)), Verdict::Deny);
}

#[test]
fn many_rules_are_taken_away() {
    let below = layer(Layer::User, &[list("read", name)]);
    let above = layer(
        Layer::CommandLine,
        &[list("read", |n| format!("!{}", name(n)))],
    );
    let policy = within(|| build(vec![below, above])).expect("good");
    assert!(!policy.rules().iter().any(|r| r.text.starts_with("/srv")));
}

#[test]
fn many_mistakes_are_found_and_shown() {
    let lists = [
        list("read", |n| format!("!{}", name(n))),
        list("write", |n| name(n)[1..].into()),
    ];
    let source = layer(Layer::User, &lists);
    let text = source.text.clone();
    let found = within(|| build(vec![source])).expect_err("wrong");
    assert_eq!(found.len(), 2 * RULES);
    let lines = stockade_policy::Lines::new(&text);
    within(|| {
        for mistake in found.iter().step_by(40) {
            assert!(mistake.render_in(&lines, false).starts_with("error: "));
        }
    });
}

#[test]
fn what_is_too_large_is_refused() {
    let refused = |text: String| {
        let source = Source {
            layer: Layer::User,
            origin: "user.toml".into(),
            text,
        };
        within(|| build(vec![source])).expect_err("too large")[0]
            .message
            .clone()
    };
    let large = format!("version = 1\n# {}", "x".repeat(10 << 20));
    assert_eq!(refused(large), "policy of 10485774 bytes; at most 8388608");
    let many = "\"/a\",".repeat(200_000);
    let text = format!("version = 1\n[filesystem]\nread = [\"/b\",{many}]\n");
    assert_eq!(refused(text), "200001 rules; at most 200000");
}
