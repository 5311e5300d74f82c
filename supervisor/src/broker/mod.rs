//! Calls that the supervisor performs for a session at level `landlock`: bind, connect and listen.
//! What a call names is copied once and the socket taken; the supervisor decides on the copy and on
//! the object itself, makes the call on the socket, and its result is the answer. No call goes on
//! with arguments that were looked at.
//!
//! One thread at a time waits for the next call and the others for their turn; nobody wakes up
//! while nothing happens. No thread has a capability.

mod caller;
mod tcp;
mod unix;
mod waiting;

use caller::{Caller, Kind};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;
use stockade_enforce::performing::{self, Notification};
use stockade_enforce::{Listener, Plan, Sockets};
use waiting::{Interrupter, Waiting};

/// What a call comes to; none where it is answered later or by the kernel.
type Outcome = Result<Option<()>, Errno>;

/// Threads at most: calls that take long wait without one.
const THREADS: usize = 8;
/// How often what waits is looked at.
const TICK: Duration = Duration::from_millis(10);
/// Ends the call that a thread of the broker is in; its default is to do nothing, should it come late.
const INTERRUPT: Signal = Signal::SIGURG;

struct Shared {
    notifications: OwnedFd,
    unix_by_landlock: bool,
    tcp: tcp::Own,
    unix: unix::Own,
    waiting: Mutex<Waiting>,
    /// Wakes whoever has the turn when the first connection begins to wait.
    woken: PipeReader,
    wake: PipeWriter,
    turn: Mutex<()>,
    idle: AtomicUsize,
    threads: AtomicUsize,
    /// Nobody is left who could call.
    over: AtomicBool,
}

/// A poisoned lock holds what it held: nothing is left half done under one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// From here on the session's calls are answered, until its last process has ended.
pub fn start(listener: Listener, plan: &Plan) -> Result<(), Errno> {
    let Sockets::Supervisor {
        filter: _,
        unix,
        unix_by_landlock,
    } = &plan.sockets
    else {
        return Ok(());
    };
    performing::interrupts(INTERRUPT)?;
    more_files();
    let failed = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EMFILE));
    let (woken, wake) = std::io::pipe().map_err(failed)?;
    let shared = Shared {
        notifications: listener.notifications,
        unix_by_landlock: *unix_by_landlock,
        tcp: tcp::Own::default(),
        unix: unix::Own::new(listener.ruleset, unix),
        waiting: Mutex::default(),
        woken,
        wake,
        turn: Mutex::default(),
        idle: AtomicUsize::new(0),
        threads: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let (ready, first) = mpsc::sync_channel(1);
    one_more(&Arc::new(shared), Some(ready))?;
    // without its timer a thread performs nothing
    first.recv().unwrap_or(Err(Errno::ESRCH))
}

/// Each connection that waits takes one.
fn more_files() {
    const WANTED: u64 = 4096;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < WANTED
    {
        // without, calls fail earlier
        setrlimit(Resource::RLIMIT_NOFILE, WANTED.min(hard), hard).unwrap_or(());
    }
}

type Ready = mpsc::SyncSender<Result<(), Errno>>;

/// A thread that no signal of the session's or the user's goes to.
fn one_more(shared: &Arc<Shared>, ready: Option<Ready>) -> Result<(), Errno> {
    let mine = Arc::clone(shared);
    let mut blocked = SigSet::all();
    blocked.remove(INTERRUPT);
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    shared.threads.fetch_add(1, Ordering::AcqRel);
    let spawned = std::thread::Builder::new()
        .name("calls".into())
        .stack_size(256 << 10)
        .spawn(move || serve(&mine, ready));
    before.thread_set_mask()?;
    spawned.map(drop).map_err(|error| {
        shared.threads.fetch_sub(1, Ordering::AcqRel);
        Errno::from_raw(error.raw_os_error().unwrap_or(libc::EAGAIN))
    })
}

fn serve(shared: &Arc<Shared>, ready: Option<Ready>) {
    // with more rights than the session has, nothing is performed
    let interrupter = performing::drop_capabilities().and_then(|()| Interrupter::new());
    if let Some(ready) = ready {
        // who waits for it is there
        let said = interrupter.as_ref().map(drop).map_err(|errno| *errno);
        ready.send(said).unwrap_or(());
    }
    let Ok(interrupter) = interrupter else {
        return;
    };
    loop {
        shared.idle.fetch_add(1, Ordering::AcqRel);
        let turn = lock(&shared.turn);
        let next = next(shared, &interrupter);
        drop(turn);
        let idle = shared.idle.fetch_sub(1, Ordering::AcqRel) - 1;
        let Some(call) = next else {
            return;
        };
        if idle == 0 && shared.threads.load(Ordering::Acquire) < THREADS {
            // without one more the calls wait for this one
            one_more(shared, None).unwrap_or(());
        }
        perform(shared, &call, &interrupter);
    }
}

/// The next call. Meanwhile what waits is looked at.
fn next(shared: &Shared, interrupter: &Interrupter) -> Option<Notification> {
    loop {
        if shared.over.load(Ordering::Acquire) {
            return None;
        }
        let waits = !lock(&shared.waiting).is_empty();
        let timeout = if waits {
            PollTimeout::try_from(TICK).unwrap_or(PollTimeout::MAX)
        } else {
            PollTimeout::NONE
        };
        let mut fds = [&shared.notifications.as_fd(), &shared.woken.as_fd()]
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
        let polled = poll(&mut fds, timeout);
        let [said, woken] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if woken.contains(PollFlags::POLLIN) {
            // how often says nothing
            drop((&shared.woken).read(&mut [0; 64]));
        }
        if waits {
            waiting::look(shared, interrupter);
        }
        match polled {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if said.contains(PollFlags::POLLIN) => {
                match performing::receive(shared.notifications.as_fd()) {
                    Ok(call) => return Some(call),
                    // whoever called is gone
                    Err(Errno::ENOENT | Errno::EINTR) => {}
                    Err(_) => shared.over.store(true, Ordering::Release),
                }
            }
            Ok(_) if said.is_empty() => {}
            Ok(_) | Err(_) => shared.over.store(true, Ordering::Release),
        }
    }
}

fn perform(shared: &Shared, call: &Notification, interrupter: &Interrupter) {
    let listener = shared.notifications.as_fd();
    let outcome = match Caller::of(listener, call) {
        Ok(caller) => decide(shared, caller, interrupter),
        Err(errno) => Err(errno),
    };
    match outcome {
        Ok(None) => {}
        Ok(Some(())) => told(shared, || performing::answer(listener, call.id, Ok(()))),
        Err(errno) => told(shared, || performing::answer(listener, call.id, Err(errno))),
    }
}

/// Until the answer is there. A caller that got none would wait for ever: then the listener is closed, which the
/// kernel says to each that waits.
fn told(shared: &Shared, answer: impl Fn() -> Result<(), Errno>) {
    loop {
        match answer() {
            Err(Errno::EINTR) => {}
            // a caller that is gone wants none
            Ok(()) | Err(Errno::ENOENT | Errno::EINPROGRESS) => return,
            Err(_) => {
                shared.over.store(true, Ordering::Release);
                // whoever has the turn looks whether it is over
                drop((&shared.wake).write(&[0]));
                return;
            }
        }
    }
}

/// By what the socket is, whatever the address says.
fn decide(shared: &Shared, caller: Caller, interrupter: &Interrupter) -> Outcome {
    let of = |name| performing::option(caller.socket.as_fd(), libc::SOL_SOCKET, name);
    let number = |name| of(name).map(|value| i32::try_from(value).unwrap_or(-1));
    let domain = number(libc::SO_DOMAIN)?;
    let kind = number(libc::SO_TYPE)?;
    let protocol = number(libc::SO_PROTOCOL)?;
    let listens = matches!(caller.kind, Kind::Listen { .. });
    match (domain, kind, protocol) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP) => {
            tcp::perform(shared, caller, domain, interrupter)
        }
        // Landlock decides on the caller's own call, and refuses it TCP should it have swapped the
        // socket; listen would bind that, and reaches nothing for one of AF_UNIX
        (libc::AF_UNIX, ..) if shared.unix_by_landlock && !listens => {
            told(shared, || {
                performing::go_on(shared.notifications.as_fd(), caller.id)
            });
            Ok(None)
        }
        (libc::AF_UNIX, ..) if shared.unix_by_landlock => plain(&caller),
        (libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_SEQPACKET, _) => {
            unix::perform(shared, caller, interrupter)
        }
        // NETLINK_ROUTE, the only one that is made
        (libc::AF_NETLINK, _, 0) => plain(&caller),
        _ => Err(Errno::EPERM),
    }
}

/// As it is.
fn plain(caller: &Caller) -> Outcome {
    let socket = caller.socket.as_fd();
    match &caller.kind {
        Kind::Bind => performing::bind(socket, &caller.address),
        Kind::Connect => performing::connect(socket, &caller.address),
        Kind::Listen { backlog } => performing::listen(socket, *backlog),
    }
    .map(Some)
}
