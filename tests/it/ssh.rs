//! Volumes to another machine: `volume export | ssh HOST box volume import`, through a real server of OpenSSH, which an
//! ordinary user runs for himself.

use crate::env::{TestEnv, eventually};
use crate::skip::is_root;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// sshd(8) on a port of the loopback's, with keys of its own.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(env: &TestEnv) -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).exists())?;
        let folder = env.base.join("ssh");
        std::fs::create_dir_all(&folder).unwrap();
        for key in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f", key]).current_dir(&folder);
            assert!(command.status().ok()?.success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = folder.display();
        let conf = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        );
        std::fs::write(folder.join("conf"), conf).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(program);
        let child = command.arg("-D").arg("-e").arg("-f").arg(folder.join("conf")).stdin(Stdio::null()).stderr(log);
        let server = Self { child: child.spawn().unwrap(), port };
        eventually("sshd", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(server)
    }
}

#[test]
fn a_volume_goes_to_another_machine_in_one_line() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let (here, there) = (TestEnv::with_image(), TestEnv::with_image());
    let Some(server) = Server::start(&here) else { skip!("sshd or ssh-keygen is missing") };
    here.box_(&["volume", "create", "data"]).ok();
    let made = ["do", "mkdir", "/v/sub", ";", "write", "/v/sub/file", "kept", ";", "chmod", "640", "/v/sub/file"];
    here.inside(&["-v", "data:/v", "-u", "0"], &made).ok();
    here.inside(&["-v", "data:/v:U", "-u", "7:8"], &["true"]).ok();
    // The other machine is another home of the same user's: what its shell would have set comes with the command.
    let program = crate::env::program().display().to_string();
    let line = format!(
        "{program} volume export data | ssh -F none -i ssh/user -p {} -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=ssh/known 127.0.0.1 \"env '{}' sh -c 'box() {{ {program} \\\"\\$@\\\"; }}; box volume create data && box volume import data -'\"",
        server.port,
        there.vars().join("' '")
    );
    let outcome = here.other(Path::new("sh")).args(&["-c", &line]).run();
    let log = std::fs::read_to_string(here.base.join("ssh/log")).unwrap_or_default();
    assert_eq!(outcome.code, 0, "{outcome}\n{log}");
    assert_eq!(outcome.out(), "data", "{outcome}");
    let seen = there.inside(&["-v", "data:/v"], &["do", "stat", "/v/sub/file", ";", "cat", "/v/sub/file"]).ok();
    assert!(seen.starts_with("file 0640 7:8 4 ") && seen.ends_with("\nkept"), "{seen}");
}
