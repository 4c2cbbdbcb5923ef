//! `SCMP_ACT_NOTIFY`: an agent gets the listener and answers.

use super::*;
use std::os::unix::net::UnixListener;

/// Wait until a call waits for an answer, and leave: without an agent the kernel answers ENOSYS.
fn leave_when_asked(listener: OwnedFd) {
    let mut wanted = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut wanted, None).unwrap();
    assert!(wanted[0].revents().contains(rustix::event::PollFlags::IN));
}

/// Accept one container: its message and the listener.
fn serve(socket: UnixListener) -> (Value, OwnedFd) {
    let (stream, _) = socket.accept().unwrap();
    let mut bytes = vec![0; 4096];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    let length = rustix::net::recvmsg(&stream, &mut parts, &mut ancillary, flags).unwrap().bytes;
    let listener = ancillary.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (serde_json::from_slice(&bytes[..length]).unwrap(), listener.unwrap())
}

#[test]
fn an_agent_is_asked() {
    alone!();
    for mode in modes() {
        for no_new_privileges in [true, false] {
            let rootfs = Rootfs::new();
            let paths = paths(&rootfs);
            let path = rootfs.0.join("agent");
            let socket = UnixListener::bind(&path).unwrap();
            let spec = spec(&["sh", "-c", "/bin/busybox mkdir /made && ls -d /made; echo done"], |spec| {
                spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
                spec["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "some data",
                    "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }],
                });
            });
            let agent = std::thread::spawn(move || {
                let (message, listener) = serve(socket);
                leave_when_asked(listener);
                message
            });
            let found = inside(mode, || {
                run_with(&Bundle { filter: Filter::Spec, ..bundle(&rootfs, &paths, &spec) }, |_| String::new())
            });
            let message = agent.join().unwrap();
            let expected = "mkdir: can't create directory '/made': Function not implemented\ndone\n";
            assert_eq!(found, expected, "{mode:?}");
            assert_eq!((&message["fds"], &message["metadata"]), (&json!(["seccompFd"]), &json!("some data")));
            assert_eq!((&message["state"]["id"], &message["state"]["status"]), (&json!("test"), &json!("creating")));
            assert!(message["pid"].as_i64().unwrap() > 1 && message["pid"] == message["state"]["pid"]);
        }
    }
}

#[test]
fn without_an_agent_nothing_runs() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let path = rootfs.0.join("nobody");
        let spec = spec(&["echo", "never"], |spec| {
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
                // Even what we call ourselves between the filter and the exec.
                "syscalls": [{ "names": ["execve", "write", "sendmsg", "capset", "close"], "action": "SCMP_ACT_NOTIFY" }],
            });
        });
        let found = inside(mode, || {
            run_with(&Bundle { filter: Filter::Spec, ..bundle(&rootfs, &paths, &spec) }, |_| String::new())
        });
        let expected =
            format!("Host: cannot reach the seccomp agent at `{}`: No such file or directory", path.display());
        assert!(found.starts_with(&expected), "{mode:?} {found}");
    }
}
