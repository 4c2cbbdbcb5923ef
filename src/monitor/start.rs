//! The start-up report: the invoking command learns from the monitor that the container runs, or why it does not.

use super::wire::{self, Inbox, MAX_REPLY, Type};
use crate::base::error::{self, Kind, fault};
use crate::base::timing;
use anyhow::{Context, Result, anyhow};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// Say that the container runs, with the phases recorded here if `--timing` is on. A caller that has gone is no error.
pub fn report_started(connection: &UnixStream) {
    let phases = if timing::enabled() { timing::take() } else { Vec::new() };
    let payload = if phases.is_empty() { Vec::new() } else { serde_json::to_vec(&phases).unwrap_or_default() };
    let payload = if payload.len() > MAX_REPLY { Vec::new() } else { payload };
    let _ = wire::send(connection, Type::Started, &payload, &[]);
}

/// Say why it does not. A caller that has gone is no error.
pub fn report_failed(connection: &UnixStream, error: &anyhow::Error) {
    let _ = wire::send(connection, Type::Failed, &error::encode(error), &[]);
}

/// Wait for the report. Errors: the one that the monitor reports, with its kind and hints; that it has died.
///
/// Nothing of what follows on the connection is read.
pub fn await_started(connection: &mut UnixStream) -> Result<()> {
    let died = || fault(Kind::Other, "the monitor died before the container started");
    // Bytes that follow belong to attach(), so this reads the header, then exactly the payload.
    let header = read_exactly(connection, wire::HEADER)?.ok_or_else(died)?;
    let mut inbox = Inbox::new(MAX_REPLY);
    inbox.push(&header);
    let payload = read_exactly(connection, inbox.missing())?.ok_or_else(died)?;
    inbox.push(&payload);
    let frame = inbox.next().context("cannot understand the monitor")?.ok_or_else(died)?;
    match frame.kind {
        Type::Started => {
            if timing::enabled() {
                let phases: Vec<(String, i64)> = serde_json::from_slice(&frame.payload).unwrap_or_default();
                phases.iter().for_each(|(name, at)| timing::record(name, *at));
            }
            Ok(())
        }
        Type::Failed => Err(error::decode(&frame.payload)),
        _ => Err(anyhow!("cannot understand the monitor")),
    }
}

/// That many bytes; `None` if the other end closes before.
fn read_exactly(connection: &UnixStream, length: usize) -> Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::read(connection.as_fd(), &mut bytes[filled..]) {
            Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot hear from the monitor"),
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::{Fault, kind};

    #[test]
    fn an_error_arrives_as_it_was() {
        let (monitor, mut caller) = UnixStream::pair().unwrap();
        let error = Fault::new(Kind::CommandNotFound, "no such command `ls`")
            .hint("box run x sh")
            .because(std::io::Error::from_raw_os_error(2))
            .context("cannot start container `web`");
        report_failed(&monitor, &error);
        report_failed(&monitor, &anyhow!("plain"));
        report_failed(&monitor, &fault(Kind::Interrupted(2), "x".repeat(100_000)));
        let got = await_started(&mut caller).unwrap_err();
        assert_eq!(kind(&got), Kind::CommandNotFound);
        assert_eq!(format!("{got:#}"), format!("{error:#}"));
        assert_eq!(got.downcast_ref::<Fault>().unwrap().hints, ["box run x sh"]);
        assert_eq!(format!("{:#}", await_started(&mut caller).unwrap_err()), "plain");
        let got = await_started(&mut caller).unwrap_err();
        assert_eq!(kind(&got), Kind::Interrupted(2));
        assert_eq!(got.to_string().len(), 512);
    }

    #[test]
    fn a_monitor_that_dies_is_an_error_and_one_that_starts_is_none() {
        let (monitor, mut caller) = UnixStream::pair().unwrap();
        report_started(&monitor);
        await_started(&mut caller).unwrap();
        drop(monitor);
        assert!(await_started(&mut caller).unwrap_err().to_string().contains("died"));
    }
}
