//! Power cuts: a file system that stops at any moment without writing what it holds back (EXT4_IOC_SHUTDOWN and its
//! kin, by xfs_io(8); where a file system has none, its disk is copied as it is and the copy is gone on with), is mounted
//! again as after a boot, and has everything that was acknowledged. And a disk without a free byte.

use super::many::Random;
use super::{in_full, the_truth};
use crate::env::TestEnv;
use crate::image::Image;
use crate::skip::is_root;
use crate::tarball::Tar;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file system in a file, mounted as the data folder of a test in this thread's mount namespace, with a boot id that
/// the test chooses.
struct Disk {
    image: PathBuf,
    place: PathBuf,
    boot_id: PathBuf,
    boots: u32,
    /// Of mount(8).
    options: &'static str,
}

fn sh(words: &[&str]) {
    let outcome = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(outcome.status.success(), "{words:?}: {}", String::from_utf8_lossy(&outcome.stderr));
}

fn own_mounts() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS | nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    sh(&["mount", "--make-rprivate", "/"]);
}

impl Disk {
    fn new(env: &TestEnv, kind: &str) -> Self {
        let image = env.base.join("disk");
        File::create(&image).unwrap().set_len(400 << 20).unwrap();
        let boot_id = env.file("boot_id", "");
        sh(&[&format!("mkfs.{kind}"), "-q", image.to_str().unwrap()]);
        // What btrfs writes, it writes because somebody has asked for it: not by the clock, while the disk is copied.
        let options = if kind == "btrfs" { "loop,commit=3600" } else { "loop" };
        let disk = Self { image, place: env.base.join("data"), boot_id, boots: 0, options };
        sh(&["mount", "--bind", disk.boot_id.to_str().unwrap(), "/proc/sys/kernel/random/boot_id"]);
        disk
    }

    fn boot(&mut self) {
        self.boots += 1;
        std::fs::write(&self.boot_id, format!("00000000-0000-4000-8000-{:012}\n", self.boots)).unwrap();
        sh(&["mount", "-o", self.options, self.image.to_str().unwrap(), self.place.to_str().unwrap()]);
    }

    /// Cut the power; whether that can be done to this file system.
    fn cut(&self, env: &TestEnv) -> bool {
        let can_copy = self.options.contains("commit=");
        // Neither the journal nor data is written (XFS_FSOP_GOING_FLAGS_NOLOGFLUSH).
        let done = Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.place).output().unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(said.is_empty() || said.contains("Inappropriate ioctl"), "{said}");
        for process in env.processes() {
            crate::leak::kill(process.pid);
        }
        let copy = self.image.with_extension("cut");
        if can_copy && !said.is_empty() {
            // Whoever is at a sync still asks for it.
            crate::env::eventually("all to be dead", || env.processes().is_empty());
            sh(&["cp", "--sparse=always", self.image.to_str().unwrap(), copy.to_str().unwrap()]);
        }
        crate::env::eventually("the disk to be free", || {
            Command::new("umount").arg(&self.place).output().unwrap().status.success()
        });
        let _ = std::fs::rename(copy, &self.image);
        said.is_empty() || can_copy
    }
}

/// So many power cuts, half of them right after a command has said that it is done.
fn cuts(kind: &str, rounds: u64) {
    if !is_root() {
        skip!("wants root");
    }
    own_mounts();
    let env = TestEnv::new();
    let layer = Tar::new().folder("data", 0o755).file("data/file", 0o644, "x".repeat(200_000)).finish();
    Image::payload().layer(layer).build().docker_archive(&env.base.join("x.tar"), &["localhost/x:latest"]);
    env.file("v.tar", Tar::new().file("file", 0o644, "y".repeat(50_000)).finish());
    let (mut disk, mut random) = (Disk::new(&env, kind), Random::new(3));
    disk.boot();
    if !disk.cut(&env) {
        skip!("this kernel cannot cut the power of {kind}");
    }
    disk.boot();
    let see = |mount: &[&str], path: &str| {
        let words = [&["run", "--rm", "--network", "none", "--pull", "never"], mount, &["localhost/x", "stat", path]];
        env.box_(&words.concat()).ok()
    };
    for round in 0..rounds {
        let words: &[&str] = match round % 4 {
            0 | 1 => &["load", "-q", "-i", "x.tar"],
            2 => &["volume", "import", "v", "v.tar"],
            _ => &["commit", "-q", "c", "localhost/made"],
        };
        if round % 4 > 1 {
            env.box_(&["load", "-q", "-i", "x.tar"]).ok();
            env.box_(&["volume", "create", "--ignore", "v"]).ok();
            env.box_(&["run", "--name", "c", "--network", "none", "localhost/x", "write", "/made", "z"]).ok();
        }
        let running = env.cmd(words).start();
        let acknowledged = random.below(2) == 0;
        if acknowledged {
            running.finish().ok();
        } else {
            std::thread::sleep(Duration::from_micros(random.below(50_000)));
            drop(running);
        }
        disk.cut(&env);
        disk.boot();
        let moment = format!("{kind}, round {round}: {words:?}, acknowledged: {acknowledged}");
        let has = |image: &str| env.box_(&["image", "exists", image]).code == 0;
        let check = env.box_(&["system", "check"]);
        assert_eq!(check.code, 0, "{moment}: {check}");
        assert!(!acknowledged || round % 4 > 1 || has("localhost/x"), "{moment}: the image is lost");
        assert!(!acknowledged || round % 4 != 3 || has("localhost/made"), "{moment}: the commit is lost");
        if has("localhost/x") {
            assert!(see(&[], "/data/file").contains(" 200000 "), "{moment}");
            if acknowledged && round % 4 == 2 {
                assert!(see(&["-v", "v:/v"], "/v/file").contains(" 50000 "), "{moment}: what was imported is lost");
            }
        }
        the_truth(&env, &moment);
        env.box_(&["volume", "rm", "-f", "v"]).ok();
        env.box_(&["rmi", "-a", "-f"]).ok();
        crate::env::eventually("the collection of garbage", || env.processes().is_empty());
    }
    disk.cut(&env);
}

#[test]
fn root_power_cuts_on_ext4() {
    cuts("ext4", if in_full() { 200 } else { 8 });
}

#[test]
fn root_power_cuts_on_xfs() {
    cuts("xfs", if in_full() { 100 } else { 4 });
}

#[test]
fn root_power_cuts_on_btrfs() {
    cuts("btrfs", if in_full() { 100 } else { 4 });
}

#[test]
fn root_a_full_disk_can_be_emptied() {
    if !is_root() {
        skip!("wants root");
    }
    own_mounts();
    let env = TestEnv::new();
    let data = env.base.join("data");
    sh(&["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", data.to_str().unwrap()]);
    env.load(&crate::image::shared_archive());
    for name in ["stopped", "killed", "removed"] {
        env.background(name, &[], &["pause"]);
        env.await_log(name, "ready");
    }
    env.box_(&["volume", "create", "v"]).ok();
    let filler = data.join("filler");
    let fill = || {
        let mut file = File::options().append(true).create(true).open(&filler).unwrap();
        for size in [1 << 20, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
        }
    };
    fill();
    // What needs room says so, and leaves nothing.
    let again = env.box_(&["load", "-q", "-i", crate::image::shared_archive().to_str().unwrap()]);
    assert!([0, 125].contains(&again.code), "{again}");
    let refused = env.box_(&["volume", "create", "w"]);
    refused.fails(125).says("No space left on device").hints("make room");
    assert_eq!(env.box_(&["ps", "--format", "{{.Names}}"]).ok().lines().count(), 3);
    assert_eq!(env.box_(&["logs", "stopped"]).ok(), "ready");
    env.box_(&["stop", "-t", "0", "stopped"]).ok();
    fill();
    env.box_(&["kill", "killed"]).ok();
    env.box_(&["rm", "-f", "-t", "0", "removed"]).ok();
    fill();
    env.box_(&["rm", "-f", "-t", "0", "-a"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
    fill();
    env.box_(&["volume", "rm", "v"]).ok();
    env.box_(&["rmi", "t"]).ok();
    env.box_(&["system", "prune", "-f", "-a"]).ok();
    crate::env::eventually("the room to be given back", || rustix::fs::statvfs(&data).unwrap().f_bfree > 100);
    std::fs::remove_file(Path::new(&filler)).unwrap();
    env.load(&crate::image::shared_archive());
    env.inside(&[], &["true"]).ok();
    the_truth(&env, "a full disk");
    crate::env::eventually("the disk to be free", || {
        Command::new("umount").arg(&data).output().unwrap().status.success()
    });
}
