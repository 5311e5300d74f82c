//! The measured work, kept waiting in each way at once, so that batches of all of them alternate.

use super::lanes::{Lane, Took};
use super::place::Place;
use super::ways::{Kind, NATIVE, Way, output};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SOURCE: &str = include_str!("driver.c");

/// From either workspace.
pub const PROGRAM: &str = "./driver";

/// Compiled into the workspaces, where every way may execute it.
pub fn build(place: &Place) -> Result<(), String> {
    place.write("files/driver.c", SOURCE)?;
    for workspace in [place.work(), place.beside()] {
        let mut compile = Command::new("cc");
        compile
            .args(["-O2", "-o"])
            .arg(workspace.join("driver"))
            .arg(place.at("files/driver.c"));
        output(&mut compile)?;
    }
    Ok(())
}

/// One driver that waits, with its session around it.
struct Driver {
    child: Child,
    /// None once it has been told to end.
    go: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Driver {
    fn start(way: &Way<'_>, words: &[&str]) -> Result<Self, String> {
        let mut prepared = way.prepare(words)?;
        let command = prepared
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // not this process's: a file that is passed changes what a session has to hold
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", way.name))?;
        let go = child.stdin.take();
        let answers = child.stdout.take().ok_or("no answers")?;
        Ok(Self {
            child,
            go,
            answers: BufReader::new(answers),
        })
    }

    /// In nanoseconds.
    fn batch(&mut self) -> Result<Took, String> {
        let go = self.go.as_mut().ok_or("it was told to end")?;
        go.write_all(b"g").map_err(|e| e.to_string())?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .map_err(|e| e.to_string())?;
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(clock)), Some(Ok(processor))) => Ok(Took { clock, processor }),
            _ => Err(format!("the driver answered {line:?}: {}", self.said())),
        }
    }
}

impl Driver {
    /// Of a driver that has ended.
    fn said(&mut self) -> String {
        self.go = None;
        let mut said = String::new();
        match self
            .child
            .stderr
            .as_mut()
            .map(|e| e.read_to_string(&mut said))
        {
            Some(Ok(_)) => said.trim().to_owned(),
            Some(Err(why)) => why.to_string(),
            None => String::new(),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // the end of its input ends the driver, and so the session
        self.go = None;
        if let Err(why) = self.child.wait() {
            eprintln!("bench: a driver was not reaped: {why}");
        }
    }
}

/// One lane a way; `scale` turns nanoseconds into the table's unit.
pub fn lanes<'a>(ways: &[Way<'_>], words: &[&str], scale: f64) -> Result<Vec<Lane<'a>>, String> {
    ways.iter().map(|way| lane(way, words, scale)).collect()
}

fn lane<'a>(way: &Way<'_>, words: &[&str], scale: f64) -> Result<Lane<'a>, String> {
    let mut driver = Driver::start(way, words)?;
    let lane = Lane::new(&way.name, way.kind, move || {
        let took = driver.batch()?;
        Ok(Took {
            clock: took.clock / scale,
            processor: took.processor / scale,
        })
    });
    Ok(if way.kind == Kind::Native {
        lane
    } else {
        lane.of(NATIVE)
    })
}
