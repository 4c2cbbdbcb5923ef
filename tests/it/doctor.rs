//! `box doctor` and `box system boot`.

use crate::env::TestEnv;
use std::fs;

#[test]
fn the_host_is_examined() {
    let env = TestEnv::new();
    let outcome = env.box_(&["doctor"]);
    assert!([0, 1].contains(&outcome.code), "{outcome}");
    let shown = outcome.out();
    for subject in
        ["kernel", "own namespace", "storage", "disk", "data folder", "slirp4netns", "DNS", "clock", "cgroups"]
    {
        let line = shown.lines().find(|line| line.get(6..).is_some_and(|rest| rest.starts_with(subject)));
        let line = line.unwrap_or_else(|| panic!("nothing of {subject}\n{outcome}"));
        assert!(["ok ", "note ", "bad "].iter().any(|word| line.starts_with(word)), "{line}");
    }
    // What is bad is told by the exit code, too.
    assert_eq!(outcome.code == 1, shown.lines().any(|line| line.starts_with("bad ")), "{outcome}");
}

#[test]
fn a_host_that_lacks_a_program() {
    let mut env = TestEnv::new();
    env.set("PATH", "/nonexistent");
    // System folders are looked at whatever PATH says, so what is there is found all the same.
    let found = env.box_(&["doctor"]).out();
    assert!(found.contains("slirp4netns"), "{found}");
}

#[test]
fn containers_start_at_boot_if_asked_for() {
    let env = TestEnv::with_image();
    assert!(env.box_(&["system", "boot", "status"]).ok().starts_with("disabled"));
    env.box_(&["create", "--name", "c", "--restart", "unless-stopped", "--network", "none", "t", "pause"]).ok();
    env.box_(&["create", "--name", "d", "--restart", "always", "--network", "none", "t", "pause"]).ok();
    env.box_(&["create", "--name", "e", "t"]).ok();
    let status = env.box_(&["system", "boot", "status"]).ok();
    assert!(status.contains("\n2 containers start after a reboot"), "{status}");
    if !fs::exists("/run/systemd/system").unwrap() {
        // Without either of the two nothing is pretended.
        if !fs::exists("/usr/bin/crontab").unwrap() {
            env.box_(&["system", "boot", "enable"]).fails(125).says("neither systemd nor cron");
        }
    } else {
        env.box_(&["system", "boot", "enable"]).ok();
        let unit = fs::read_to_string(env.base.join("config/systemd/user/box-boot.service")).unwrap();
        assert!(unit.contains(" start --all --filter should-start-on-boot=true"), "{unit}");
        assert!(env.base.join("config/systemd/user/default.target.wants/box-boot.service").exists());
        env.box_(&["system", "boot", "disable"]).ok();
        assert!(!env.base.join("config/systemd/user/box-boot.service").exists());
    }
    // What the unit runs: those that were stopped by hand stay so, but for `always`.
    let boot = ["start", "--all", "--filter", "should-start-on-boot=true"];
    assert_eq!(env.box_(&boot).ok().lines().count(), 2);
    env.box_(&["stop", "-t", "0", "c", "d"]).ok();
    let id = env.inspect("d", "{{.Id}}");
    assert_eq!(env.box_(&boot).ok(), id);
}
