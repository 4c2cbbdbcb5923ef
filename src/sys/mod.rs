//! The kernel: one wrapper for one syscall, named after it. The only module with `unsafe` and `libc`.
//!
//! What rustix or nix already offer as safe functions is used from there, everywhere; here is what they lack.
#![allow(unsafe_code, reason = "this is the module that holds it")]

pub mod bpf;
pub mod descriptors;
pub mod detached;
pub mod holder;
pub mod keyring;
pub mod landlock;
pub mod memchr;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod netlink;
pub mod proc;
pub mod process;
pub mod root;
pub mod sched;
pub mod seccomp;
pub mod signals;
pub mod tty;
pub mod unix;
pub mod writeback;
