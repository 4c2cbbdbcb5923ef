//! Becoming a process that stays behind: what it inherits and does not need is given back.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::RawFd;

/// Close what the caller of box left open: every descriptor from 3 on that is not close-on-exec, but for `kept`.
///
/// All of our own are close-on-exec, so those that are not were there before main(). A monitor that kept them would
/// hold up whoever waits for their end: `exec 3> >(sort); box run -d …`.
pub fn close_inherited(kept: &[RawFd]) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for fd in numbers.filter(|fd| *fd > 2 && !kept.contains(fd)) {
        // SAFETY: F_GETFD on any number is harmless. A descriptor without close-on-exec was opened by no Rust code
        // of ours (std, rustix and nix callers set it, rule 6 of STYLE.md), so nobody here owns it.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) == 0 {
                libc::close(fd);
            }
        }
    }
}

/// Standard input, output and error become `/dev/null`.
pub fn null_stdio() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Give memory that is not in use back to the kernel: free heap, the stack below the caller, and the program's own
/// text, which comes back from the page cache as far as it is still needed.
///
/// A forked process owns a copy of all that its parent had touched; its allocator would keep the free part of it, and
/// its page tables all the code that ran to start a container.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) only releases pages of free chunks; any program may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    give_back_stack(&maps);
    give_back_text(&maps);
}

/// Pages of the main stack below this frame. They are read as zeroes when the stack grows into them again.
fn give_back_stack(maps: &str) {
    let here = 0u8;
    // Some pages for this frame and what it calls, and the red zone below it (x86-64 ABI, 128 bytes).
    let top = (&raw const here as usize & !(PAGE - 1)).saturating_sub(2 * PAGE);
    let stack = maps.lines().filter(|line| line.ends_with("[stack]")).find_map(Mapping::parse);
    if let Some(stack) = stack.filter(|stack| (stack.start..stack.end).contains(&top)) {
        // SAFETY: the range lies inside our own stack mapping, wholly below the live frames of this thread.
        unsafe { libc::madvise(stack.start as *mut libc::c_void, top - stack.start, libc::MADV_DONTNEED) };
    }
}

/// The program's code and the constants before it: never written to, so what is in the file is what they are.
///
/// The relocated constants after the code are not touched: they differ from the file.
fn give_back_text(maps: &str) {
    let here = give_back_text as *const () as usize;
    let mut before: Option<Mapping> = None;
    for mapping in maps.lines().filter_map(Mapping::parse) {
        if (mapping.start..mapping.end).contains(&here) {
            let constants = before.filter(|other| other.end == mapping.start && other.is("r--p") && other.offset == 0);
            for part in constants.into_iter().chain(mapping.is("r-xp").then_some(mapping)) {
                // SAFETY: a private mapping of the program's file that is not writable and never was (the program
                // has no text relocations): the kernel maps the same bytes again at the next access.
                unsafe { libc::madvise(part.start as *mut libc::c_void, part.end - part.start, libc::MADV_DONTNEED) };
            }
            return;
        }
        before = Some(mapping);
    }
}

const PAGE: usize = 4096;

/// A line of `/proc/self/maps` (proc(5)).
struct Mapping<'a> {
    start: usize,
    end: usize,
    access: &'a str,
    offset: usize,
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let (access, offset) = (fields.next()?, fields.next()?);
        Some(Self { start: number(start)?, end: number(end)?, access, offset: number(offset)? })
    }

    fn is(&self, access: &str) -> bool {
        self.access == access
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    #[test]
    fn only_what_was_inherited_is_closed() {
        alone!();
        let child = super::super::process::fork().unwrap();
        let super::super::process::Fork::Child = child else {
            let super::super::process::Fork::Parent(pid) = child else { unreachable!() };
            assert_eq!(super::super::process::wait(pid).unwrap().code(), 0);
            return;
        };
        let ours = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: dup(2) makes a fresh descriptor, here without close-on-exec, as a shell would leave it.
        let theirs = unsafe { OwnedFd::from_raw_fd(libc::dup(ours.as_raw_fd())) };
        close_inherited(&[]);
        give_back_memory();
        let gone = rustix::io::fcntl_getfd(&theirs).is_err();
        let kept = rustix::io::fcntl_getfd(&ours).is_ok();
        super::super::process::exit_now(i32::from(!(gone && kept)));
    }
}
