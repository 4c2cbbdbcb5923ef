//! Tables that stay on a terminal and are drawn anew: `top`, `stats`, `ps --watch`.
//!
//! Ctrl-C is how one leaves, so it is no failure. Another size of the window is drawn at once.

use super::output::print;
use crate::sys::signals::Caught;
use crate::sys::tty::{self, Size};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use unicode_width::UnicodeWidthChar;

/// What is shown again and again.
#[derive(Debug)]
pub struct Live {
    caught: Caught,
    /// In the place of what was shown before, on a terminal; else below it.
    redraws: bool,
}

impl Live {
    /// Begin. To be called before any thread is made, as that must not be the one that the signals hit.
    pub fn begin(redraws: bool) -> Result<Self> {
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH];
        let caught = Caught::these(&signals).context("cannot catch signals")?;
        Ok(Self { caught, redraws: redraws && is_terminal() })
    }

    /// Show a text.
    pub fn show(&self, text: &str) -> Result<()> {
        match tty::size(std::io::stdout().as_fd()).filter(|_| self.redraws) {
            Some(size) => print(&screen(text, size)),
            None => print(text),
        }
    }

    /// Wait for the time of the next look, or for the end of a process: whether there is a next look.
    pub fn goes_on(&self, seconds: u32, process: Option<BorrowedFd<'_>>) -> bool {
        let timeout = Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        let mut fds = vec![PollFd::from_borrowed_fd(self.caught.as_fd(), PollFlags::IN)];
        fds.extend(process.map(|process| PollFd::from_borrowed_fd(process, PollFlags::IN)));
        let _ = poll(&mut fds, Some(&timeout));
        // Taken, or it would kill us when signals are let through again.
        while let Some((number, _)) = self.caught.next() {
            if number != Signal::SIGWINCH as i32 {
                if self.redraws {
                    // The terminal has written `^C` where the cursor stands.
                    let _ = print("\n");
                }
                return false;
            }
        }
        fds.get(1).is_none_or(|process| process.revents().is_empty())
    }
}

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    tty::is_terminal(std::io::stdout().as_fd())
}

/// A text as a whole screen: each line is cut to the width and clears what was there, and all that is below goes.
fn screen(text: &str, size: Size) -> String {
    let (columns, rows) = (usize::from(size.cols), usize::from(size.rows));
    let mut out = String::from("\x1b[H");
    // The last row stays free, or the terminal would scroll.
    for line in text.lines().take(rows.saturating_sub(1).max(1)) {
        let mut taken = 0;
        let fits = |c: &char| {
            taken += c.width().unwrap_or(0);
            columns == 0 || taken <= columns
        };
        out.extend(line.chars().take_while(fits));
        let _ = write!(out, "\x1b[K\r\n");
    }
    out + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_holds_what_fits() {
        let small = Size { cols: 4, rows: 3 };
        assert_eq!(screen("abcdef\n日本語\nthird\n", small), "\x1b[Habcd\x1b[K\r\n日本\x1b[K\r\n\x1b[J");
        assert_eq!(screen("a\n", small), "\x1b[Ha\x1b[K\r\n\x1b[J");
        assert_eq!(screen("abcdef", Size { cols: 0, rows: 0 }), "\x1b[Habcdef\x1b[K\r\n\x1b[J");
    }
}
