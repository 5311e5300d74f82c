//! What a hook says that an action is: the record that it sends, and what becomes of it. Never the kernel's word.

use crate::event::Kind;
use serde::Serialize;
use std::collections::HashMap;
use stockade_abi::Head;

/// Of a record; nothing else is ever sent.
pub const SIZE: usize = 256;
const MARK: &[u8; 4] = b"act1";
const ID: usize = 64;
const LABEL: usize = SIZE - 8 - ID;
/// Claims that an action may make at once, and how many more a second.
const BURST: u64 = 32;
const A_SECOND: u64 = 8;
/// Notes that may be open at once.
const OPEN: usize = 64;
/// A note is remembered for calls that began before it ended and end later.
const REMEMBERED: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The sender's whole action is this.
    Run,
    /// From here on the agent does this in its own process.
    Begin,
    End,
}

/// One claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub says: Says,
    pub id: String,
    pub label: String,
}

/// As much of a text as there is room for, in whole characters.
fn fits(text: &str, room: usize) -> &str {
    let mut end = text.len().min(room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Claim {
    pub fn new(says: Says, id: &str, label: &str) -> Self {
        Self {
            says,
            id: fits(id, ID).into(),
            label: fits(label, LABEL).into(),
        }
    }

    pub fn encode(&self) -> [u8; SIZE] {
        let Self { says, id, label } = self;
        let (id, label) = (fits(id, ID).as_bytes(), fits(label, LABEL).as_bytes());
        let mut out = [0; SIZE];
        out[..4].copy_from_slice(MARK);
        out[4] = match says {
            Says::Run => 1,
            Says::Begin => 2,
            Says::End => 3,
        };
        // both are less than 256
        out[5] = u8::try_from(id.len()).unwrap_or(0);
        out[6] = u8::try_from(label.len()).unwrap_or(0);
        out[8..8 + id.len()].copy_from_slice(id);
        out[8 + ID..8 + ID + label.len()].copy_from_slice(label);
        out
    }

    /// None of anything but a whole record of text.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let says = match (&bytes[..4] == MARK, bytes[4]) {
            (true, 1) => Says::Run,
            (true, 2) => Says::Begin,
            (true, 3) => Says::End,
            _ => return None,
        };
        let text = |at: usize, size: u8, room: usize| {
            let text = bytes[at..at + room].get(..usize::from(size))?;
            std::str::from_utf8(text).ok().map(str::to_owned)
        };
        let id = text(8, bytes[5], ID).filter(|id| !id.is_empty())?;
        let label = text(8 + ID, bytes[6], LABEL)?;
        Some(Self { says, id, label })
    }
}

/// A claim, and what the kernel says of who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Of CLOCK_MONOTONIC.
    pub time: u64,
    pub process: u32,
    /// None where the sender is gone: its fork says it.
    pub action: Option<u32>,
    /// None where it was no record.
    pub claim: Option<Claim>,
}

#[derive(Debug)]
struct Note {
    id: String,
    label: String,
    begin: u64,
    end: Option<u64>,
}

#[derive(Debug)]
struct Rate {
    left: u64,
    since: u64,
    dropped: u64,
}

/// What was claimed until now.
#[derive(Debug, Default)]
pub struct Claims {
    /// By action.
    labels: HashMap<u32, String>,
    /// The action whose own an id is.
    ids: HashMap<String, u32>,
    notes: Vec<Note>,
    rates: HashMap<u32, Rate>,
    /// In their order: of senders that are not known yet, and what is behind one of those.
    waiting: Vec<Sent>,
}

/// In the place of an action: senders that are not traced, together.
pub(crate) const NOBODY: u32 = u32::MAX;
/// Claims that may wait.
const WAITING: usize = 256;

impl Sent {
    fn id(&self) -> Option<&str> {
        self.claim.as_ref().map(|c| c.id.as_str())
    }
}

impl Claims {
    /// What an action is claimed to be at a time, and whether it is claimed to be two things.
    pub fn label(&self, action: u32, time: u64) -> (Option<String>, bool) {
        if let Some(label) = self.labels.get(&action) {
            return (Some(label.clone()), false);
        }
        if action != 0 || self.notes.is_empty() {
            return (None, false);
        }
        let open = |n: &&Note| n.begin <= time && n.end.is_none_or(|end| time < end);
        let mut open = self.notes.iter().filter(open);
        // the one that began last
        let Some(last) = open.next_back() else {
            return (None, false);
        };
        (Some(last.label.clone()), open.next().is_some())
    }

    pub(crate) fn wait(&mut self, sent: Sent) {
        if self.waiting.len() < WAITING || sent.action.is_some() {
            self.waiting.push(sent);
        } else {
            self.rate(NOBODY, sent.time).dropped += 1;
        }
    }

    /// What a new process has sent already.
    pub(crate) fn forked(&mut self, head: &Head) {
        let own = |s: &&mut Sent| s.process == head.process && s.time >= head.time;
        let unknown = self.waiting.iter_mut().filter(|s| s.action.is_none());
        for sent in unknown.filter(own) {
            sent.action = Some(head.action);
        }
    }

    /// Those that need not wait any more, with whose they are.
    pub(crate) fn ready(&mut self) -> Vec<(u32, Sent)> {
        let (mut ready, mut waiting) = (Vec::new(), Vec::new());
        for sent in std::mem::take(&mut self.waiting) {
            let behind = |other: &Sent| sent.id().is_some() && other.id() == sent.id();
            match sent.action {
                Some(action) if !waiting.iter().any(behind) => ready.push((action, sent)),
                _ => waiting.push(sent),
            }
        }
        self.waiting = waiting;
        ready
    }

    /// Those from before `time` whose sender is not known: as many as are to be shown.
    pub(crate) fn of_nobody(&mut self, time: u64) -> Vec<Sent> {
        let old = |s: &mut Sent| s.action.is_none() && s.time < time;
        let mut old: Vec<Sent> = self.waiting.extract_if(.., old).collect();
        old.retain(|sent| self.may(NOBODY, sent.time));
        old
    }

    /// The event that a claim of `action` is; none where it came too often and that was said.
    pub fn take(&mut self, action: u32, sent: &Sent) -> Option<Kind> {
        let wrong = |of, says: &str| {
            Some(Kind::FalseClaim {
                of,
                says: says.into(),
            })
        };
        if !self.may(action, sent.time) {
            let first = self.rates.get(&action).is_some_and(|r| r.dropped == 1);
            return first
                .then(|| wrong(action, "claims too often: what follows is dropped"))
                .flatten();
        }
        let Some(claim) = &sent.claim else {
            return wrong(action, "is no record of a claim");
        };
        let Claim { says, id, label } = claim;
        let owner = self.ids.get(id).copied();
        match says {
            Says::Run => {
                let owner = *self.ids.entry(id.clone()).or_insert(action);
                if owner != action {
                    return wrong(owner, &format!("{id}: {label}"));
                }
                // what the command runs does not name it again
                self.labels.entry(action).or_insert_with(|| label.clone());
            }
            Says::Begin | Says::End => {
                let named = self.labels.contains_key(&action) && action != 0;
                if let Some(of) = owner.or(named.then_some(0)) {
                    return wrong(of, &format!("{id}: {label}"));
                }
                if let Some(why) = self.note(*says, id, label, sent.time) {
                    return wrong(0, &format!("{id}: {why}"));
                }
            }
        }
        Some(Kind::Claim {
            says: *says,
            id: id.clone(),
            label: label.clone(),
        })
    }

    /// Why it is false.
    fn note(&mut self, says: Says, id: &str, label: &str, time: u64) -> Option<&'static str> {
        let open = self
            .notes
            .iter_mut()
            .find(|n| n.id == id && n.end.is_none());
        match (says, open) {
            (Says::Begin, None) => {
                if self.notes.iter().filter(|n| n.end.is_none()).count() >= OPEN {
                    return Some("too many have begun");
                }
                if self.notes.len() >= REMEMBERED {
                    self.notes.retain(|n| n.end.is_none());
                }
                self.notes.push(Note {
                    id: id.into(),
                    label: label.into(),
                    begin: time,
                    end: None,
                });
                None
            }
            (Says::Begin, Some(_)) => Some("has begun already"),
            (Says::End | Says::Run, Some(note)) => {
                note.end = Some(time);
                None
            }
            (Says::End | Says::Run, None) => Some("has not begun"),
        }
    }

    fn rate(&mut self, action: u32, time: u64) -> &mut Rate {
        self.rates.entry(action).or_insert(Rate {
            left: BURST,
            since: time,
            dropped: 0,
        })
    }

    fn may(&mut self, action: u32, time: u64) -> bool {
        let rate = self.rate(action, time);
        let more = time.saturating_sub(rate.since) * A_SECOND / 1_000_000_000;
        if more > 0 {
            rate.left = (rate.left + more).min(BURST);
            rate.since = time;
        }
        if rate.left == 0 {
            rate.dropped += 1;
            return false;
        }
        rate.left -= 1;
        true
    }

    /// How many of each action's were dropped.
    pub fn dropped(&self) -> Vec<(u32, u64)> {
        let rates = self.rates.iter().filter(|(_, r)| r.dropped > 0);
        let mut all: Vec<_> = rates.map(|(action, r)| (*action, r.dropped)).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(says: Says, id: &str, label: &str, time: u64) -> Sent {
        Sent {
            time,
            process: 1,
            action: None,
            claim: Some(Claim::new(says, id, label)),
        }
    }

    fn is_false(kind: Option<Kind>, named: u32) -> bool {
        matches!(kind, Some(Kind::FalseClaim { of, .. }) if of == named)
    }

    fn is_true(kind: Option<Kind>) -> bool {
        matches!(kind, Some(Kind::Claim { .. }))
    }

    #[test]
    fn a_record_is_whole_or_nothing() {
        let claim = Claim::new(Says::Run, &"i".repeat(100), &"ä".repeat(200));
        let bytes = claim.encode();
        assert_eq!(Claim::decode(&bytes), Some(claim));
        assert_eq!(Claim::decode(&bytes[1..]), None);
        let with = |at: usize, to: u8| {
            let mut other = bytes;
            other[at] = to;
            Claim::decode(&other)
        };
        // the mark, what it says, both sizes, a byte that is no text
        for (at, to) in [(0, 0), (4, 9), (5, 0), (5, 65), (6, 185), (72, 0xff)] {
            assert_eq!(with(at, to), None, "{at} {to}");
        }
        assert!(with(7, 1).is_some());
    }

    #[test]
    fn an_id_is_of_who_claims_it_first() {
        let mut claims = Claims::default();
        assert!(is_true(claims.take(3, &sent(Says::Run, "a", "three", 0))));
        assert!(is_false(
            claims.take(4, &sent(Says::Run, "a", "four", 0)),
            3
        ));
        assert!(is_true(claims.take(4, &sent(Says::Run, "b", "four", 0))));
        // the first label stays
        assert!(is_true(claims.take(3, &sent(Says::Run, "c", "other", 0))));
        assert_eq!(claims.label(3, 5), (Some("three".into()), false));
        assert_eq!(claims.label(4, 5), (Some("four".into()), false));
        assert_eq!(claims.label(5, 5), (None, false));
    }

    #[test]
    fn notes_label_the_agent_for_their_time() {
        let mut claims = Claims::default();
        assert!(is_true(claims.take(1, &sent(Says::Begin, "a", "one", 10))));
        assert!(is_true(claims.take(2, &sent(Says::Begin, "b", "two", 20))));
        assert!(is_true(claims.take(3, &sent(Says::End, "a", "", 30))));
        let at = |time| claims.label(0, time);
        assert_eq!(at(9), (None, false));
        assert_eq!(at(10), (Some("one".into()), false));
        assert_eq!(at(20), (Some("two".into()), true));
        assert_eq!(at(30), (Some("two".into()), false));
        assert_eq!(claims.label(1, 15), (None, false));
        assert!(is_false(claims.take(3, &sent(Says::End, "a", "", 40)), 0));
        assert!(is_false(claims.take(3, &sent(Says::Begin, "b", "", 40)), 0));
    }

    #[test]
    fn who_is_named_says_nothing_of_the_agent() {
        let mut claims = Claims::default();
        assert!(is_true(claims.take(3, &sent(Says::Run, "a", "three", 0))));
        assert!(is_false(claims.take(3, &sent(Says::Begin, "n", "", 0)), 0));
        assert!(is_false(claims.take(4, &sent(Says::Begin, "a", "", 0)), 3));
        assert_eq!(claims.label(0, 5), (None, false));
    }

    #[test]
    fn an_end_waits_for_its_begin() {
        let mut claims = Claims::default();
        let from = |process: u32, action, says, id: &str, time| Sent {
            process,
            action,
            ..sent(says, id, "x", time)
        };
        claims.wait(from(5, None, Says::Begin, "a", 20));
        claims.wait(from(6, Some(2), Says::End, "a", 30));
        claims.wait(from(7, Some(3), Says::Run, "b", 40));
        let ids = |ready: Vec<(u32, Sent)>| -> Vec<(u32, String)> {
            let own = |(action, s): (u32, Sent)| (action, s.id().unwrap().to_owned());
            ready.into_iter().map(own).collect()
        };
        assert_eq!(ids(claims.ready()), [(3, "b".into())]);
        let fork = |process, action, time| Head {
            process,
            action,
            time,
            ..Head::default()
        };
        // a later process of the same number is another
        claims.forked(&fork(5, 9, 25));
        assert!(claims.ready().is_empty());
        claims.forked(&fork(5, 1, 10));
        assert_eq!(ids(claims.ready()), [(1, "a".into()), (2, "a".into())]);
        claims.wait(from(5, None, Says::Begin, "c", 20));
        assert!(claims.of_nobody(20).is_empty());
        assert_eq!(claims.of_nobody(21).len(), 1);
    }

    #[test]
    fn who_is_not_traced_fills_nothing() {
        let mut claims = Claims::default();
        for n in 0..1000 {
            claims.wait(sent(Says::Run, &n.to_string(), "x", 0));
        }
        assert_eq!(claims.of_nobody(1).len(), 32);
        assert_eq!(claims.dropped(), [(NOBODY, 968)]);
    }

    #[test]
    fn a_flood_of_one_action_is_dropped_and_counted() {
        let mut claims = Claims::default();
        let mut kinds = Vec::new();
        for n in 0..100 {
            kinds.extend(claims.take(1, &sent(Says::Run, &n.to_string(), "x", 0)));
        }
        assert_eq!(kinds.len(), 33);
        assert!(is_false(kinds.pop(), 1));
        assert_eq!(claims.dropped(), [(1, 68)]);
        assert!(is_true(claims.take(2, &sent(Says::Run, "o", "x", 0))));
        // a second later there is room again
        let later = sent(Says::Run, "z", "x", 1_000_000_000);
        assert!(is_true(claims.take(1, &later)));
    }
}
