//! What was measured, for people and for programs.

use super::memory::Memory;
use super::spread::Spread;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Report {
    pub head: Vec<(&'static str, String)>,
    pub rounds: usize,
    /// Milliseconds; each round measures every row once.
    pub starts: Vec<Start>,
    pub memory: Vec<(&'static str, Memory)>,
    pub binary_bytes: u64,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Start {
    pub name: String,
    pub milliseconds: Spread,
    /// None where not every process of the start is reaped by its parent.
    pub processor: Option<Spread>,
    /// Of the same round's bubblewrap.
    pub ratio: Option<Spread>,
}

impl Report {
    pub fn markdown(&self) -> String {
        let Self {
            head,
            rounds,
            starts,
            memory,
            binary_bytes,
            notes,
        } = self;
        let mut out = String::new();
        for (name, value) in head {
            out += &format!("- {name}: {value}\n");
        }
        out += &format!(
            "\n| start of `true`, preset `agent`, {rounds} rounds | median | p10 to p90 | processor time | of bubblewrap |\n\
             | --- | --- | --- | --- | --- |\n"
        );
        starts.iter().for_each(|s| out += &s.markdown());
        out += "\n| stockade's own processes, session at rest | number | PSS | RSS |\n| --- | --- | --- | --- |\n";
        for (level, of) in memory {
            out += &format!(
                "| {level} | {} | {} KiB | {} KiB |\n",
                of.processes, of.pss_kib, of.rss_kib
            );
        }
        let mebibytes = *binary_bytes as f64 / 1_048_576.0;
        out += &format!("\n- the stripped binary: {mebibytes:.2} MiB\n");
        notes.iter().for_each(|note| out += &format!("- {note}\n"));
        out
    }
}

impl Start {
    fn markdown(&self) -> String {
        let Self {
            name,
            milliseconds: Spread { p10, median, p90 },
            processor,
            ratio,
        } = self;
        let ratio = ratio.map_or_else(
            || "–".into(),
            |r| format!("{:.2} ({:.2} to {:.2})", r.median, r.p10, r.p90),
        );
        let processor = processor.map_or_else(|| "–".into(), |p| format!("{:.2} ms", p.median));
        format!("| {name} | {median:.2} ms | {p10:.2} to {p90:.2} ms | {processor} | {ratio} |\n")
    }
}
