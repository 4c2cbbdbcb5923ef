//! Programs for another processor: qemu's user mode, registered with the kernel for the container's user namespace.
//!
//! Since Linux 6.7 each user namespace may have a binfmt_misc of its own
//! (<https://docs.kernel.org/admin-guide/binfmt-misc.html>), so that it takes no root to have one. What is registered
//! lives as long as some mount of that file system: each container that needs it has one in its mount namespace, below
//! its `/proc`. The emulator itself is opened by the kernel when it is registered (flag `F`): the container need not
//! have it.
//!
//! A namespace that has a binfmt_misc does not look at the host's any more. So what is wanted is registered always,
//! whatever the host has.

use super::mounts::attach;
use crate::base::error::{Fault, Kind, fault};
use crate::sys::mount::{Depth, set_attributes};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags as Attr};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A processor that qemu can stand in for.
#[derive(Debug, PartialEq, Eq)]
pub struct Processor {
    /// In Go's words, as images have it.
    pub name: &'static str,
    /// In qemu's: `qemu-NAME-static`.
    pub qemu: &'static str,
    /// `e_ident[EI_CLASS]`: 1 for 32 bits, 2 for 64.
    class: u8,
    /// Whether the most significant byte comes first.
    is_big_endian: bool,
    /// `e_machine` (elf(5)).
    machine: u16,
}

const fn processor(name: &'static str, qemu: &'static str, class: u8, is_big_endian: bool, machine: u16) -> Processor {
    Processor { name, qemu, class, is_big_endian, machine }
}

/// Those that images are made for.
const PROCESSORS: [Processor; 11] = [
    processor("386", "i386", 1, false, 3),
    processor("amd64", "x86_64", 2, false, 62),
    processor("arm", "arm", 1, false, 40),
    processor("arm64", "aarch64", 2, false, 183),
    processor("loong64", "loongarch64", 2, false, 258),
    processor("mips64le", "mips64el", 2, false, 8),
    processor("mipsle", "mipsel", 1, false, 8),
    processor("ppc64", "ppc64", 2, true, 21),
    processor("ppc64le", "ppc64le", 2, false, 21),
    processor("riscv64", "riscv64", 2, false, 243),
    processor("s390x", "s390x", 2, true, 22),
];

impl Processor {
    /// The processor of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PROCESSORS.iter().find(|processor| processor.name == name)
    }

    /// The beginning of its executables, and which bits of it count (elf(5)): not the ABI's number, and both kinds of
    /// executables.
    fn magic(&self) -> ([u8; 20], [u8; 20]) {
        let (mut magic, mut mask) = ([0; 20], [0xff; 20]);
        let (kind, machine) = match self.is_big_endian {
            true => (2u16.to_be_bytes(), self.machine.to_be_bytes()),
            false => (2u16.to_le_bytes(), self.machine.to_le_bytes()),
        };
        let order = if self.is_big_endian { 2 } else { 1 };
        let known = [0x7f, b'E', b'L', b'F', self.class, order, 1];
        magic.iter_mut().zip(known).for_each(|(to, from)| *to = from);
        magic.iter_mut().skip(16).zip(kind.into_iter().chain(machine)).for_each(|(to, from)| *to = from);
        let low = if self.is_big_endian { 17 } else { 16 };
        for (place, bits) in [(7, 0), (low, 0xfe)] {
            if let Some(byte) = mask.get_mut(place) {
                *byte = bits;
            }
        }
        (magic, mask)
    }

    /// Whether a registration, as binfmt_misc shows it, is for this processor's executables.
    pub fn is_served_by(&self, registration: &str) -> bool {
        let magic: String = self.magic().0.iter().map(|byte| format!("{byte:02x}")).collect();
        registration.lines().next() == Some("enabled")
            && registration.lines().any(|line| line.strip_prefix("magic ") == Some(&magic))
    }
}

/// Who executes a container's programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// The processor, in Go's words.
    pub processor: String,
    /// The emulator, a program of the host that needs no other file.
    pub path: PathBuf,
}

/// Register it for our user namespace, and keep it registered by a mount below the container's `/proc`. To be called
/// before `/proc/sys` becomes read-only.
///
/// The caller is still in the host's root folder, and root in a user namespace that is not the host's.
pub(super) fn register(emulator: Option<&Emulator>, proc: Option<&OwnedFd>) -> Result<()> {
    let Some(Emulator { processor, path }) = emulator else { return Ok(()) };
    let deed = || format!("cannot let `{}` execute programs for {processor}", path.display());
    let known = Processor::find(processor).ok_or_else(|| fault(Kind::BadData, "qemu knows no such processor"))?;
    let proc = proc.ok_or_else(|| fault(Kind::Usage, "the container has no `/proc` of its own")).with_context(deed)?;
    let tree = new_binfmt().with_context(deed)?;
    let file = rustix::fs::openat(&tree, "register", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    match file.and_then(|file| rustix::io::write(&file, &line(known, path)).map(drop)) {
        // Another container of the same namespace has it.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error).with_context(deed),
    }
    // Nobody in the container is to put something else in its place: it is also other containers'.
    let locked = Attr::MOUNT_ATTR_RDONLY | Attr::MOUNT_ATTR_NOSUID | Attr::MOUNT_ATTR_NODEV | Attr::MOUNT_ATTR_NOEXEC;
    set_attributes(tree.as_fd(), Depth::Top, locked.bits().into(), 0, 0).with_context(deed)?;
    let (flags, resolve) = (OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, ResolveFlags::NO_SYMLINKS);
    let place = rustix::fs::openat2(proc, "sys/fs/binfmt_misc", flags, Mode::empty(), resolve).with_context(deed)?;
    attach(tree.as_fd(), place.as_fd()).with_context(deed)
}

/// The binfmt_misc of our user namespace, attached nowhere.
fn new_binfmt() -> Result<OwnedFd> {
    let refused = |error: Errno| match error {
        Errno::PERM | Errno::NODEV | Errno::INVAL => {
            Fault::new(Kind::Host, "this kernel has no binfmt_misc for ordinary users, which came with Linux 6.7")
                .hint("have root register it for all: sudo systemctl restart systemd-binfmt")
                .because(error)
        }
        error => error.into(),
    };
    let fs = rustix::mount::fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused)?;
    rustix::mount::fsconfig_create(&fs).map_err(refused)?;
    Ok(rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, Attr::empty())?)
}

/// What is written to `register`. The flags: the emulator is opened now (F), with the rights that the program would
/// have (C) and the program opened for it (O), and is told the name it was called by (P).
fn line(processor: &Processor, path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let escaped = |bytes: [u8; 20]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let (magic, mask) = processor.magic();
    let front = format!(":box-{}:M::{}:{}:", processor.qemu, escaped(magic), escaped(mask));
    [front.as_bytes(), path.as_os_str().as_bytes(), b":OCPF"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations() {
        // As qemu's scripts/qemu-binfmt-conf.sh has them.
        for (name, magic, mask) in [
            ("arm64", "7f454c460201010000000000000000000200b700", "ffffffffffffff00fffffffffffffffffeffffff"),
            ("s390x", "7f454c4602020100000000000000000000020016", "ffffffffffffff00fffffffffffffffffffeffff"),
            ("arm", "7f454c4601010100000000000000000002002800", "ffffffffffffff00fffffffffffffffffeffffff"),
            ("riscv64", "7f454c460201010000000000000000000200f300", "ffffffffffffff00fffffffffffffffffeffffff"),
        ] {
            let processor = Processor::find(name).unwrap();
            let hex = |bytes: [u8; 20]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let (found, bits) = processor.magic();
            assert_eq!((hex(found).as_str(), hex(bits).as_str()), (magic, mask), "{name}");
            let shown =
                |state: &str| format!("{state}\ninterpreter /x\nflags: F\noffset 0\nmagic {magic}\nmask {mask}\n");
            assert!(processor.is_served_by(&shown("enabled")) && !processor.is_served_by(&shown("disabled")));
        }
        let line = String::from_utf8(line(Processor::find("386").unwrap(), Path::new("/q"))).unwrap();
        assert!(line.starts_with(r":box-i386:M::\x7f\x45") && line.ends_with(":/q:OCPF"), "{line}");
        assert_eq!(Processor::find("z80"), None);
    }
}
