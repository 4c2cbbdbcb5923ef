//! `--ssh ID=KEY,…`: an SSH agent of the build's own, with keys from files. The agent is OpenSSH's.

use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use crate::base::signal::SIGKILL;
use crate::base::temp::TempDir;
use crate::sys::process::{self, Fork};
use anyhow::{Context, Result};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Between two looks for the agent's socket.
const PAUSE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Start an agent with these keys; it ends with this process. Returns its socket.
pub fn with_keys(temp: &TempDir, keys: &[PathBuf]) -> Result<PathBuf> {
    let socket = temp.path().join("agent");
    let text = |text: &std::ffi::OsStr| std::ffi::CString::new(text.as_bytes()).context("cannot start ssh-agent");
    let program = text(find("ssh-agent")?.as_os_str())?;
    let argv = [text("ssh-agent".as_ref())?, text("-D".as_ref())?, text("-a".as_ref())?, text(socket.as_os_str())?];
    if let Fork::Child = process::fork().context("cannot start ssh-agent")? {
        // ssh-agent is set-group-ID here and there, and the exec of such a program takes the signal away (prctl(2)).
        let _ = rustix::thread::set_no_new_privs(true);
        let _ = process::set_parent_death_signal(SIGKILL);
        let _ = crate::sys::detached::null_stdio();
        let _ = process::close_on_exec_from(3);
        drop(process::execve(&program, &argv, &[]));
        process::exit_now(127);
    }
    for _ in 0..2500 {
        // It is there before it listens.
        if UnixStream::connect(&socket).is_ok() {
            break;
        }
        // Nothing else tells that it listens.
        let _ = rustix::event::poll(&mut [], Some(&PAUSE));
    }
    let mut add = Command::new(find("ssh-add")?);
    let done = add.arg("-q").args(keys).env("SSH_AUTH_SOCK", &socket).stdin(Stdio::null()).output();
    let done = done.context("cannot run ssh-add")?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        return Err(fault(Kind::Usage, format!("cannot use the SSH key: {}", text.trim())));
    }
    Ok(socket)
}

fn find(name: &str) -> Result<PathBuf> {
    let missing = || {
        let text = format!("keys are given to RUN by OpenSSH's agent, and {name} is missing");
        Fault::new(Kind::Host, text).hint(program::how_to_install("openssh-client", &[]))
    };
    Ok(program::find(name).ok_or_else(missing)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_agent_knows_the_key() {
        alone!();
        let root = std::env::temp_dir().join(format!("box-agent-{}", crate::base::id::ContainerId::random().short()));
        let dirs = crate::base::dirs::Dirs { data: root.clone(), run: root.clone() };
        let temp = TempDir::new(&dirs).unwrap();
        let key = root.join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.is_ok_and(|status| status.success()), "ssh-keygen makes a key");
        let socket = with_keys(&temp, std::slice::from_ref(&key)).unwrap();
        let listed = Command::new("ssh-add").arg("-l").env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(String::from_utf8_lossy(&listed.stdout).contains("ED25519"));
        let missing = with_keys(&TempDir::new(&dirs).unwrap(), &[Path::new("/none").to_owned()]).unwrap_err();
        assert!(format!("{missing:#}").contains("/none"));
        // It ends with who has started it.
        let other = TempDir::new(&dirs).unwrap();
        let Fork::Parent(pid) = process::fork().unwrap() else {
            let started = with_keys(&other, std::slice::from_ref(&key));
            process::exit_now(u8::from(started.is_err()).into())
        };
        assert_eq!(process::wait(pid).unwrap().code(), 0);
        let ended = || UnixStream::connect(other.path().join("agent")).is_err();
        assert!((0..2500).any(|_| ended() || rustix::event::poll(&mut [], Some(&PAUSE)).is_err()), "it lives on");
        drop((temp, other));
        crate::base::fs::remove_tree(&root).unwrap();
    }
}
