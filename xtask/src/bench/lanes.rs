//! What is compared, measured in rounds: each round measures every lane once, in an order that changes,
//! and ratios are taken within a round.

use super::report::{Mark, Row};
use super::spread::Spread;
use super::ways::Kind;

/// Of one batch, in the section's unit.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    pub clock: f64,
    /// Of the kernel too: less in doubt than the clock on a machine that does other things.
    pub processor: f64,
}

/// By which ratio a mark holds or misses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Judge {
    #[default]
    Clock,
    /// Where the machine does other things, the clock shows mostly waiting.
    Processor,
}

type Once<'a> = Box<dyn FnMut() -> Result<Took, String> + 'a>;

pub struct Lane<'a> {
    name: String,
    kind: Kind,
    once: Once<'a>,
    took: Vec<Took>,
    /// The lane that this one is divided by.
    base: Option<String>,
    at_most: Option<f64>,
    left: Option<String>,
}

impl<'a> Lane<'a> {
    pub fn new(name: &str, kind: Kind, once: impl FnMut() -> Result<Took, String> + 'a) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            once: Box::new(once),
            took: Vec::new(),
            base: None,
            at_most: None,
            left: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn of(self, base: &str) -> Self {
        Self {
            base: Some(base.to_owned()),
            ..self
        }
    }

    pub fn at_most(mut self, mark: f64) -> Self {
        self.mark(mark);
        self
    }

    pub fn mark(&mut self, at_most: f64) {
        self.at_most = Some(at_most);
    }
}

/// The lanes' rows, and why a peer has none.
pub fn measure(
    mut lanes: Vec<Lane<'_>>,
    warm_up: usize,
    rounds: usize,
    judge: Judge,
) -> Result<(Vec<Row>, Vec<String>), String> {
    for round in 0..warm_up + rounds {
        // what a lane leaves behind, such as a network namespace to be taken down, meets the next: each
        // comes first equally often, and every other round goes backwards
        let len = lanes.len();
        for n in 0..len {
            let n = if round % 2 == 0 { n } else { len - 1 - n };
            let lane = &mut lanes[(n + round / 2) % len];
            if lane.left.is_some() {
                continue;
            }
            match ((lane.once)(), lane.kind) {
                (Ok(took), _) if round >= warm_up => lane.took.push(took),
                (Ok(_), _) => {}
                (Err(why), Kind::Peer) => lane.left = Some(why),
                (Err(why), Kind::Native | Kind::Own) => {
                    return Err(format!("{}: {why}", lane.name));
                }
            }
        }
    }
    let left = lanes
        .iter()
        .filter_map(|l| Some(format!("{}: not measured: {}", l.name, l.left.as_ref()?)))
        .collect();
    let kept: Vec<Lane<'_>> = lanes.into_iter().filter(|l| l.left.is_none()).collect();
    let rows: Result<_, String> = kept.iter().map(|lane| row(lane, &kept, judge)).collect();
    Ok((rows?, left))
}

fn row(lane: &Lane<'_>, all: &[Lane<'_>], judge: Judge) -> Result<Row, String> {
    let base = match &lane.base {
        Some(name) => Some(
            all.iter()
                .find(|l| l.name == *name)
                .ok_or_else(|| format!("{}: {name} was not measured", lane.name))?,
        ),
        None => None,
    };
    let ratios = |part: fn(&Took) -> f64| {
        let pairs = lane.took.iter().zip(&base?.took);
        Spread::of(
            &pairs
                .map(|(own, other)| part(own) / part(other))
                .collect::<Vec<_>>(),
        )
    };
    let values = |part: fn(&Took) -> f64| {
        let values: Vec<f64> = lane.took.iter().map(part).collect();
        Spread::of(&values).ok_or_else(|| format!("{}: nothing was measured", lane.name))
    };
    let (ratio, ratio_by_processor) = (ratios(|t| t.clock), ratios(|t| t.processor));
    let judged = match judge {
        Judge::Clock => ratio,
        Judge::Processor => ratio_by_processor,
    };
    Ok(Row {
        name: lane.name.clone(),
        clock: values(|t| t.clock)?,
        processor: values(|t| t.processor)?,
        ratio,
        ratio_by_processor,
        mark: lane
            .at_most
            .zip(judged)
            .map(|(at_most, ratio)| Mark::of(at_most, ratio.median)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, kind: Kind, clock: f64) -> Lane<'static> {
        Lane::new(name, kind, move || {
            Ok(Took {
                clock,
                processor: 2.0,
            })
        })
    }

    #[test]
    fn ratios_are_of_the_named_lane_and_a_mark_is_judged_by_them() {
        let lanes = || {
            vec![
                lane("native", Kind::Native, 2.0),
                lane("near", Kind::Own, 2.1).of("native").at_most(1.1),
                lane("far", Kind::Own, 3.0).of("native").at_most(1.1),
            ]
        };
        let (rows, left) = measure(lanes(), 1, 4, Judge::Clock).unwrap();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(rows[0].ratio, None);
        assert_eq!(rows[2].ratio.map(|r| r.median), Some(1.5));
        let holds: Vec<_> = rows.iter().map(|r| r.mark.map(|m| m.holds)).collect();
        assert_eq!(holds, [None, Some(true), Some(false)]);
        let (rows, _) = measure(lanes(), 1, 4, Judge::Processor).unwrap();
        assert_eq!(rows[2].mark.map(|m| m.holds), Some(true));
    }

    #[test]
    fn a_peer_that_fails_is_named_and_any_other_lane_is_an_error() {
        let broken = |kind| Lane::new("broken", kind, || Err("no such thing".into()));
        let (rows, left) = measure(
            vec![lane("native", Kind::Native, 1.0), broken(Kind::Peer)],
            0,
            2,
            Judge::Clock,
        )
        .unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(left, ["broken: not measured: no such thing"]);
        assert!(measure(vec![broken(Kind::Own)], 0, 1, Judge::Clock).is_err());
        let orphan = lane("orphan", Kind::Own, 1.0).of("broken");
        assert!(measure(vec![orphan, broken(Kind::Peer)], 0, 1, Judge::Clock).is_err());
    }
}
