//! What was measured, for people and for programs.

use super::spread::Spread;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Report {
    pub head: Vec<(&'static str, String)>,
    pub sections: Vec<Section>,
}

/// One sub-benchmark.
#[derive(Debug, Default, Serialize)]
pub struct Section {
    pub name: &'static str,
    pub tables: Vec<Table>,
    pub facts: Vec<Fact>,
    /// What a reader has to know to compare the rows.
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Table {
    pub title: String,
    pub unit: &'static str,
    pub rounds: usize,
    /// What the ratios are of.
    pub of: &'static str,
    pub rows: Vec<Row>,
}

/// In the table's unit.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub clock: Spread,
    pub processor: Spread,
    /// Within the same round.
    pub ratio: Option<Spread>,
    pub ratio_by_processor: Option<Spread>,
    pub mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mark {
    pub at_most: f64,
    pub holds: bool,
}

#[derive(Debug, Serialize)]
pub struct Fact {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    pub mark: Option<Mark>,
}

impl Report {
    pub fn markdown(&self) -> String {
        let Self { head, sections } = self;
        let mut out = String::new();
        for (name, value) in head {
            out += &format!("- {name}: {value}\n");
        }
        sections.iter().for_each(|s| out += &s.markdown());
        out
    }
}

impl Section {
    fn markdown(&self) -> String {
        let Self {
            name,
            tables,
            facts,
            notes,
        } = self;
        let mut out = format!("\n### {name}\n");
        tables.iter().for_each(|t| out += &t.markdown());
        if !facts.is_empty() {
            out += "\n| | measured | mark | |\n| --- | --- | --- | --- |\n";
            facts.iter().for_each(|f| out += &f.markdown());
        }
        if !notes.is_empty() {
            out += "\n";
            notes.iter().for_each(|note| out += &format!("- {note}\n"));
        }
        out
    }
}

impl Table {
    fn markdown(&self) -> String {
        let Self {
            title,
            unit,
            rounds,
            of,
            rows,
        } = self;
        let mut out = format!(
            "\n| {title}, {rounds} rounds | median | p10 to p90 | least | processor | of {of} | by processor | mark | |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        );
        rows.iter().for_each(|row| out += &row.markdown(unit));
        out
    }
}

const NONE: &str = "–";

impl Row {
    fn markdown(&self, unit: &str) -> String {
        let Self {
            name,
            clock:
                Spread {
                    least,
                    p10,
                    median,
                    p90,
                },
            processor,
            ratio,
            ratio_by_processor,
            mark,
        } = self;
        let digits = if *median < 1000.0 { 2 } else { 0 };
        let number = |n: f64| format!("{n:.digits$}");
        let within = |of: &Option<Spread>| {
            of.map_or_else(
                || NONE.into(),
                |r| format!("{:.3} ({:.2} to {:.2})", r.median, r.p10, r.p90),
            )
        };
        format!(
            "| {name} | {} {unit} | {} to {} {unit} | {} {unit} | {} {unit} | {} | {} | {} |\n",
            number(*median),
            number(*p10),
            number(*p90),
            number(*least),
            number(processor.median),
            within(ratio),
            within(ratio_by_processor),
            Mark::cells(mark.as_ref()),
        )
    }
}

impl Fact {
    fn markdown(&self) -> String {
        let Self {
            name,
            value,
            unit,
            mark,
        } = self;
        let digits = usize::from(value.fract() != 0.0) * 2;
        format!(
            "| {name} | {value:.digits$} {unit} | {} |\n",
            Mark::cells(mark.as_ref())
        )
    }
}

impl Mark {
    pub fn of(at_most: f64, value: f64) -> Self {
        Self {
            at_most,
            holds: value <= at_most,
        }
    }

    fn cells(mark: Option<&Self>) -> String {
        match mark {
            Some(Self { at_most, holds }) => format!(
                "≤ {at_most} | {}",
                if *holds { "holds" } else { "**misses**" }
            ),
            None => format!("{NONE} | "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stands_beside_its_result() {
        let row = |median: f64| {
            let spread = Spread::of(&[median]);
            Row {
                name: "a".into(),
                clock: Spread::of(&[20.0]).unwrap(),
                processor: Spread::of(&[10.0]).unwrap(),
                ratio: spread,
                ratio_by_processor: None,
                mark: Some(Mark::of(1.1, median)),
            }
            .markdown("ms")
        };
        assert!(row(1.1).ends_with("| 1.100 (1.10 to 1.10) | – | ≤ 1.1 | holds |\n"));
        assert!(row(1.101).contains("**misses**"));
    }
}
