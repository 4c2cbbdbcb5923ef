//! SIGKILL at each system call that changes something, and at random moments.

use super::deeds::{DEEDS, home};
use super::in_full;
use super::inject::{inject, points};
use crate::leak;
use std::time::Duration;

/// Every call by which the world changes, or by which a process becomes another.
const CALLS: &str = "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknodat,\
                     write,writev,pwrite64,sendmsg,ftruncate,fsync,fdatasync,syncfs,flock,chmod,fchmod,fchmodat,fchown,\
                     fchownat,setxattr,fsetxattr,mount,umount2,fsopen,fsconfig,fsmount,open_tree,move_mount,mount_setattr,\
                     pivot_root,clone,clone3,fork,vfork,unshare,setns,execve,kill,pidfd_send_signal";

/// Kill at every call, or in the short form at some.
fn at_every_call(names: &[&str]) {
    let env = home();
    for deed in DEEDS.iter().filter(|deed| names.contains(&deed.name)) {
        (deed.before)(&env);
        let points = points(&env, deed, CALLS, 5);
        (deed.after)(&env, deed.name);
        let mut killed = 0;
        for point in &points {
            (deed.before)(&env);
            killed += usize::from(inject(&env, deed, point, "signal=SIGKILL").1);
            (deed.after)(&env, &format!("{} killed at {point}", deed.name));
        }
        eprintln!("{}: killed at {killed} of {} points", deed.name, points.len());
        assert!(killed * 2 > points.len(), "{}: killed at {killed} of {} points", deed.name, points.len());
    }
}

#[test]
fn pull_and_load_at_every_call() {
    at_every_call(&["pull", "load"]);
}

#[test]
fn run_at_every_call() {
    at_every_call(&["run", "run --rm", "run keep-id"]);
}

#[test]
fn exec_start_and_stop_at_every_call() {
    at_every_call(&["exec", "start", "stop"]);
}

#[test]
fn commit_and_removal_at_every_call() {
    at_every_call(&["commit", "rm", "rmi", "prune"]);
}

#[test]
fn rename_at_every_call() {
    at_every_call(&["rename"]);
}

#[test]
fn volume_and_network_at_every_call() {
    at_every_call(&["volume", "network"]);
}

#[test]
fn at_random_moments() {
    let env = home();
    let rounds = if in_full() { 1000 } else { 28 };
    let mut random = super::many::Random::new(7);
    for round in 0..rounds {
        let deed = &DEEDS[round % DEEDS.len()];
        (deed.before)(&env);
        let micros = random.below(40_000);
        let running = env.cmd(deed.words).start();
        std::thread::sleep(Duration::from_micros(micros));
        leak::kill(running.pid());
        drop(running);
        (deed.after)(&env, &format!("{} killed after {micros} µs (round {round})", deed.name));
    }
}
