//! The attach socket: listening on it, connecting to it, and who may.

use crate::base::error::{Fault, Kind};
use crate::sys::unix::address;
use anyhow::{Context, Result};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Listen on `path`, for us only. A socket that a dead monitor left there is replaced.
pub fn listen(path: &Path) -> Result<UnixListener> {
    let deed = || format!("cannot listen on `{}`", path.display());
    let (address, _folder) = address(path).with_context(deed)?;
    let listener = match UnixListener::bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            std::fs::remove_file(path).with_context(deed)?;
            UnixListener::bind(&address)
        }
        other => other,
    }
    .with_context(deed)?;
    // The folder is 0700 already: nobody gets in between.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).with_context(deed)?;
    listener.set_nonblocking(true).with_context(deed)?;
    Ok(listener)
}

/// Connect to the monitor that listens on `path`.
///
/// Errors: [`Kind::WrongState`] when nobody does.
pub fn connect(path: &Path) -> Result<UnixStream> {
    let connected = address(path).and_then(|(address, _folder)| UnixStream::connect(address));
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Fault::new(Kind::WrongState, "its monitor is not there").because(error)
        }
        _ => anyhow::Error::new(error).context(format!("cannot connect to `{}`", path.display())),
    })
}

/// Whether the process at the other end is ours or root's (`SO_PEERCRED`, as seen from our user namespace).
pub fn is_trusted(connection: impl AsFd) -> bool {
    rustix::net::sockopt::socket_peercred(connection)
        .is_ok_and(|peer| peer.uid == rustix::process::geteuid() || peer.uid.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_and_stale_sockets_are_no_obstacle() {
        let root = std::env::temp_dir().join(format!("box-sock-{}", crate::base::id::ContainerId::random()));
        for folder in [root.clone(), root.join("x".repeat(100)).join("y".repeat(150))] {
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("attach");
            assert_eq!(crate::base::error::kind(&connect(&path).unwrap_err()), Kind::WrongState);
            drop(listen(&path).unwrap());
            assert_eq!(crate::base::error::kind(&connect(&path).unwrap_err()), Kind::WrongState);
            let listener = listen(&path).unwrap();
            let _client = connect(&path).unwrap();
            let (server, _) = listener.accept().unwrap();
            assert!(is_trusted(&server));
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
