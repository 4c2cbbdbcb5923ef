//! The progress of a pull or push, on stderr: bars on a terminal, a line per layer elsewhere, nothing with `-q`.

use super::errors::escape;
use crate::base::digest::Digest;
use crate::base::units::human_size;
use crate::image::{LayerState, Progress};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::HashMap;
use std::io::{IsTerminal, Write as _};
use std::sync::{Mutex, MutexGuard};

/// How often bars are drawn, at most, in a second.
const DRAWS: u8 = 12;

/// What a pull tells the user.
pub enum Shown {
    /// `-q`.
    Nothing,
    /// Not a terminal.
    Lines(Mutex<HashMap<Digest, Option<u64>>>),
    /// A terminal.
    Bars(Mutex<Bars>),
}

/// A bar per layer that is not done, and one for all; made when the first layer is announced.
#[derive(Default)]
pub struct Bars {
    all: Option<MultiProgress>,
    layers: HashMap<Digest, ProgressBar>,
    total: Option<ProgressBar>,
}

impl Bars {
    fn add(&mut self, digest: &Digest, size: Option<u64>) {
        let target = || ProgressDrawTarget::stderr_with_hz(DRAWS);
        let all = self.all.get_or_insert_with(|| MultiProgress::with_draw_target(target()));
        let total = self.total.get_or_insert_with(|| {
            let total = all.add(ProgressBar::new(0).with_style(style(true)));
            total.set_prefix("all layers  ");
            total
        });
        total.inc_length(size.unwrap_or(0));
        let bar = all.insert_before(total, ProgressBar::new(size.unwrap_or(0)).with_style(style(size.is_some())));
        bar.set_prefix(short(digest));
        bar.set_message("waiting");
        self.layers.insert(digest.clone(), bar);
    }

    fn advance(&self, digest: &Digest, bytes: u64) {
        if let (Some(bar), Some(total)) = (self.layers.get(digest), &self.total) {
            bar.inc(bytes);
            total.inc(bytes);
        }
    }

    /// A layer that is done becomes a line above the bars, so that no bar is left when all are done.
    fn end(&mut self, digest: &Digest, word: &str) {
        let (Some(bar), Some(all), Some(total)) = (self.layers.remove(digest), &self.all, &self.total) else { return };
        // What was there before does not come over the wire.
        total.inc(bar.length().unwrap_or(0).saturating_sub(bar.position()));
        let _ = all.println(line(digest, word, bar.length()));
        bar.finish_and_clear();
        if self.layers.is_empty() {
            total.finish_and_clear();
            self.total = None;
        }
    }
}

/// `a1b2c3d4e5f6 done (12.3MB)`.
fn line(digest: &Digest, word: &str, size: Option<u64>) -> String {
    let size = size.filter(|size| *size > 0).map(|size| format!(" ({})", human_size(size, 3))).unwrap_or_default();
    format!("{} {word}{size}", short(digest))
}

impl Shown {
    /// What suits stderr.
    pub fn new(quiet: bool) -> Self {
        let dumb = crate::base::env::term().is_none_or(|term| term == "dumb");
        match () {
            () if quiet => Self::Nothing,
            () if dumb || !std::io::stderr().is_terminal() => Self::Lines(Mutex::default()),
            () => Self::Bars(Mutex::default()),
        }
    }

    /// After a failure: the bar on whose line the cursor stands makes room for the error.
    pub fn make_room(&self) {
        if let Self::Bars(_) = self {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn say(&self, text: &str) {
        let text = escape(text);
        match self {
            Self::Nothing => {}
            Self::Lines(_) => print(&text),
            Self::Bars(bars) => match &locked(bars).all {
                Some(all) => drop(all.println(text)),
                None => print(&text),
            },
        }
    }
}

/// A lock that a panic elsewhere has poisoned still guards good enough data for a picture.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn short(digest: &Digest) -> String {
    digest.digits().chars().take(12).collect()
}

impl Progress for Shown {
    fn resolved(&self, name: &str) {
        self.say(&format!("Pulling {name}"));
    }

    fn layer(&self, digest: &Digest, size: Option<u64>) {
        match self {
            Self::Nothing => {}
            Self::Lines(sizes) => drop(locked(sizes).insert(digest.clone(), size)),
            Self::Bars(bars) => locked(bars).add(digest, size),
        }
    }

    fn advance(&self, digest: &Digest, bytes: u64) {
        if let Self::Bars(bars) = self {
            locked(bars).advance(digest, bytes);
        }
    }

    fn resumed(&self, digest: &Digest, bytes: u64) {
        self.advance(digest, bytes);
        self.say(&format!("{} goes on after {}", short(digest), human_size(bytes, 3)));
    }

    fn state(&self, digest: &Digest, state: LayerState) {
        let (word, ended) = match state {
            LayerState::Waiting => ("waiting", false),
            LayerState::Downloading => ("pulling", false),
            LayerState::Unpacking => ("unpacking", false),
            LayerState::Done => ("done", true),
            LayerState::AlreadyExists => ("already here", true),
            LayerState::Packing => ("packing", false),
            LayerState::Sending => ("sending", false),
            LayerState::AlreadyThere => ("already there", true),
            LayerState::Mounted => ("mounted", true),
        };
        match self {
            Self::Nothing => {}
            Self::Lines(sizes) if ended => print(&line(digest, word, locked(sizes).get(digest).copied().flatten())),
            Self::Lines(_) => {}
            Self::Bars(bars) if ended => locked(bars).end(digest, word),
            Self::Bars(bars) => {
                if let Some(bar) = locked(bars).layers.get(digest) {
                    bar.set_message(word);
                }
            }
        }
    }

    fn message(&self, text: &str) {
        self.say(text);
    }
}

/// `a1b2c3d4e5f6 pulling    [=====>    ] 12.3MB/45.6MB 8.1MB/s 4 seconds left`.
fn style(sized: bool) -> ProgressStyle {
    let template = match sized {
        true => "{prefix} {msg:12} [{bar:28}] {done}/{whole} {speed} {left}",
        false => "{prefix} {msg:12} {spinner} {done} {speed}",
    };
    let size = |bytes: u64, out: &mut dyn std::fmt::Write| {
        // A picture that cannot be drawn is nobody's error.
        let _ = out.write_str(&human_size(bytes, 3));
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars("=> ")
        .with_key("done", move |state: &ProgressState, out: &mut dyn std::fmt::Write| size(state.pos(), out))
        .with_key("whole", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            size(state.len().unwrap_or(0), out);
        })
        .with_key("speed", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            size(state.per_sec() as u64, out);
            let _ = out.write_str("/s");
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            if state.pos() > 0 && state.len().is_some_and(|len| state.pos() < len) {
                let _ = write!(out, "{} left", HumanDuration(state.eta()));
            }
        })
}
