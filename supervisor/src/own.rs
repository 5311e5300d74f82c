//! What a session may know about itself: `policy.md` for a person or a model, and the layers, so
//! that `stockade why` inside answers from files alone.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stockade_policy::{Context, Layer, Policy, Source, Sources};

pub const POLICY: &str = "policy.md";
pub const LAYERS: &str = "layers.json";

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    preset: Option<String>,
    layers: Vec<StoredLayer>,
    workspaces: Vec<PathBuf>,
    home: PathBuf,
    tmp: PathBuf,
    config: PathBuf,
    cache: PathBuf,
    runtime: PathBuf,
    environment: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredLayer {
    layer: Layer,
    origin: String,
    text: String,
}

/// The layers as the session's `why` reads them.
pub fn stored(sources: &Sources, context: &Context) -> Result<String, serde_json::Error> {
    let Context {
        workspaces,
        home,
        tmp,
        config,
        cache,
        runtime,
        environment,
    } = context.clone();
    // of the caller's variables only what a rule names: the others may be secrets
    let named = |name: &String| {
        let asked = format!("${{env:{name}");
        sources.layers.iter().any(|l| l.text.contains(&asked))
    };
    let layer = |source: &Source| StoredLayer {
        layer: source.layer.clone(),
        origin: source.origin.clone(),
        text: source.text.clone(),
    };
    serde_json::to_string(&Stored {
        preset: sources.preset.clone(),
        layers: sources.layers.iter().map(layer).collect(),
        workspaces,
        home,
        tmp,
        config,
        cache,
        runtime,
        environment: environment.into_iter().filter(|(k, _)| named(k)).collect(),
    })
}

/// Whether this process runs in a session. A command that lies about it gains nothing: what it
/// could write here is not the user's.
pub fn inside() -> bool {
    std::env::var_os("STOCKADE").is_some()
}

/// Inside a session: its own layers; none outside.
pub fn read() -> Option<(Sources, Context)> {
    let folder = std::env::var_os("STOCKADE_OWN").filter(|_| inside());
    let text = std::fs::read_to_string(Path::new(&folder?).join(LAYERS)).ok()?;
    let Stored {
        preset,
        layers,
        workspaces,
        home,
        tmp,
        config,
        cache,
        runtime,
        environment,
    } = serde_json::from_str(&text).ok()?;
    let layer = |l: StoredLayer| Source {
        layer: l.layer,
        origin: l.origin,
        text: l.text,
    };
    let context = Context {
        workspaces,
        home,
        tmp,
        config,
        cache,
        runtime,
        environment,
    };
    let layers = layers.into_iter().map(layer).collect();
    Some((Sources { preset, layers }, context))
}

/// What is allowed here, for whoever meets a refusal. Patterns, not what they expand to.
pub fn policy_text(policy: &Policy, host_network: bool) -> String {
    let list = |key: &str, most: usize| {
        let rules: Vec<String> = policy
            .of("filesystem", key)
            .map(|r| format!("`{}`", r.text))
            .collect();
        let more = rules.len().saturating_sub(most);
        let tail = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        let shown: Vec<String> = rules.into_iter().take(most).collect();
        if shown.is_empty() {
            "nothing".into()
        } else {
            shown.join(", ") + &tail
        }
    };
    let workspaces: Vec<String> = policy
        .context
        .workspaces
        .iter()
        .map(|w| format!("`{}`", w.display()))
        .collect();
    let network = if host_network {
        "the host's network, unfiltered"
    } else {
        "none but this session's own loopback (127.0.0.1, ::1)"
    };
    format!(
        "# This command runs in a stockade session\n\n\
        The kernel decides what it may do. A refusal is final: trying again, or another way, changes nothing.\n\n\
        - Workspace: {}\n\
        - May be written: {}\n\
        - Private to this session, gone at the end: {}\n\
        - Readable besides the system: {}\n\
        - Kept, on top of the host's content: {}\n\
        - Network: {network}\n\
        - Not in the workspace's reach: `.git/hooks`, editor, agent and shell settings; `.git/config` may be written and is reported\n\n\
        What a refusal looks like: `Permission denied` or `Read-only file system` for files, `No such file` for what is not\n\
        visible here, `Operation not permitted` for system calls, `Network is unreachable` for connections.\n\n\
        Ask before asking the user:\n\n    stockade why write PATH\n    stockade why read PATH\n    stockade why exec PATH\n    stockade why connect HOST:PORT\n    stockade why                     what was denied until now, where it is recorded\n\n\
        It names the rule, and the line that the user could add outside this session. Nothing in here can add it.\n",
        workspaces.join(", "),
        list("write", 8),
        list("private", 8),
        list("read", 12),
        list("overlay", 8),
    )
}
