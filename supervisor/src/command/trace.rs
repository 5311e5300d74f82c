//! `stockade trace`: what a command does, without holding it.

use crate::cli::Trace;
use crate::exit::Failure;
use crate::trace::begin::Waiting;
use crate::trace::{Selection, Tracing, Wanted};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use stockade_bpf::Options;
use stockade_events::sink::{Json, Sink, Terminal};

pub fn run(trace: &Trace) -> Result<u8, Failure> {
    let mut selection = Selection::parse(&trace.expressions)?;
    selection.failed_only = trace.failed_only;
    selection.counted = trace.counts;
    let sinks = sinks(trace)?;
    let waiting = Waiting::new(&trace.command)?;
    let process = waiting.pid();
    let wanted = Wanted {
        selection,
        options: Options::default(),
        session: format!("trace-{}", std::process::id()),
        begins: Some(process.as_raw().cast_unsigned()),
        sinks,
        agent: None,
    };
    let tracing = Tracing::begin(wanted)?;
    let pidfd = stockade_enforce::pidfd(process).map_err(|e| Failure::Output(e.into()))?;
    tracing
        .probes()
        .label(pidfd.as_fd(), process.as_raw(), 0, true)?;
    crate::session::leave_signals_to_the_command();
    let status = waiting.go()?.wait().map_err(Failure::Output)?;
    tracing.end()?;
    if let Some(signal) = status.signal() {
        crate::session::end_by(signal);
        return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    Ok(u8::try_from(status.code().unwrap_or(0) & 0xff).unwrap_or(u8::MAX))
}

fn sinks(trace: &Trace) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let to: Box<dyn std::io::Write + Send> = match &trace.output {
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|e| Failure::file("write", path, e))?;
            Box::new(std::io::BufWriter::new(file))
        }
        None => Box::new(std::io::stderr()),
    };
    Ok(vec![if trace.json {
        Box::new(Json::new(to))
    } else {
        Box::new(Terminal::new(to))
    }])
}
