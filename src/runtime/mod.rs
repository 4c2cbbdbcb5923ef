//! A bundle in, a process out: the OCI runtime. Knows no image, name or network.
//!
//! [`create`] clones the container's init straight into its namespaces; [`Starting::ready`] waits until init has
//! walked its list (see `init`); [`Starting::start`] opens the gate and waits until the command runs. [`exec`] starts
//! one more process in a running container. Both report errors with their kind, over a close-on-exec socket whose end
//! of file says that the command was executed.
//!
//! A container's cgroup is made before it ([`cgroup`]), by the caller, who hands in its descriptor.
//!
//! How box's own binary is kept from the container (CVE-2019-5736): while init or an exec helper is in the container's
//! namespaces it is not dumpable, so `/proc/PID/exe` opens for nobody there; and the monitor (or the waiting `box
//! exec`) runs from the same file for as long as a process of the container lives, so that writing to it is ETXTBSY.

mod accounts;
pub mod capabilities;
pub mod cgroup;
mod command;
mod copy_up;
mod create;
pub mod defaults;
mod devices;
pub mod emulator;
mod exec;
mod features;
pub mod gate;
pub mod hooks;
mod idmap;
mod ids;
mod init;
mod labels;
pub mod lifecycle;
mod mounts;
mod naming;
mod notify;
mod options;
mod paths;
mod process;
mod reaper;
mod report;
mod rootfs;
mod scheduling;
pub mod seccomp;
mod settings;
mod stage;
mod supported;
pub mod sysctl;
mod terminal;
mod tree;
pub mod user;

pub use accounts::Accounts;
pub use create::{Running, Starting, create};
pub use exec::{ExecChild, ExecTarget, exec};
pub use features::features;
pub use idmap::mapped_root;
pub use options::SUBPATH;
pub use rootfs::mount as mount_root;
pub use rootfs::tree as root_tree;
pub use rootfs::view;
pub use seccomp::default_profile as default_seccomp;
pub use seccomp::portable_profile as portable_seccomp;
pub use settings::own_limit;
pub use tree::tree_of;

use oci_spec::runtime::Spec;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// What the container's root file system is made of.
#[derive(Debug, Clone, Copy)]
pub enum RootFs<'a> {
    /// An overlay, mounted with `userxattr`.
    Overlay {
        /// The layers, topmost first.
        lower: &'a [PathBuf],
        /// A data-only layer below them.
        data: Option<&'a Path>,
        /// Where changes go.
        upper: &'a Path,
        /// overlayfs's scratch folder, on the same file system as `upper`.
        work: &'a Path,
        /// Never sync: for containers that are removed when they end.
        volatile: bool,
    },
    /// A tree that is mounted, but nowhere attached.
    Tree(BorrowedFd<'a>),
    /// A folder that is the root already.
    Directory(&'a Path),
}

/// Which system call filter a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// What `linux.seccomp` of the spec says; none if it says nothing.
    Spec,
    /// The built-in default profile, for the process's capabilities. Quicker than the same profile in a spec.
    Default,
}

/// Everything that a container is made of.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    /// The OCI runtime specification.
    pub spec: &'a Spec,
    /// The root file system.
    pub root: RootFs<'a>,
    /// An existing folder to mount the root on. The mount is in the container's own mount namespace only.
    pub mount_point: &'a Path,
    /// Whether box's own pid 1 runs the command as its child, forwards signals and reaps (`--init`).
    pub init: bool,
    /// The system call filter.
    pub filter: Filter,
    /// Whose container it is, for its hooks.
    pub owner: hooks::Owner<'a>,
    /// The cgroup that the container is cloned into (`CLONE_INTO_CGROUP`, cgroup v2).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Mounts that no path leads to, attached after those of the specification.
    pub trees: &'a [Tree],
    /// Users and groups that the container's own files may lack.
    pub accounts: Option<&'a Accounts>,
    /// Who executes its programs, if they are for another processor.
    pub emulator: Option<&'a emulator::Emulator>,
    /// Descriptors that the command inherits from the caller of box, by their numbers.
    pub preserved: &'a [RawFd],
    /// For a container without a monitor.
    pub unmonitored: Option<Unmonitored<'a>>,
}

/// A mount that is attached nowhere yet, and where it belongs in the container.
#[derive(Debug)]
pub struct Tree {
    /// A folder, made if missing.
    pub destination: PathBuf,
    /// What open_tree(2) gave.
    pub mount: OwnedFd,
}

/// What is different where no monitor stays behind (`box oci`): whoever opens the gate is another process than the
/// maker, which ends before.
#[derive(Debug, Clone, Copy)]
pub struct Unmonitored<'a> {
    /// A listening socket ([`gate::listen`]); [`gate::open`] connects to it.
    pub gate: BorrowedFd<'a>,
    /// How many descriptors from 3 on the command inherits from the caller.
    pub preserve_fds: u32,
    /// The root becomes `/` by move_mount(2) and chroot(2), for hosts whose own root cannot be pivoted (an initramfs).
    pub no_pivot: bool,
    /// The name of a session keyring of its own; `None`: the caller's.
    pub keyring: Option<&'a CStr>,
}

/// What the process's descriptors 0, 1 and 2 are.
#[derive(Debug)]
pub enum Stdio {
    /// These, as they are. Never hand in the caller's own terminal.
    Pipes {
        /// Descriptor 0.
        stdin: OwnedFd,
        /// Descriptor 1.
        stdout: OwnedFd,
        /// Descriptor 2.
        stderr: OwnedFd,
    },
    /// A pseudo-terminal of the container's own devpts, as controlling terminal.
    Terminal {
        /// Rows and columns; the kernel's 0 × 0 if not given.
        size: Option<(u16, u16)>,
    },
}

#[cfg(test)]
mod tests;
