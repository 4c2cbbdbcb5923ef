//! `box image scp`, by a real sshd, on whose side is another store.

use crate::env::{TestEnv, eventually, program};
use crate::skip::is_root;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// An sshd for the caller alone.
struct Server {
    port: u16,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start it, and let `here` know the way; whoever comes in works in the environment of `there`.
fn start(here: &mut TestEnv, there: &TestEnv) -> Option<Server> {
    let sshd = Path::new("/usr/sbin/sshd");
    if !sshd.exists() {
        return None;
    }
    let base = here.base.display().to_string();
    for name in ["host", "user"] {
        let words = ["-q", "-t", "ed25519", "-N", "", "-f", name];
        assert!(Command::new("ssh-keygen").args(words).current_dir(&here.base).status().unwrap().success());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let own = format!("PATH={}:/usr/bin:/bin", program().parent().unwrap().display());
    let vars: Vec<String> = there.vars().into_iter().filter(|var| !var.starts_with("PATH=")).chain([own]).collect();
    let config = here.file(
        "sshd.conf",
        format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {base}/host\nAuthorizedKeysFile {base}/user.pub\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nSetEnv {}\n",
            vars.join(" ")
        ),
    );
    here.file(
        "ssh.conf",
        format!(
            "IdentityFile {base}/user\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n\
             LogLevel ERROR\nBatchMode yes\n"
        ),
    );
    let ssh = here.file("bin/ssh", format!("#!/bin/sh\nexec /usr/bin/ssh -F {base}/ssh.conf \"$@\"\n"));
    std::fs::set_permissions(ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    here.set("PATH", format!("{base}/bin:/usr/bin:/bin"));
    let mut command = Command::new(sshd);
    command.args(["-D", "-e", "-f"]).arg(config).stdin(Stdio::null()).stderr(Stdio::null());
    let server = Server { port, child: command.spawn().unwrap() };
    eventually("sshd", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some(server)
}

#[test]
fn there_and_back() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let (mut here, there) = (TestEnv::with_image(), TestEnv::new());
    let Some(server) = start(&mut here, &there) else { skip!("sshd is missing") };
    let place = |image: &str| format!("127.0.0.1:{}::{image}", server.port);
    let digest = |env: &TestEnv| env.box_(&["image", "inspect", "--format", "{{.Digest}}", "t"]);
    let known = digest(&here).ok();
    here.box_(&["image", "scp", "-q", "t", &place("")]).ok();
    assert_eq!(digest(&there).ok(), known);
    here.box_(&["rmi", "t"]).ok();
    here.box_(&["image", "scp", "-q", &place("t")]).ok();
    assert_eq!(digest(&here).ok(), known);
    here.inside(&[], &["true"]).ok();
    here.box_(&["image", "scp", "-q", &place("t"), &place("")]).ok();
    here.box_(&["image", "scp", "-q", "nonesuch", &place("")]).fails(125).says("there is no image `nonesuch`");
    here.box_(&["image", "scp", "-q", &place("nonesuch")]).ends(125).says("there is no image `nonesuch`");
    here.box_(&["image", "scp", "-q", "t", "127.0.0.1:1::"]).ends(125).says("onnection refused");
}

#[test]
fn words_that_mean_no_place() {
    let env = TestEnv::with_image();
    for (words, says, hint) in [
        (&["t"][..], "both sides are this host", "box image scp t USER@HOST::"),
        (&["t", "host::other"], "keeps its name", "box tag t other"),
        (&["t;id", "host::"], "no name of an image", "ann@example.org::alpine"),
        (&["t", "-oProxyCommand=id::"], "no host", "ann@example.org::alpine"),
        (&["host:x::t"], "no port", "ann@example.org::alpine"),
        (&["host::"], "names no image", ""),
    ] {
        let outcome = env.box_(&[&["image", "scp", "--"], words].concat());
        outcome.fails(125).says(says);
        if !hint.is_empty() {
            outcome.hints(hint);
        }
    }
}
