//! A connection to a manager of systemd: the socket that `systemctl` uses, else the message bus before it.
//!
//! Both speak D-Bus; the private socket leads straight to the manager, without a daemon between. See sd-bus(3),
//! <https://dbus.freedesktop.org/doc/dbus-specification.html#auth-mechanisms>.

use super::Manager;
use super::wire::{self, Kind, Message, Method, Writer};
use crate::base::env;
use anyhow::{Context, Result, anyhow, bail};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer may take; what D-Bus clients wait.
const PATIENCE: Duration = Duration::from_secs(25);
/// Who we are is said by the kernel (SO_PEERCRED): in a user namespace our own number would be wrong.
const AUTHENTICATION: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/// An open connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    /// Whether a daemon is between, which wants to know whom a call is for.
    daemon: bool,
    serial: u32,
    inbox: Vec<u8>,
    authenticated: bool,
    /// Jobs that have ended, as the signals said: object path and result.
    ended: Vec<(String, String)>,
}

/// The sockets that lead to a manager, best first, each with whether a message daemon listens there.
pub(super) fn sockets(manager: Manager) -> Vec<(PathBuf, bool)> {
    match manager {
        Manager::System => {
            vec![("/run/systemd/private".into(), false), ("/run/dbus/system_bus_socket".into(), true)]
        }
        Manager::User(uid) => {
            let folder = env::xdg_runtime_dir().unwrap_or_else(|| format!("/run/user/{uid}").into());
            vec![(folder.join("systemd/private"), false), (folder.join("bus"), true)]
        }
    }
}

impl Bus {
    /// Connect and authenticate.
    pub(super) fn open(manager: Manager) -> Result<Self> {
        let mut refused = None;
        for (path, daemon) in sockets(manager) {
            match UnixStream::connect(&path) {
                Ok(stream) => return Self::greet(stream, daemon),
                Err(error) => {
                    refused =
                        refused.or(Some(anyhow!(error).context(format!("cannot connect to `{}`", path.display()))));
                }
            }
        }
        Err(refused.unwrap_or_else(|| anyhow!("there is no socket")))
    }

    fn greet(stream: UnixStream, daemon: bool) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut bus = Self { stream, daemon, serial: 0, inbox: Vec::new(), authenticated: false, ended: Vec::new() };
        bus.stream.write_all(AUTHENTICATION).context("cannot speak to systemd")?;
        // A call that comes with the handshake the manager may leave lying until we say more.
        while !bus.authenticated {
            bus.hear()?;
            bus.skip_authentication()?;
        }
        if daemon {
            let driver = |member, signature| Method {
                destination: Some("org.freedesktop.DBus"),
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member,
                signature,
            };
            bus.call(driver("Hello", ""), Writer::default())?;
            let mut rule = Writer::default();
            rule.text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
            bus.call(driver("AddMatch", "s"), rule)?;
        }
        Ok(bus)
    }

    /// Call a method of the manager and wait for its answer.
    pub(super) fn manager(&mut self, member: &str, signature: &str, body: Writer) -> Result<Message> {
        let method = Method {
            destination: self.daemon.then_some("org.freedesktop.systemd1"),
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member,
            signature,
        };
        self.call(method, body)
    }

    fn call(&mut self, method: Method<'_>, body: Writer) -> Result<Message> {
        self.serial += 1;
        let serial = self.serial;
        self.stream.write_all(&wire::call(serial, method, body)).context("cannot speak to systemd")?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Reply if message.answers == serial => return Ok(message),
                Kind::Error if message.answers == serial => {
                    let text = message.body().text().unwrap_or_default();
                    bail!(
                        "systemd refuses `{}`: {}",
                        method.member,
                        if text.is_empty() { &message.name } else { &text }
                    );
                }
                _ => {}
            }
        }
    }

    /// Wait until a job has ended; its result, which is `done` if all went well.
    pub(super) fn await_job(&mut self, job: &str) -> Result<String> {
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(path, _)| path == job) {
                return Ok(result.clone());
            }
            self.receive()?;
        }
    }

    /// The next message. Ends of jobs are noted on the way.
    fn receive(&mut self) -> Result<Message> {
        loop {
            if let Some((message, length)) = Message::read(&self.inbox)? {
                self.inbox.drain(..length);
                if message.kind == Kind::Signal && message.name == "JobRemoved" {
                    let mut body = message.body();
                    body.u32()?;
                    let job = body.text()?;
                    body.text()?;
                    self.ended.push((job, body.text()?));
                }
                return Ok(message);
            }
            self.hear()?;
        }
    }

    /// Wait for more bytes.
    fn hear(&mut self) -> Result<()> {
        let mut part = [0; 4096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => bail!("systemd has closed the connection"),
                Ok(length) => {
                    self.inbox.extend_from_slice(&part[..length]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("systemd does not answer"),
                Err(error) => return Err(error).context("cannot hear from systemd"),
            }
        }
    }

    /// Take the lines of the handshake off the inbox: `DATA`, then `OK` and the server's number.
    fn skip_authentication(&mut self) -> Result<()> {
        // A message begins with its byte order, `l`, which no line of the handshake does.
        while self.inbox.first().is_some_and(|first| *first != b'l') {
            let Some(end) = self.inbox.windows(2).position(|pair| pair == b"\r\n") else { return Ok(()) };
            let line: Vec<u8> = self.inbox.drain(..end + 2).collect();
            match &line[..] {
                line if line.starts_with(b"OK") => self.authenticated = true,
                line if line.starts_with(b"DATA") => {}
                line => bail!("systemd does not let us in: {}", String::from_utf8_lossy(line).trim_end()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_before_the_handshake_has_ended() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut words = [0; AUTHENTICATION.len()];
            theirs.read_exact(&mut words).unwrap();
            assert_eq!(words, AUTHENTICATION);
            theirs.write_all(b"DATA\r\nOK 5ab0").unwrap();
            theirs.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            assert_eq!(theirs.read(&mut words).unwrap_err().kind(), ErrorKind::WouldBlock);
            theirs.write_all(b"\r\n").unwrap();
            theirs.set_read_timeout(None).unwrap();
            theirs.read_exact(&mut words).unwrap();
            words[0]
        });
        let mut bus = Bus::greet(ours, false).unwrap();
        // The server goes away instead of an answer.
        let error = bus.manager("Subscribe", "", Writer::default()).unwrap_err();
        assert!(format!("{error:#}").contains("systemd"), "{error:#}");
        assert_eq!(server.join().unwrap(), b'l');
    }
}
