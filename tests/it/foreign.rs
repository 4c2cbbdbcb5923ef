//! `--runtime`: another OCI runtime makes the container. Here that is box itself, by the link that makes it one; for
//! crun and runc see `engines`.

use crate::env::{TestEnv, program};
use std::path::PathBuf;

fn runtime(env: &TestEnv) -> String {
    let link: PathBuf = env.base.join("box-oci");
    std::os::unix::fs::symlink(program(), &link).unwrap();
    link.display().to_string()
}

#[test]
fn a_command_runs_as_always() {
    let env = TestEnv::with_image();
    let runtime = runtime(&env);
    let inside =
        |options: &[&str], command: &[&str]| env.inside(&[&["--runtime", &runtime], options].concat(), command);
    let outcome = inside(&[], &["do", "both", "to out\n", "to err\n", ";", "exit", "7"]);
    assert_eq!((outcome.code, outcome.out(), outcome.err()), (7, "to out".into(), "to err\n".into()));
    let echo =
        env.cmd(&["run", "--rm", "-i", "--network", "none", "--runtime", &runtime, "t", "cat"]).stdin("typed").run();
    assert_eq!(echo.ok(), "typed");
    let plain = crate::options::info(&env, &[]);
    let foreign = crate::options::info(&env, &["--runtime", &runtime]);
    for key in ["uid", "gid", "caps", "seccomp", "no_new_privs", "umask", "cwd", "fds", "nofile"] {
        assert_eq!(plain[key].to_string().len(), foreign[key].to_string().len(), "{key}");
        assert!(key == "fds" || plain[key] == foreign[key], "{key}");
    }
    let ann = crate::options::info(&env, &["--runtime", &runtime, "-u", "ann"]);
    assert_eq!(ann["uid"], crate::options::info(&env, &["-u", "ann"])["uid"]);
    assert_eq!(crate::options::info(&env, &["--runtime", &runtime, "-t"])["tty"]["stdin"], true);
    inside(&[], &["nope"]).fails(127).says("box-oci: ");
    inside(&[], &["/etc"]).fails(126);
}

#[test]
fn a_life_in_the_background() {
    let env = TestEnv::with_image();
    let runtime = runtime(&env);
    env.background("c", &["--runtime", &runtime], &["do", "echo", "begun", ";", "trap", "TERM"]);
    env.await_log("c", "begun");
    assert_eq!(env.box_(&["exec", "c", "echo", "inside"]).ok(), "inside");
    assert!(env.box_(&["ps"]).ok().contains("Up "));
    env.box_(&["kill", "c"]).ok();
    env.box_(&["wait", "c"]).ok();
    env.box_(&["start", "c"]).ok();
    env.box_(&["stop", "-t", "0", "c"]).ok();
    assert_eq!(
        env.inspect("c", "{{.State.Status}} {{.State.ExitCode}} {{.OCIRuntime}}"),
        format!("exited 137 {runtime}")
    );
    // Nothing of the other runtime's is left beside what box keeps.
    assert!(!env.run_dir().join(env.inspect("c", "{{.Id}}")).exists());
    env.box_(&["rm", "c"]).ok();
}

#[test]
fn what_does_not_go_together() {
    let env = TestEnv::with_image();
    let runtime = runtime(&env);
    env.inside(&["--runtime", "/nowhere/crun"], &["true"]).fails(125).says("there is no runtime `/nowhere/crun`");
    env.inside(&["--runtime", "no-such-runtime"], &["true"]).fails(125).says("there is no runtime `no-such-runtime`");
    env.inside(&["--runtime", &runtime, "--init"], &["true"]).fails(125).says("do not go together");
    env.inside(&["--runtime", "/bin/false"], &["true"]).fails(125).says("false: it has failed");
    env.inside(&["--runtime", "box"], &["true"]).ok();
}
