//! Processes however they come and go, and the actions that they belong to.

use crate::harness::{Seen, Session, whole};
use stockade_abi::{Exec, Exit, Fork, flag};
use stockade_events::{Kind, Record};
use stockade_tests::full;

fn forks(seen: &Seen) -> Vec<Fork> {
    let of = |record| match record {
        Record::Fork(fork) => Some(fork),
        _ => None,
    };
    seen.each().filter_map(of).collect()
}

fn execs(seen: &Seen) -> Vec<Box<Exec>> {
    let of = |record| match record {
        Record::Exec(exec) => Some(exec),
        _ => None,
    };
    seen.each().filter_map(of).collect()
}

fn exits(seen: &Seen) -> Vec<Exit> {
    let of = |record| match record {
        Record::Exit(exit) if exit.head.flags & flag::LAST != 0 => Some(exit),
        _ => None,
    };
    seen.each().filter_map(of).collect()
}

fn arguments(exec: &Exec) -> Vec<String> {
    let size = usize::try_from(exec.arguments_size).unwrap();
    let text = String::from_utf8(exec.arguments[..size].to_vec()).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn each_process_that_the_agent_starts_is_an_action_with_its_own_counters() {
    let seen = whole(&["getppid"], &["actions", "6"]);
    let numbers: Vec<u32> = forks(&seen).iter().map(|f| f.head.action).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let pids: Vec<u64> = forks(&seen).iter().map(|f| f.head.process.into()).collect();
    assert_eq!(pids, seen.said("pid"));
    assert!(
        forks(&seen)
            .iter()
            .all(|f| f.parent_process == seen.pid && f.parent_action == 0)
    );
    let mut executed = execs(&seen);
    executed.sort_by_key(|e| e.head.action);
    for (n, exec) in (1..).zip(&executed) {
        assert_eq!(exec.head.action, n);
        assert_eq!(arguments(exec), ["traced", "calls", &(10 + n).to_string()]);
        assert_eq!(seen.counted(n, "getppid"), u64::from(10 + n));
        let own = seen
            .calls("getppid")
            .into_iter()
            .filter(|c| c.head.action == n);
        assert!(own.into_iter().all(|c| c.head.process == exec.head.process));
    }
    assert_eq!((executed.len(), exits(&seen).len()), (6, 7));
    assert_eq!(seen.counted(0, "getppid"), 0);
}

#[test]
fn without_an_agent_everything_is_one_action() {
    let session = Session::new(&["getppid"], 1 << 20);
    let child = session.start(false, &["actions", "3"]);
    let seen = session.read(child);
    assert!(forks(&seen).iter().all(|f| f.head.action == 0));
    assert_eq!(seen.counted(0, "getppid"), 11 + 12 + 13);
}

#[test]
fn what_outlives_its_parent_keeps_its_action_and_is_late() {
    let seen = whole(&["getuid", "setsid"], &["tree"]);
    assert_eq!(
        forks(&seen)
            .iter()
            .map(|f| f.head.action)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(
        (seen.counted(1, "getuid"), seen.counted(1, "setsid")),
        (7, 1)
    );
    let late = seen.events().into_iter().filter(|event| {
        matches!(&event.kind, Kind::Call { call, .. } if call == "getuid") && event.late
    });
    assert_eq!(late.count(), 7);
}

#[test]
fn a_childs_sibling_by_clone_parent_is_of_the_childs_action() {
    let seen = whole(&["getuid"], &["sibling"]);
    let forks = forks(&seen);
    assert_eq!(
        forks.iter().map(|f| f.head.action).collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(forks[1].parent_process, forks[0].head.process);
    assert_eq!(seen.counted(1, "getuid"), 5);
    assert_eq!(exits(&seen).len(), 3);
}

#[test]
fn a_thread_that_executes_becomes_its_process() {
    let seen = whole(&["getppid"], &["thread-exec"]);
    let forks = forks(&seen);
    let child = forks[0].head;
    assert!(forks[1].head.flags & flag::THREAD != 0 && forks[1].head.process == child.process);
    let execs = execs(&seen);
    assert_eq!(execs.len(), 1);
    let head = execs[0].head;
    assert_eq!(
        (head.process, head.thread, head.action),
        (child.process, child.process, 1)
    );
    assert_eq!(seen.said("thread"), [u64::from(execs[0].thread_before)]);
    assert_ne!(execs[0].thread_before, child.process);
    assert_eq!(seen.counted(1, "getppid"), 3);
    assert!(
        seen.calls("getppid")
            .iter()
            .all(|c| c.head.thread == child.process)
    );
    let ends = exits(&seen)
        .into_iter()
        .filter(|e| e.head.process == child.process);
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_number_that_is_given_again_is_another_process() {
    let seen = whole(&["getppid"], &["again"]);
    let pid = seen.said("pid")[0];
    let own = forks(&seen)
        .into_iter()
        .filter(|f| u64::from(f.head.process) == pid);
    let actions: Vec<u32> = own.map(|f| f.head.action).collect();
    assert_eq!(actions.len(), 2);
    assert_eq!(actions[1], actions[0] + 1);
    let calls = |action| {
        seen.calls("getppid")
            .into_iter()
            .filter(move |c| c.head.action == action)
    };
    assert_eq!(
        (calls(actions[0]).count(), calls(actions[1]).count()),
        (2, 4)
    );
    assert_eq!(
        (
            seen.counted(actions[0], "getppid"),
            seen.counted(actions[1], "getppid")
        ),
        (2, 4)
    );
    assert!(calls(actions[1]).all(|c| u64::from(c.head.process) == pid));
}

#[test]
fn requests_through_an_io_uring_are_seen_whoever_performs_them() {
    let seen = whole(&["io_uring_enter"], &["uring", "/nonexistent/uring"]);
    let of = |event: stockade_events::Event| match event.kind {
        Kind::Uring {
            operation,
            user_data,
        } => Some((event.pid, event.action, operation.to_lowercase(), user_data)),
        _ => None,
    };
    let found: Vec<_> = seen.events().into_iter().filter_map(of).collect();
    let request = |name: &str, data| (seen.pid, 0, name.to_owned(), data);
    assert_eq!(
        found,
        [
            request("nop", 11),
            request("openat", 12),
            request("openat", 13)
        ]
    );
    assert_eq!(seen.calls("io_uring_enter")[0].result, 3);
    // a worker is no process of the agent's
    let workers = forks(&seen)
        .into_iter()
        .filter(|f| f.head.flags & flag::THREAD == 0);
    assert_eq!(workers.count(), 0);
}

/// Each is an action of its own: more than there are counters for.
#[test]
fn many_short_lived_processes_are_kept_or_counted_as_lost() {
    let made: u64 = if full() { 100_000 } else { 3_000 };
    let session = Session::new(&["clone"], 1 << 20);
    let child = session.start(true, &["short", &made.to_string()]);
    let seen = session.read(child);
    assert_eq!(seen.said("forks"), [made]);
    assert_eq!(seen.counted(0, "clone"), made);
    let actions = u64::from(forks(&seen).iter().map(|f| f.head.action).max().unwrap());
    // a fork that the kernel skipped the program at gives no number
    assert!(
        (made.saturating_sub(seen.missed)..=made).contains(&actions),
        "{actions} of {made}, {} skipped",
        seen.missed
    );
    // of each its making, its begin and its end; and the first one's end
    let records = 3 * made + 1;
    assert_eq!(seen.tally.kept, seen.records.len() as u64);
    let missing = records - seen.tally.kept - seen.tally.lost;
    assert!(
        missing <= seen.missed,
        "{missing} of {records}, {:?}",
        seen.tally
    );
    assert_eq!(seen.tally.unlabelled, 0);
    // its only call is the one that it ends in; who begins while the kernel skips the program is not seen
    let unseen = made + 1 - seen.total("exit_group") - seen.tally.uncounted;
    assert!(
        unseen <= seen.missed,
        "{unseen} of {made}, {} skipped",
        seen.missed
    );
}
