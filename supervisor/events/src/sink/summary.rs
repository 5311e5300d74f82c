//! Counts and times of calls, action by action.

use super::line::{Keep, cut, duration, word};
use super::{Format, Look, Out, Sink, Unwritten, terminal};
use crate::calls;
use crate::claim::Says;
use crate::event::{Event, Kind, Missing};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use stockade_abi::{BUCKETS, Count, CountKey, FIRST_BUCKET_BITS};

pub const FORMAT: Format = Format {
    name: "summary",
    about: "a table of counts and times for each action",
    counts: true,
    open: |out, look| {
        Box::new(Summary {
            out,
            look,
            names: HashMap::new(),
            claims: HashMap::new(),
            notes: 0,
            false_claims: 0,
            missing: Missing::default(),
        })
    },
};

struct Summary {
    out: Out,
    look: Look,
    names: HashMap<u32, String>,
    /// By action, what a hook said that it is.
    claims: HashMap<u32, String>,
    /// Of the agent's own doings, which are counted together.
    notes: u64,
    false_claims: u64,
    missing: Missing,
}

/// The time that so many of a hundred calls took less than; none where the last bucket has no end.
fn percentile(count: &Count, percent: u64) -> Option<u64> {
    let all: u64 = count.times.iter().map(|n| u64::from(*n)).sum();
    let rank = (all * percent).div_ceil(100);
    let mut seen = 0;
    let bucket = count.times.iter().position(|n| {
        seen += u64::from(*n);
        seen >= rank
    })?;
    (bucket < BUCKETS - 1).then(|| 1 << (FIRST_BUCKET_BITS as usize + bucket))
}

fn below(count: &Count, percent: u64) -> String {
    percentile(count, percent).map_or_else(|| "longer".into(), duration)
}

fn add(all: &mut Count, one: &Count) {
    all.calls += one.calls;
    all.failed += one.failed;
    all.time += one.time;
    for (sum, n) in all.times.iter_mut().zip(&one.times) {
        *sum = sum.saturating_add(*n);
    }
}

fn row(name: &str, count: &Count) -> String {
    let failed = match count.failed {
        0 => String::new(),
        n => n.to_string(),
    };
    format!(
        "{:>9} {failed:>8} {:>9} {:>9} {:>9} {:>9}  {name}\n",
        count.calls,
        duration(count.time),
        duration(count.time / count.calls.max(1)),
        below(count, 50),
        below(count, 99),
    )
}

impl Summary {
    fn table(&mut self, action: u32, rows: &mut [(&CountKey, &Count)]) {
        rows.sort_by_key(|(key, count)| (Reverse(count.time), key.call));
        let name = self.names.get(&action);
        let mut text = format!("── action {action}");
        if let Some(name) = name {
            text = format!("{text}  {name}");
        }
        if let Some(claimed) = self.claims.get(&action) {
            text = format!("{text}  claimed: {claimed}");
        }
        if let Some(columns) = self.look.width {
            text = cut(&text, columns, Keep::Head);
        }
        text += &format!(
            "\n{:>9} {:>8} {:>9} {:>9} {:>9} {:>9}  call\n",
            "calls", "failed", "time", "mean", "50% below", "99% below"
        );
        let mut all = Count::default();
        for (key, count) in &*rows {
            add(&mut all, count);
            text += &row(&calls::name_of(key.call), count);
        }
        if rows.len() > 1 {
            text += &row("together", &all);
        }
        self.out.text().extend(text.as_bytes());
        self.out.is_whole();
    }
}

impl Sink for Summary {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::Action { name } => {
                self.names.insert(event.action, terminal::name(name));
            }
            Kind::Claim {
                says: Says::Run, ..
            } => {
                // the first, as in every event of the action
                if let Some(claimed) = &event.claimed {
                    self.claims.insert(event.action, word(claimed.as_bytes()));
                }
            }
            Kind::Claim {
                says: Says::Begin, ..
            } => self.notes += 1,
            Kind::FalseClaim { .. } => self.false_claims += 1,
            Kind::Missing(missing) => self.missing = missing.clone(),
            _ => {}
        }
    }

    fn flush(&mut self) {}

    fn end(&mut self, counts: &[(CountKey, Count)]) {
        let mut actions: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for (key, count) in counts {
            actions.entry(key.action).or_default().push((key, count));
        }
        for (action, mut rows) in actions {
            self.table(action, &mut rows);
        }
        for (n, what) in [
            (self.notes, "claims of what the agent itself does"),
            (self.false_claims, "false claims"),
        ] {
            if n != 0 {
                // a vector takes everything
                writeln!(self.out.text(), "── {n} {what}").unwrap_or(());
                self.out.is_whole();
            }
        }
        if !self.missing.is_nothing() {
            let missing = terminal::lacking(&self.missing);
            writeln!(self.out.text(), "── {missing}").unwrap_or(());
            self.out.is_whole();
        }
        self.out.end();
    }

    fn unwritten(&self) -> &Unwritten {
        self.out.unwritten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_ends_of_their_buckets() {
        let mut count = Count::default();
        assert_eq!(percentile(&count, 50), Some(256));
        count.times[0] = 50;
        count.times[2] = 49;
        count.times[BUCKETS - 1] = 1;
        assert_eq!(percentile(&count, 50), Some(256));
        assert_eq!(percentile(&count, 51), Some(1024));
        assert_eq!(percentile(&count, 99), Some(1024));
        assert_eq!(percentile(&count, 100), None);
    }
}
