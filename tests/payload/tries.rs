//! Deeds that a sandbox should refuse: each is tried, and its errno printed.

use crate::{Code, number, word};
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// `try DEED…`: `deed: ok` or `deed: ERRNO`, one a line.
pub fn tries(args: &[String]) -> Code {
    word(args, 0)?;
    for deed in args {
        let (name, argument) = deed.split_once('=').unwrap_or((deed, ""));
        match attempt(name, argument) {
            Ok(()) => println!("{deed}: ok"),
            Err(errno) => println!("{deed}: {}", errno_name(errno)),
        }
    }
    Ok(0)
}

/// `hunt MILLISECONDS`: open the program of every process there is, keep it, and try to write to it again and again;
/// say how often that worked (CVE-2019-5736).
pub fn hunt(args: &[String]) -> Code {
    let until = std::time::Instant::now() + std::time::Duration::from_millis(number(args, 0)?);
    let own = std::fs::metadata("/proc/self/exe").map_err(|error| error.to_string())?;
    let mut prey: Vec<std::fs::File> = Vec::new();
    let mut written = 0;
    println!("ready");
    while std::time::Instant::now() < until {
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let programs = pids.filter_map(|entry| std::fs::File::open(entry.path().join("exe")).ok());
        for program in programs.filter(|program| program.metadata().is_ok_and(|meta| meta.ino() != own.ino())) {
            if prey.len() < 100 {
                prey.push(program);
            }
        }
        let again = |file: &&std::fs::File| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            std::fs::OpenOptions::new().write(true).open(path).is_ok()
        };
        written += prey.iter().filter(again).count();
    }
    println!("could write {written}");
    Ok(0)
}

/// `spy MILLISECONDS`: look at the programs and descriptors of all other processes, and say how many of them are not
/// the container's own (CVE-2016-9962, CVE-2024-21626).
pub fn spy(args: &[String]) -> Code {
    let until = std::time::Instant::now() + std::time::Duration::from_millis(number(args, 0)?);
    let own = std::fs::read_link("/proc/self/exe").map_err(|error| error.to_string())?;
    let me = std::process::id().to_string();
    let mut seen = std::collections::BTreeSet::new();
    println!("ready");
    while std::time::Instant::now() < until {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == me || !name.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            seen.extend(std::fs::read_link(entry.path().join("exe")).ok().filter(|program| *program != own));
            let files = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            // A command that has begun reads its own /proc.
            let own_place = |link: &std::path::PathBuf| link.starts_with("/dev") || link.starts_with("/proc");
            seen.extend(links.filter(|link| link.is_absolute() && !own_place(link)));
        }
    }
    println!("saw {seen:?}");
    Ok(0)
}

fn attempt(name: &str, argument: &str) -> Result<(), i32> {
    let nix = |result: nix::Result<()>| result.map_err(|error| error as i32);
    let rustix = |result: rustix::io::Result<()>| result.map_err(rustix::io::Errno::raw_os_error);
    let io = |result: std::io::Result<()>| result.map_err(|error| error.raw_os_error().unwrap_or(-1));
    let none: Option<&str> = None;
    match name {
        "userns" => nix(unshare(CloneFlags::CLONE_NEWUSER)),
        "mountns" => nix(unshare(CloneFlags::CLONE_NEWNS)),
        "mount" => nix(mount(Some("x"), "/tmp", Some("tmpfs"), MsFlags::empty(), none)),
        "umount" => nix(umount(argument)),
        "remount-rw" => nix(mount(none, argument, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, none)),
        "fsopen" => rustix(rustix::mount::fsopen("tmpfs", rustix::mount::FsOpenFlags::empty()).map(drop)),
        // A node of null, or of /dev/fuse, whose numbers stand for any that was not given.
        "mknod" => rustix(node(argument, 1, 3)),
        "mknod-fuse" => rustix(node(argument, 10, 229)),
        "chroot" => io(std::os::unix::fs::chroot(argument)),
        "sethostname" => nix(nix::unistd::sethostname("tried")),
        "setuid" => nix(nix::unistd::setuid(argument.parse().unwrap_or(1).into())),
        "setgroups" => nix(nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(7)])),
        "chown" => nix(nix::unistd::chown(argument, Some(1.into()), Some(1.into()))),
        "open" => io(std::fs::File::open(argument).map(drop)),
        "write" => io(std::fs::OpenOptions::new().write(true).open(argument).map(drop)),
        "create" => io(std::fs::File::create(argument).map(drop)),
        // Any family by number; `socket=16/9` is netlink's audit protocol.
        "socket" => {
            let (family, protocol) = argument.split_once('/').unwrap_or((argument, "0"));
            let protocol = protocol.parse().ok().and_then(rustix::net::RawProtocol::new);
            let kind = if protocol.is_some() { SocketType::RAW } else { SocketType::STREAM };
            let family = AddressFamily::from_raw(family.parse().unwrap_or(0));
            let protocol = protocol.map(rustix::net::Protocol::from_raw);
            rustix(socket_with(family, kind, SocketFlags::empty(), protocol).map(drop))
        }
        "ping" => {
            let kind = SocketType::DGRAM;
            rustix(
                socket_with(AddressFamily::INET, kind, SocketFlags::empty(), Some(rustix::net::ipproto::ICMP))
                    .map(drop),
            )
        }
        _ => Err(-1),
    }
}

fn errno_name(errno: i32) -> String {
    match nix::errno::Errno::from_raw(errno) {
        nix::errno::Errno::UnknownErrno => "no such deed".into(),
        known => format!("{known:?}"),
    }
}

fn node(path: &str, major: u32, minor: u32) -> rustix::io::Result<()> {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(major, minor))
}
