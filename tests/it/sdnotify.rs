//! `--sdnotify`: what the service manager hears. The test is the manager.

use crate::env::{TestEnv, eventually};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(env: &TestEnv) -> Self {
        let path = env.base.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    /// All that has been said since the last time.
    fn heard(&self) -> Vec<String> {
        let mut buffer = [0; 512];
        let mut all = Vec::new();
        while let Ok(length) = self.socket.recv(&mut buffer) {
            all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        all
    }
}

#[test]
fn the_manager_hears_what_was_asked_for() {
    let mut env = TestEnv::with_image();
    let manager = Manager::new(&env);
    env.set("NOTIFY_SOCKET", manager.path.display().to_string());
    let monitor = |name: &str| format!("MAINPID={}", env.inspect(name, "{{.State.ConmonPid}}"));

    env.background("conmon", &["--sdnotify", "conmon"], &["pause"]);
    assert_eq!(manager.heard(), [monitor("conmon"), "READY=1".to_owned()]);

    // By default the command speaks for itself.
    env.background("itself", &[], &["do", "notify", "READY=1", ";", "notify", "STATUS=well", ";", "pause"]);
    let mut heard = Vec::new();
    eventually("what the command says", || {
        heard.extend(manager.heard());
        heard.len() == 3
    });
    heard.sort();
    assert_eq!(heard, [monitor("itself"), "READY=1".to_owned(), "STATUS=well".to_owned()]);

    let check = ["--sdnotify", "healthy", "--health-cmd", r#"["stat", "/tmp/ok"]"#, "--health-interval", "20ms"];
    env.background("healthy", &[&check[..], &["--tmpfs", "/tmp"]].concat(), &["pause"]);
    assert_eq!(manager.heard(), [monitor("healthy")]);
    env.box_(&["exec", "healthy", "touch", "/tmp/ok"]).ok();
    let mut heard = Vec::new();
    eventually("the good news", || {
        heard = manager.heard();
        !heard.is_empty()
    });
    assert_eq!(heard, ["READY=1"]);

    env.inside(&["--sdnotify", "ignore"], &["printenv", "NOTIFY_SOCKET"]).ends(1);
    assert!(manager.heard().is_empty());
    env.box_(&["rm", "-f", "-t", "0", "-a"]).ok();
}

#[test]
fn what_cannot_be_told_is_refused() {
    let mut env = TestEnv::with_image();
    env.inside(&["--sdnotify", "healthy"], &["true"]).fails(125).says("needs a health check");
    env.set("NOTIFY_SOCKET", "@abstract");
    env.inside(&[], &["true"]).fails(125).says("NOTIFY_SOCKET=@abstract").says("--sdnotify ignore");
    env.inside(&["--sdnotify", "ignore"], &["true"]).ok();
}

#[test]
fn messages_that_are_empty_or_huge_or_forged() {
    // CVE-2016-7795: they go to the service manager, past box, which goes on whatever the command says.
    let mut env = TestEnv::with_image();
    let manager = Manager::new(&env);
    env.set("NOTIFY_SOCKET", manager.path.display().to_string());
    env.background("c", &[], &["pause"]);
    let huge = "X=".to_owned() + &"x".repeat(100_000);
    let inside = ["exec", "-e", "NOTIFY_SOCKET=/run/notify/notify.sock", "c", "do", "notify"];
    let socket = env.inspect("c", "{{json .Config.Env}}");
    for text in ["", "\n", "=", "MAINPID=1", "MAINPID=-1\nREADY=1", "FDSTORE=1", &huge, &"WATCHDOG=1\n".repeat(500)] {
        let outcome = env.box_(&[&inside[..], &[text]].concat());
        assert!(!outcome.err().contains("panicked"), "{socket}: {outcome}");
        assert_eq!(env.box_(&["exec", "c", "echo", "x"]).ok(), "x");
        manager.heard();
    }
    // The monitor is who it was.
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
    env.box_(&["stop", "-t", "0", "c"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.State}}"]).ok(), "exited");
}
