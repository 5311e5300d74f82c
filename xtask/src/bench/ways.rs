//! The ways in which the same command is started: natively, in a session, under bubblewrap with the
//! session's mounts, under a peer.

use super::bubblewrap::{self, Arguments};
use super::peers;
use super::place::Place;
use crate::{packages, top};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub const NATIVE: &str = "native";
pub const BUBBLEWRAP: &str = "bubblewrap, the same mounts";
/// The first is the one whose mounts bubblewrap is given.
pub const LEVELS: [&str; 2] = ["namespaces", "landlock"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Native,
    /// stockade: what fails here is the bench's failure.
    Own,
    Peer,
}

type Prepare<'a> = Box<dyn Fn(&[&str]) -> Result<Prepared, String> + 'a>;

pub struct Way<'a> {
    pub name: String,
    pub kind: Kind,
    prepare: Prepare<'a>,
}

/// Ready for one start.
pub struct Prepared {
    pub command: Command,
    /// Inherited by the command: open until it has been spawned.
    _files: Vec<OwnedFd>,
}

/// Which ways, and what their reader has to know.
pub struct Ways<'a> {
    pub all: Vec<Way<'a>>,
    pub notes: Vec<String>,
}

impl<'a> Way<'a> {
    pub fn new(
        name: &str,
        kind: Kind,
        prepare: impl Fn(&[&str]) -> Result<Prepared, String> + 'a,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            prepare: Box::new(prepare),
        }
    }

    pub fn prepare(&self, words: &[&str]) -> Result<Prepared, String> {
        (self.prepare)(words)
    }

    pub fn native(place: &'a Place) -> Self {
        Self::new(NATIVE, Kind::Native, |words| {
            let mut command = place.command(Path::new(words[0]));
            command.args(&words[1..]);
            Ok(command.into())
        })
    }

    /// `flags`: of `stockade run`.
    pub fn level(place: &'a Place, level: &'static str, flags: &'a [String]) -> Self {
        Self::new(&own(level), Kind::Own, move |words| {
            let mut command = place.command(&stockade());
            command
                .args(["run", "--quiet", "--require", level])
                .args(flags)
                .arg("--")
                .args(words);
            Ok(command.into())
        })
    }

    fn bubblewrap(place: &'a Place, bwrap: PathBuf, arguments: Arguments) -> Self {
        Self::new(BUBBLEWRAP, Kind::Peer, move |words| {
            let ready = arguments.ready(&place.at("files"))?;
            let mut command = place.command(&bwrap);
            command.args(ready.words).args(words);
            Ok(Prepared {
                command,
                _files: ready.files,
            })
        })
    }
}

impl From<Command> for Prepared {
    fn from(command: Command) -> Self {
        Self {
            command,
            _files: Vec::new(),
        }
    }
}

impl<'a> Ways<'a> {
    /// Native, stockade's levels, and bubblewrap with the mounts of the first.
    pub fn plain(place: &'a Place, flags: &'a [String]) -> Result<Self, String> {
        let bwrap = packages::on_path("bwrap").ok_or("bwrap is not on PATH")?;
        let overlays = bubblewrap::knows_overlays(&version(&bwrap)?);
        let arguments = Arguments::of(&plan(place, flags)?, overlays)?;
        let mut notes = vec![format!(
            "{BUBBLEWRAP}: {} mounts, links and files in the view; no filter, no rules, nothing compared at the end",
            arguments.mounts
        )];
        if arguments.bound > 0 {
            notes.push(format!(
                "{} overlays are plain mounts there: this bubblewrap has none",
                arguments.bound
            ));
        }
        let levels = LEVELS.map(|l| Way::level(place, l, flags));
        let mut all = vec![Way::native(place), Way::bubblewrap(place, bwrap, arguments)];
        all.extend(levels);
        Ok(Self { all, notes })
    }

    /// Those and the other peers that can be had here.
    pub fn with_peers(place: &'a Place, yes: bool) -> Result<Self, String> {
        let mut ways = Self::plain(place, &[])?;
        let (peers, notes) = peers::ways(place, yes);
        ways.all.extend(peers);
        ways.notes.extend(notes);
        Ok(ways)
    }
}

pub fn own(level: &str) -> String {
    format!("stockade, {level}")
}

pub fn stockade() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), Into::into);
    target.join("release/stockade")
}

fn plan(place: &Place, flags: &[String]) -> Result<serde_json::Value, String> {
    // a run first: what the view binds, such as overlays' folders, is made by it
    let level = Way::level(place, LEVELS[0], flags);
    output(&mut level.prepare(&["/bin/true"])?.command)?;
    let mut command = place.command(&stockade());
    command
        .args(["plan", "--require", LEVELS[0], "--json"])
        .args(flags)
        .args(["--", "/bin/true"])
        .stdout(Stdio::piped());
    serde_json::from_str(&output(&mut command)?).map_err(|e| format!("stockade plan: {e}"))
}

pub fn version(program: &Path) -> Result<String, String> {
    output(Command::new(program).arg("--version")).map(|text| text.trim().to_owned())
}

pub fn output(command: &mut Command) -> Result<String, String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !out.status.success() {
        return Err(format!(
            "{command:?}: {}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        ));
    }
    String::from_utf8(out.stdout).map_err(|e| format!("{command:?}: {e}"))
}
