//! `--progress=tty`: a picture of all steps that is drawn again in place, as BuildKit's.
//!
//! The picture is made of the steps by a pure function, each line cut to the terminal's width; drawing moves the cursor
//! up over the last picture and writes the new one. The cursor is never hidden and no mode is changed, so that nothing
//! has to be given back after Ctrl-C.

use super::lines::{Splitter, Tail, clean};
use crate::base::units::human_size;
use crate::build::{Event, StepId};
use crate::cli::errors::escape;
use crate::sys::tty::Size;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, Instant};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The picture is drawn at most so often.
const PAUSE: Duration = Duration::from_millis(100);
/// So many last lines are shown of what runs.
const TAIL: usize = 6;
/// No narrower than this: what does not fit is cut.
const NARROWEST: usize = 20;

/// A line of the picture and its colour (ECMA-48, 8.3.117).
type Line = (String, Option<u8>);

/// Draws pictures.
pub struct Tty<W> {
    out: W,
    colours: bool,
    began: Instant,
    drawn: Option<Instant>,
    /// The widths of the lines of the last picture.
    lines: Vec<usize>,
    steps: Vec<Step>,
    places: HashMap<StepId, usize>,
}

struct Step {
    name: String,
    began: Instant,
    state: State,
    splitter: Splitter,
    tail: Tail,
    progress: Vec<(String, u64, Option<u64>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended(Ended, Duration),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    Cached,
    Failed,
    Cancelled,
}

impl<W: Write> Tty<W> {
    /// Onto this terminal.
    pub fn new(out: W, colours: bool, now: Instant) -> Self {
        let (lines, steps, places) = (Vec::new(), Vec::new(), HashMap::new());
        Self { out, colours, began: now, drawn: None, lines, steps, places }
    }

    /// Take an event into the picture.
    pub fn tell(&mut self, now: Instant, event: &Event<'_>) {
        match *event {
            Event::Began { step, name } => {
                let (splitter, tail, progress) = (Splitter::default(), Tail::new(TAIL), Vec::new());
                self.places.insert(step, self.steps.len());
                let name = escape(name);
                self.steps.push(Step { name, began: now, state: State::Running, splitter, tail, progress });
            }
            Event::Cached { step } => self.end(now, step, Ended::Cached, Some(Duration::ZERO)),
            Event::Output { step, bytes, .. } => {
                if let Some(Step { splitter, tail, .. }) = self.step(step) {
                    splitter.push(bytes, |line| tail.push(clean(line)));
                }
            }
            Event::Progress { step, what, done, total } => {
                let Some(step) = self.step(step) else { return };
                match step.progress.iter_mut().find(|(name, ..)| name == what) {
                    Some(row) => (row.1, row.2) = (done, total),
                    None => step.progress.push((what.to_owned(), done, total)),
                }
            }
            Event::Done { step, took } => self.end(now, step, Ended::Done, Some(took)),
            Event::Failed { step, .. } => self.end(now, step, Ended::Failed, None),
            Event::Cancelled { step } => self.end(now, step, Ended::Cancelled, None),
            Event::Warning { .. } => {}
        }
    }

    fn step(&mut self, id: StepId) -> Option<&mut Step> {
        self.steps.get_mut(*self.places.get(&id)?)
    }

    fn end(&mut self, now: Instant, id: StepId, how: Ended, took: Option<Duration>) {
        if let Some(step) = self.step(id)
            && step.state == State::Running
        {
            step.state = State::Ended(how, took.unwrap_or(now.duration_since(step.began)));
        }
    }

    /// Draw, if it is time to.
    pub fn draw(&mut self, now: Instant, size: Size) {
        if self.drawn.is_none_or(|last| now.duration_since(last) >= PAUSE) {
            self.drawn = Some(now);
            // A line is left for the cursor, and one so that nothing scrolls.
            self.redraw(now, size, usize::from(size.rows).saturating_sub(2).max(2), "");
        }
    }

    /// Draw all of it for the last time.
    pub fn end_picture(&mut self, now: Instant, size: Size, finished: bool) {
        if self.steps.is_empty() {
            return;
        }
        self.redraw(now, size, usize::MAX, if finished { " FINISHED" } else { "" });
        self.lines.clear();
    }

    fn redraw(&mut self, now: Instant, size: Size, most: usize, word: &str) {
        let width = usize::from(size.cols).max(NARROWEST);
        let picture = self.picture(now, width, most, word);
        let mut out = String::new();
        // After a resize the lines of the last picture may each take several.
        let up: usize = self.lines.iter().map(|length| length.div_ceil(width).max(1)).sum();
        if up > 0 {
            let _ = write!(out, "\x1b[{up}A");
        }
        out.push_str("\r\x1b[J");
        self.lines.clear();
        for (line, colour) in &picture {
            self.lines.push(line.width());
            let _ = match colour {
                Some(colour) if self.colours => writeln!(out, "\x1b[{colour}m{line}\x1b[0m"),
                _ => writeln!(out, "{line}"),
            };
        }
        let _ = self.out.write_all(out.as_bytes()).and_then(|()| self.out.flush());
    }

    /// The lines of the picture, each with its colour; at most `most` of them.
    fn picture(&self, now: Instant, width: usize, most: usize, word: &str) -> Vec<Line> {
        let ended = self.steps.iter().filter(|step| step.state != State::Running).count();
        let passed = now.duration_since(self.began).as_secs_f64();
        let head = format!("[+] Building {passed:.1}s ({ended}/{}){word}", self.steps.len());
        let mut blocks: Vec<(bool, Vec<Line>)> =
            self.steps.iter().map(|step| (step.state == State::Running, step.lines(now, width))).collect();
        // What does not fit: first those that have ended, the oldest first; then tails, from their oldest lines.
        let mut count: usize = 1 + blocks.iter().map(|(_, lines)| lines.len()).sum::<usize>();
        for (_, lines) in blocks.iter_mut().filter(|(running, _)| !running) {
            if count > most {
                count -= lines.len();
                lines.clear();
            }
        }
        for (_, lines) in &mut blocks {
            while count > most && lines.len() > 1 {
                lines.remove(1);
                count -= 1;
            }
        }
        let body = blocks.into_iter().flat_map(|(_, lines)| lines);
        let mut picture: Vec<_> = [(fit(&head, width - 1), None)].into_iter().chain(body).collect();
        picture.truncate(most);
        picture
    }
}

impl Step {
    fn lines(&self, now: Instant, width: usize) -> Vec<Line> {
        let (word, colour, took) = match self.state {
            State::Running => ("", None, now.duration_since(self.began)),
            State::Ended(Ended::Done, took) => ("", Some(34), took),
            State::Ended(Ended::Cached, took) => ("CACHED ", Some(34), took),
            State::Ended(Ended::Failed, took) => ("ERROR ", Some(31), took),
            State::Ended(Ended::Cancelled, took) => ("CANCELED ", Some(33), took),
        };
        let row = |text: &str, right: &str| {
            // The last column stays free: some terminals go to the next line when it is filled.
            let room = width.saturating_sub(right.width() + 2);
            let text = fit(text, room);
            let space = room.saturating_sub(text.width());
            format!("{text}{:space$} {right}", "")
        };
        let mut lines =
            vec![(row(&format!(" => {word}{}", self.name), &format!("{:.1}s", took.as_secs_f64())), colour)];
        if self.state != State::Running {
            return lines;
        }
        for (what, done, total) in self.progress.iter().rev().take(TAIL).rev() {
            let size = match total {
                Some(total) => format!("{} / {}", human_size(*done, 3), human_size(*total, 3)),
                None => human_size(*done, 3),
            };
            lines.push((row(&format!(" => => {}", escape(what)), &size), None));
        }
        let partial = Some(clean(self.splitter.partial())).filter(|line| !line.is_empty());
        let skipped = usize::from(partial.is_some() && self.tail.lines().count() == TAIL);
        for line in self.tail.lines().skip(skipped).chain(partial.as_ref()) {
            lines.push((fit(&format!(" => => # {line}"), width - 1), Some(2)));
        }
        lines
    }
}

/// As much of the text as fits into so many columns.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Stream;

    const MS: Duration = Duration::from_millis(1);

    fn picture(tty: &Tty<Vec<u8>>, now: Instant, width: usize, most: usize) -> Vec<String> {
        tty.picture(now, width, most, "").into_iter().map(|(line, _)| line).collect()
    }

    fn three(now: Instant) -> Tty<Vec<u8>> {
        let mut tty = Tty::new(Vec::new(), true, now);
        for (step, name) in [(1, "[1/3] FROM t"), (2, "[2/3] RUN a"), (3, "[3/3] RUN b")] {
            tty.tell(now, &Event::Began { step: StepId(step), name });
        }
        tty.tell(now, &Event::Cached { step: StepId(1) });
        tty.tell(now, &Event::Done { step: StepId(1), took: Duration::ZERO });
        tty.tell(now, &Event::Done { step: StepId(2), took: 1500 * MS });
        let bytes = b"one\ntwo\x1b[2J\nthr\ree";
        tty.tell(now, &Event::Output { step: StepId(3), stream: Stream::Out, bytes });
        tty
    }

    #[test]
    fn the_picture_shows_what_runs_and_folds_what_is_done() {
        let now = Instant::now();
        let tty = three(now);
        let expected = [
            "[+] Building 0.2s (2/3)",
            " => CACHED [1/3] FROM t     0.0s",
            " => [2/3] RUN a             1.5s",
            " => [3/3] RUN b             0.2s",
            " => => # one",
            " => => # two",
            " => => # ee",
        ];
        assert_eq!(picture(&tty, now + 200 * MS, 33, 20), expected);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let now = Instant::now();
        let tty = three(now);
        let small = picture(&tty, now, 20, 5);
        assert_eq!(
            small,
            ["[+] Building 0.0s (", " => [3/3] RUN  0.0s", " => => # one", " => => # two", " => => # ee"]
        );
        assert!(small.iter().all(|line| line.width() < 20));
        assert_eq!(picture(&tty, now, 20, 3), ["[+] Building 0.0s (", " => [3/3] RUN  0.0s", " => => # ee"]);
        assert_eq!(fit("日本語", 5), "日本");
    }

    #[test]
    fn it_is_drawn_in_place_also_after_a_resize() {
        let now = Instant::now();
        let mut tty = three(now);
        let size = |cols| Size { rows: 24, cols };
        tty.draw(now, size(80));
        let first = tty.out.len();
        tty.draw(now + 50 * MS, size(80));
        assert_eq!(tty.out.len(), first, "drawn again at once");
        tty.draw(now + 100 * MS, size(80));
        assert!(tty.out[first..].starts_with(b"\x1b[7A\r\x1b[J"), "{:?}", String::from_utf8_lossy(&tty.out[first..]));
        let second = tty.out.len();
        // Three lines of 79 columns take two each now.
        tty.draw(now + 200 * MS, size(40));
        assert!(
            tty.out[second..].starts_with(b"\x1b[10A\r\x1b[J"),
            "{:?}",
            String::from_utf8_lossy(&tty.out[second..])
        );
        let text = String::from_utf8(tty.out).unwrap();
        assert!(text.contains("\x1b[34m => CACHED") && !text.contains("\x1b[2J"));
    }
}
