//! What goes to stdout: lines, tables, JSON; and the table of `--timing`.

use super::errors::escape;
use crate::base::timing;
use crate::sys::tty;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;

/// Write to stdout. A closed pipe ends the process quietly (SIGPIPE); anything else is an error.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to stdout")
}

/// Write a line to stdout.
pub fn print_line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

/// JSON as podman prints it.
pub fn print_json(value: &Value) -> Result<()> {
    print_line(&pretty_json(value)?)
}

/// JSON with four spaces for each level.
pub fn pretty_json(value: &Value) -> Result<String> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    Ok(escape_json(String::from_utf8(out)?))
}

/// JSON escapes the control characters of ASCII; those above it, which terminals obey too, can only be in its strings.
pub fn escape_json(text: String) -> String {
    if !text.contains(|c: char| c.is_control() && c != '\n') {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c.is_control() && c != '\n' {
            true => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            false => out.push(c),
        }
    }
    out
}

/// A table of columns, each at least twelve wide with the two spaces after it, as podman's tables are.
///
/// Control characters are escaped: cells come from images and other users' arguments.
pub fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let last = row.len().saturating_sub(1);
        for (column, cell) in row.iter().enumerate() {
            match column == last {
                true => out.push_str(cell),
                false => {
                    let width = (widths.get(column).copied().unwrap_or(0) + 2).max(12);
                    let _ = write!(out, "{cell:width$}");
                }
            }
        }
        out.push('\n');
    }
    out
}

/// The columns of the terminal that stdout is; `None` if it is none.
pub fn terminal_width() -> Option<usize> {
    use std::os::fd::AsFd;
    let stdout = std::io::stdout();
    let size = tty::size(stdout.as_fd()).filter(|_| tty::is_terminal(stdout.as_fd()))?;
    Some(usize::from(size.cols)).filter(|columns| *columns > 0)
}

/// No column is cut to less.
const NARROWEST: usize = 8;

/// Cut the widest columns but the first and the last, the id and the name, until [`table`] fits into so many columns.
/// Where that is not enough, the columns with these headings are left out, one after the other.
pub fn fit(rows: &mut [Vec<String>], width: usize, expendable: &[&str]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |rows: &[Vec<String>], column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(|column| widest(rows, column)).collect();
    let taken = |widths: &[usize]| {
        let (last, others) = widths.split_last().map_or((0, &[][..]), |(last, others)| (*last, others));
        others.iter().map(|width| (width + 2).max(12)).sum::<usize>() + last
    };
    while taken(&widths) > width {
        let inner = 1..columns.saturating_sub(1);
        let Some(column) = inner.max_by_key(|column| widths[*column]).filter(|c| widths[*c] > NARROWEST + 2) else {
            break;
        };
        widths[column] -= 1;
    }
    let headings = rows.first().cloned().unwrap_or_default();
    if taken(&widths) > width
        && let Some((heading, others)) = expendable.split_first()
    {
        if let Some(column) = headings.iter().position(|text| text == heading) {
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
        return fit(rows, width, others);
    }
    for row in rows {
        for (cell, width) in row.iter_mut().zip(&widths) {
            if cell.chars().count() > *width {
                *cell = cell.chars().take(width.saturating_sub(1)).chain(['…']).collect();
            }
        }
    }
}

/// The table of `--timing`, on stderr: when each phase ended, and how long it took, in milliseconds.
pub fn print_timing() {
    timing::phase("end");
    let mut phases = timing::take();
    // The monitor sends its phases, among them those that it was forked with.
    phases.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    phases.dedup();
    let Some((_, begun)) = phases.first() else { return };
    let (begun, mut before) = (*begun, *begun);
    let mut out = String::from("      at    took  phase (milliseconds)\n");
    for (name, at) in &phases {
        let ms = |nanos: i64| nanos as f64 / 1e6;
        let _ = writeln!(out, "{:8.3}{:8.3}  {}", ms(at - begun), ms(at - before), escape(name));
        before = *at;
    }
    let _ = std::io::stderr().write_all(out.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_meaning_and_drives_no_terminal() {
        let value = serde_json::json!({"a": "\u{1b}\u{9b}\u{7f}ü\n"});
        let text = pretty_json(&value).unwrap();
        assert_eq!(text, "{\n    \"a\": \"\\u001b\\u009b\\u007fü\\n\"\n}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn tables_line_up_and_are_escaped() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let text = table(&[row(&["NAME", "IMAGE", "X"]), row(&["a", "größe", ""]), row(&["bbbbb", "i\n", "y"])]);
        assert_eq!(text, "NAME        IMAGE       X\na           größe       \nbbbbb       i\\n         y\n");
    }

    #[test]
    fn tables_fit_where_they_can() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let wide = vec![
            row(["CONTAINER ID", "IMAGE", "COMMAND", "NAMES"]),
            row(["0123456789ab", "registry.example.org/some/where/image:1.2.3", "sleep infinity", "web"]),
        ];
        let widest = |width: usize| {
            let mut rows = wide.clone();
            fit(&mut rows, width, &[]);
            let lines = table(&rows);
            lines.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0)
        };
        assert_eq!(widest(200), widest(90));
        for width in [80, 60, 50] {
            assert!(widest(width) <= width, "{width}");
        }
        let mut rows = wide.clone();
        fit(&mut rows, 10, &[]);
        assert!(table(&rows).contains("registry…") || table(&rows).contains("registry."), "{}", table(&rows));
        assert!(table(&rows).contains("0123456789ab") && table(&rows).contains("web"));
        // What can be spared goes, in its order, and no more than that.
        for (width, left) in [(40, "CONTAINER ID  COMMAND         NAMES"), (20, "CONTAINER ID  NAMES")] {
            let mut rows = wide.clone();
            fit(&mut rows, width, &["IMAGE", "COMMAND"]);
            assert_eq!(table(&rows).lines().next(), Some(left), "{width}");
        }
    }
}
