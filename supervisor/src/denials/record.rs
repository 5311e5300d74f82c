//! The denials of one session, each once, and the file in which the session reads them.

use super::judge::Refusal;
use nix::sys::signal::{SigSet, SigmaskHow};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Beside what else a session may read about itself; the same name in the state folder for the last one.
pub const FILE: &str = "denials.jsonl";
/// The most that is kept of it: the newest.
const MOST: usize = 64 << 10;
/// The most denials that are told apart.
const KINDS: usize = 4096;
/// So long it is not written again: what comes meanwhile is written together.
const REST: Duration = Duration::from_millis(50);

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub verb: String,
    pub object: String,
    pub errno: String,
    pub rule: String,
    /// The line of policy that would allow it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<String>,
    /// It looks as if nothing were there.
    #[serde(skip_serializing_if = "is_false", default)]
    pub hidden: bool,
    pub call: String,
    pub times: u64,
    /// The last time: nanoseconds since 1970, action, process as the session numbers it, its executable.
    pub wall: u64,
    pub action: u32,
    pub pid: u32,
    pub exe: String,
    /// Counts the session's denials: which of all was the last of these.
    pub number: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Who was refused, and when.
pub struct When {
    pub call: String,
    pub errno: &'static str,
    pub wall: u64,
    pub action: u32,
    pub pid: u32,
    pub exe: String,
}

#[derive(Default)]
struct Kept {
    all: Vec<Denial>,
    known: HashMap<(String, String, String), usize>,
    number: u64,
    /// Those that were not told apart any more.
    beyond: u64,
    dirty: bool,
    over: bool,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Filled by the thread that reads events, written by one of its own: no slow disk holds that one up.
pub struct Recorder {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

/// For the thread that reads events.
pub struct Adder(Arc<Shared>);

impl Recorder {
    pub fn new(file: File) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        let writer = quietly("denials", move || write(&mine, &file))?;
        Ok(Self { shared, writer })
    }

    pub fn adder(&self) -> Adder {
        Adder(Arc::clone(&self.shared))
    }

    /// Everything, in the order in which each came first, and how many more there were.
    pub fn end(self) -> (Vec<Denial>, u64) {
        self.shared.kept().over = true;
        self.shared.changed.notify_all();
        // one that ended early has nothing to write any more
        self.writer.join().unwrap_or(());
        let mut kept = self.shared.kept();
        (std::mem::take(&mut kept.all), kept.beyond)
    }
}

/// A thread that no signal of this process goes to.
pub fn quietly<T: Send + 'static>(
    name: &str,
    does: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let spawned = std::thread::Builder::new().name(name.into()).spawn(does);
    before.thread_set_mask()?;
    spawned
}

impl Adder {
    pub fn add(&self, refusal: Refusal, when: When) {
        let Refusal {
            verb,
            object,
            rule,
            change,
            hidden,
        } = refusal;
        let When {
            call,
            errno,
            wall,
            action,
            pid,
            exe,
        } = when;
        let mut kept = self.0.kept();
        kept.number += 1;
        let number = kept.number;
        let key = (verb.to_owned(), object.clone(), rule.as_str().to_owned());
        let known = kept.known.get(&key).copied();
        if let Some(denial) = known.and_then(|n| kept.all.get_mut(n)) {
            denial.times += 1;
            (denial.call, denial.wall, denial.action) = (call, wall, action);
            (denial.pid, denial.exe, denial.number) = (pid, exe, number);
        } else if kept.all.len() < KINDS {
            let at = kept.all.len();
            kept.known.insert(key, at);
            kept.all.push(Denial {
                verb: verb.into(),
                object,
                errno: errno.into(),
                rule: rule.as_str().into(),
                change,
                hidden,
                call,
                times: 1,
                wall,
                action,
                pid,
                exe,
                number,
            });
        } else {
            kept.beyond += 1;
        }
        kept.dirty = true;
        self.0.changed.notify_all();
    }
}

fn write(shared: &Shared, file: &File) {
    loop {
        let waited = shared
            .changed
            .wait_while(shared.kept(), |kept| !kept.dirty && !kept.over);
        let mut kept = waited.unwrap_or_else(PoisonError::into_inner);
        let over = kept.over;
        if std::mem::take(&mut kept.dirty) {
            let text = text(&kept.all);
            drop(kept);
            // over what was there, then cut: whoever reads meanwhile finds whole lines at its begin
            let written = file
                .write_all_at(&text, 0)
                .and_then(|()| file.set_len(text.len() as u64));
            // a full disk takes nothing from the session
            written.unwrap_or(());
        } else {
            drop(kept);
        }
        if over {
            return;
        }
        std::thread::sleep(REST);
    }
}

/// The newest last, whole lines alone.
pub fn text(all: &[Denial]) -> Vec<u8> {
    let mut newest: Vec<&Denial> = all.iter().collect();
    newest.sort_by_key(|d| std::cmp::Reverse(d.number));
    let (mut lines, mut size) = (Vec::new(), 0);
    for denial in newest {
        let Ok(line) = serde_json::to_vec(denial) else {
            continue;
        };
        size += line.len() + 1;
        if size > MOST {
            break;
        }
        lines.push(line);
    }
    let mut out = Vec::new();
    for line in lines.iter().rev() {
        out.extend(line);
        out.push(b'\n');
    }
    out
}

/// So long it may take until a denial stands in the session's file: the ring is looked at every 100 ms, the file is
/// written every 50 ms.
const SETTLED: Duration = Duration::from_millis(200);

/// With what happened just before this call.
pub fn settled(path: &Path) -> std::io::Result<Vec<Denial>> {
    // nobody waits for a file that is not there
    path.symlink_metadata()?;
    std::thread::sleep(SETTLED);
    read(path)
}

/// What a session's file says now.
pub fn read(path: &Path) -> std::io::Result<Vec<Denial>> {
    let text = std::fs::read(path)?;
    // a line that was being written is none yet
    let lines = text.split(|b| *b == b'\n');
    Ok(lines
        .filter_map(|l| serde_json::from_slice(l).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_policy::RuleId;

    fn add(adder: &Adder, object: &str) {
        let refusal = Refusal {
            verb: "write",
            object: object.into(),
            rule: RuleId::new("built-in", "filesystem.write", "nothing names it"),
            change: Some("[filesystem] write = [\"/x\"]".into()),
            hidden: false,
        };
        let when = When {
            call: "openat".into(),
            errno: "EROFS",
            wall: 1,
            action: 2,
            pid: 3,
            exe: "/bin/sh".into(),
        };
        adder.add(refusal, when);
    }

    #[test]
    fn each_once_the_newest_last_and_never_more_than_there_is_room() {
        let path = std::env::temp_dir().join(format!("stockade-record-{}", std::process::id()));
        let recorder = Recorder::new(File::create(&path).unwrap()).unwrap();
        let adder = recorder.adder();
        for n in 0..600 {
            add(&adder, &format!("/x/{n}"));
        }
        add(&adder, "/x/0");
        let (all, beyond) = recorder.end();
        assert_eq!((all.len(), beyond), (600, 0));
        assert_eq!((all[0].times, all[1].times), (2, 1));
        let text = std::fs::read(&path).unwrap();
        assert!(
            text.len() <= MOST && text.len() > MOST - 400,
            "{}",
            text.len()
        );
        let read = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.last().map(|d| d.object.as_str()), Some("/x/0"));
        assert_eq!(read[read.len() - 2].object, "/x/599");
        assert!(read.len() < 600);
    }

    #[test]
    fn what_can_not_be_told_apart_any_more_is_counted() {
        let path = std::env::temp_dir().join(format!("stockade-many-{}", std::process::id()));
        let recorder = Recorder::new(File::create(&path).unwrap()).unwrap();
        let adder = recorder.adder();
        for n in 0..KINDS + 7 {
            add(&adder, &format!("/{n}"));
        }
        let (all, beyond) = recorder.end();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((all.len(), beyond), (KINDS, 7));
    }
}
