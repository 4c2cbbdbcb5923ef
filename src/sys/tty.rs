//! Terminals: raw mode that is always given back, window sizes, pseudo-terminals (termios(3), pty(7)).

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, Winsize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once};

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

/// The window size of a terminal (`TIOCGWINSZ`); `None` if it is none, or has none.
pub fn size(fd: BorrowedFd<'_>) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(Size { rows: size.ws_row, cols: size.ws_col })
}

/// Set the window size (`TIOCSWINSZ`); the foreground processes get SIGWINCH.
pub fn set_size(fd: BorrowedFd<'_>, size: Size) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(fd, size)?)
}

/// Whether this is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(fd)
}

/// The character that stands for the end of the input on this terminal, Ctrl-D if it does not say.
pub fn end_of_file_character(fd: BorrowedFd<'_>) -> u8 {
    rustix::termios::tcgetattr(fd).map_or(4, |termios| termios.special_codes[SpecialCodeIndex::VEOF])
}

/// A new pseudo-terminal of the host's devpts: master and slave, both close-on-exec (`TIOCGPTPEER`, Linux 4.13).
pub fn open_pty() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

/// What the terminal was like before raw mode, kept where a panic finds it.
static BEFORE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);
static PANIC_HOOK: Once = Once::new();

/// A terminal in raw mode. It is given back on drop, and on a panic (whose hook runs even when panics abort).
///
/// At most one at a time, as a process has one terminal.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    raw: Termios,
}

impl RawMode {
    /// Put the terminal into raw mode (cfmakeraw(3)).
    ///
    /// A background process is stopped here by SIGTTOU until the shell brings it to the foreground.
    pub fn enter(terminal: BorrowedFd<'_>) -> io::Result<Self> {
        let before = rustix::termios::tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        let keep = (terminal.try_clone_to_owned()?, before);
        if let Ok(mut slot) = BEFORE.lock() {
            *slot = Some(keep);
        }
        PANIC_HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        let mode = Self { terminal: terminal.try_clone_to_owned()?, raw };
        mode.again()?;
        Ok(mode)
    }

    /// Give the terminal back for a while, as before a stop by SIGTSTP.
    pub fn pause(&self) {
        restore();
    }

    /// Raw mode again, after a pause or SIGCONT.
    pub fn again(&self) -> io::Result<()> {
        Ok(rustix::termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.raw)?)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
        if let Ok(mut slot) = BEFORE.lock() {
            *slot = None;
        }
    }
}

/// Give the terminal back, if it is in raw mode by us. Safe to call at any time, also twice.
pub fn restore() {
    // try_lock: a panic while the lock is held must not hang.
    if let Ok(slot) = BEFORE.try_lock()
        && let Some((terminal, before)) = slot.as_ref()
    {
        // Now, not Drain: output that nobody reads (Ctrl-S) must not keep us from ending.
        let _ = rustix::termios::tcsetattr(terminal.as_fd(), OptionalActions::Now, before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::termios::LocalModes;

    #[test]
    fn raw_mode_is_given_back() {
        let (_master, slave) = open_pty().unwrap();
        let canonical = || rustix::termios::tcgetattr(&slave).unwrap().local_modes.contains(LocalModes::ICANON);
        assert!(canonical());
        let raw = RawMode::enter(slave.as_fd()).unwrap();
        assert!(!canonical());
        raw.pause();
        assert!(canonical());
        raw.again().unwrap();
        assert!(!canonical());
        drop(raw);
        assert!(canonical());
    }

    #[test]
    fn a_size_is_what_was_set() {
        let (master, slave) = open_pty().unwrap();
        assert_eq!(size(slave.as_fd()), None);
        set_size(master.as_fd(), Size { rows: 40, cols: 100 }).unwrap();
        assert_eq!(size(slave.as_fd()), Some(Size { rows: 40, cols: 100 }));
        assert_eq!(end_of_file_character(slave.as_fd()), 4);
    }
}
