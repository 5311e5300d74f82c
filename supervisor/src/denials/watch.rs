//! The probes of a session that is confined: loaded beside its launch, attached before its command begins.

use super::judge::{Failed, Judge};
use super::own::Own;
use super::record::{self, Adder, Denial, Recorder, When, quietly};
use super::view::View;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::trace::{Selection, Tracing, Wanted};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::fs::File;
use std::path::Path;
use std::thread::JoinHandle;
use stockade_abi::{Count, CountKey};
use stockade_bpf::{LoadError, Options, Probes};
use stockade_enforce::{Level, Plan, Session, Sockets};
use stockade_events::sink::{Sink, Unwritten};
use stockade_events::{Event, Kind, calls};
use stockade_policy::{Policy, Verdict};

/// Of the ring where nothing but refusals is recorded.
const RING: u32 = 4 << 20;

/// Whether it is worth asking the kernel: in another user namespace the same capabilities count for nothing.
pub fn may() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    whole && stockade_bpf::privileged()
}

/// On its way, while the session is made.
pub struct Loading {
    thread: JoinHandle<Result<Probes, LoadError>>,
    selection: Selection,
}

impl Loading {
    /// `everything`: what is recorded by default, and not refusals alone.
    pub fn begin(everything: bool) -> Result<Self, Failure> {
        let selection = if everything {
            Selection::default_set()
        } else {
            Selection::nothing()
        };
        let selection = selection.and_refusals();
        let filter = selection.filter(None);
        let ring = if everything {
            Options::default().ring
        } else {
            RING
        };
        let options = Options {
            ring,
            ..Options::default()
        };
        let load = move || Probes::load(options, &filter, &calls::shapes());
        let thread = quietly("probes", load).map_err(Failure::Output)?;
        Ok(Self { thread, selection })
    }

    pub fn wait(self) -> Result<Loaded, Failure> {
        let ended = || Failure::Usage("the thread that loads eBPF programs ended early".into());
        Ok(Loaded {
            probes: self.thread.join().map_err(|_| ended())??,
            selection: self.selection,
        })
    }
}

/// Attached, and seeing nobody.
pub struct Loaded {
    probes: Probes,
    selection: Selection,
}

impl Loaded {
    /// From here on the session's process is seen; `sinks` get everything, with its verdict.
    pub fn watch(
        self,
        session: &Session,
        policy: &Policy,
        plan: &Plan,
        folder: &Folder,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Result<Watching, Failure> {
        let gone = || Failure::Usage("the command's process ended early".into());
        let agent = session.agent().ok_or_else(gone)?;
        let view = match plan.level {
            Level::Namespaces => View::of(agent),
            Level::Landlock => View::host(),
        };
        let unseen = |e| Failure::file("look into", Path::new("/proc"), e);
        let performed = matches!(plan.sockets, Sockets::Supervisor { .. });
        let own = Own::of(plan, &folder.path);
        let judge = view.and_then(|v| Judge::new(policy.clone(), plan.level, performed, v, own));
        let judge = judge.map_err(unseen)?;
        let file = folder.denials();
        let written = |e| Failure::file("write", &file, e);
        let opened = File::options().write(true).open(&file).map_err(written)?;
        let recorder = Recorder::new(opened).map_err(written)?;
        let sink = Judging {
            judge,
            adder: recorder.adder(),
            sinks,
            nothing_unwritten: Unwritten::default(),
        };
        let wanted = Wanted {
            begins: Some(agent.as_raw().cast_unsigned()),
            ..Wanted::new(self.selection, folder.id.clone(), vec![Box::new(sink)])
        };
        let tracing = begin(self.probes, wanted)?;
        tracing
            .probes()
            .label_first(session.descriptor(), agent.as_raw(), true)?;
        Ok(Watching { tracing, recorder })
    }
}

/// Its thread gets none of this process's signals.
fn begin(probes: Probes, wanted: Wanted) -> Result<Tracing, Failure> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let before = before.map_err(|e| Failure::Output(e.into()))?;
    let tracing = Tracing::with(probes, wanted);
    before
        .thread_set_mask()
        .map_err(|e| Failure::Output(e.into()))?;
    tracing
}

pub struct Watching {
    tracing: Tracing,
    recorder: Recorder,
}

/// What came of it.
pub struct Watched {
    pub denials: Vec<Denial>,
    /// Denials that were not told apart, and records that were lost: some may be among them.
    pub beyond: u64,
    pub lost: u64,
}

impl Watching {
    /// Everything that happened until now is judged.
    pub fn end(self, last: &Path) -> Result<Watched, Failure> {
        let ended = self.tracing.end()?;
        let (denials, beyond) = self.recorder.end();
        // for `why` when the session is over; one that can't be kept is no reason to say less here
        drop(std::fs::write(last, record::text(&denials)));
        Ok(Watched {
            denials,
            beyond,
            lost: ended.missing.lost,
        })
    }
}

/// Fills in verdicts, keeps the denials, and passes everything on.
struct Judging {
    judge: Judge,
    adder: Adder,
    sinks: Vec<Box<dyn Sink>>,
    nothing_unwritten: Unwritten,
}

impl Sink for Judging {
    fn event(&mut self, event: &Event) {
        if event.inside != 0 {
            self.judge.begins(event.inside);
        }
        let mut judged = None;
        if let Kind::Call {
            call,
            arguments,
            result,
            errno,
            filtered,
            ..
        } = &event.kind
        {
            if let (Some(name), Some(result)) = (errno, result) {
                let refusal = self.judge.refusal(&Failed {
                    call,
                    arguments,
                    errno: i32::try_from(-result).map_or(Errno::UnknownErrno, Errno::from_raw),
                    filtered: *filtered,
                });
                if let Some(refusal) = refusal {
                    judged = Some((Verdict::Deny, refusal.rule.as_str().to_owned()));
                    let when = When {
                        call: call.clone().into_owned(),
                        errno: name,
                        wall: event.wall,
                        action: event.action,
                        pid: event.inside,
                        exe: String::from_utf8_lossy(&event.exe.0).into_owned(),
                    };
                    self.adder.add(refusal, when);
                }
            } else if !self.sinks.is_empty()
                && let Some((said, verdict)) = self.judge.verdict(call, arguments)
            {
                judged = Some((verdict, said.rule.as_str().to_owned()));
            }
        }
        if self.sinks.is_empty() {
            return;
        }
        let event = with(event, judged);
        self.sinks.iter_mut().for_each(|s| s.event(&event));
    }

    fn flush(&mut self) {
        self.sinks.iter_mut().for_each(|s| s.flush());
    }

    fn end(&mut self, counts: &[(CountKey, Count)]) {
        self.sinks.iter_mut().for_each(|s| s.end(counts));
    }

    fn unwritten(&self) -> &Unwritten {
        self.sinks
            .first()
            .map_or(&self.nothing_unwritten, |s| s.unwritten())
    }
}

fn with(event: &Event, judged: Option<(Verdict, String)>) -> Event {
    let mut event = event.clone();
    if let (Kind::Call { verdict, rule, .. }, Some((decided, by))) = (&mut event.kind, judged) {
        *verdict = Some(super::word(decided).into());
        *rule = Some(by);
    }
    event
}
