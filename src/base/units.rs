//! Sizes as people read them: `7.8MB`, in steps of 1000, as docker and podman print them (go-units).

use super::error::{Fault, Kind};
use anyhow::Result;

/// The units, each a thousand of the one before.
const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// A number of bytes with so many significant digits: `human_size(7_830_000, 3)` is `7.83MB`.
///
/// Like go-units' `HumanSizeWithPrecision`, except that what rounds to 1000 takes the next unit (Go prints `1e+03kB`).
pub fn human_size(bytes: u64, digits: usize) -> String {
    let (number, unit) = scaled(bytes, digits);
    format!("{number}{unit}")
}

/// The same with a space before the unit, as `podman images` shows sizes: `7.83 MB`.
pub fn spaced_size(bytes: u64, digits: usize) -> String {
    let (number, unit) = scaled(bytes, digits);
    format!("{number} {unit}")
}

/// A size as options take it, in steps of 1024 as docker's are (go-units' `RAMInBytes`): `512`, `64k`, `1.5GiB`.
///
/// Errors: [`Kind::Usage`] for what is none, or does not fit into 63 bits.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let wrong = || {
        let text = format!("`{}` is not a size", text.escape_debug());
        Fault::new(Kind::Usage, text).hint("a size looks like 512, 64k, 10m or 1.5g")
    };
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(end);
    let power = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong().into()),
    };
    let scale = 1u64 << (10 * power);
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(scale).filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(|| wrong().into());
    }
    let value = digits.parse::<f64>().map_err(|_| wrong())? * scale as f64;
    if value.is_finite() && value < i64::MAX as f64 { Ok(value as u64) } else { Err(wrong().into()) }
}

/// The same in steps of 1024, as people ask for memory: `64MiB`.
pub fn binary_size(bytes: u64) -> String {
    let (number, unit) = scaled_by(bytes, 4, 1024.0);
    match unit.trim_end_matches('B') {
        "" => format!("{number}B"),
        prefix => format!("{number}{}iB", prefix.to_uppercase()),
    }
}

fn scaled(bytes: u64, digits: usize) -> (String, &'static str) {
    scaled_by(bytes, digits, 1000.0)
}

fn scaled_by(bytes: u64, digits: usize, step_size: f64) -> (String, &'static str) {
    let mut value = bytes as f64;
    for (step, unit) in UNITS.iter().enumerate() {
        if value < step_size {
            let text = significant(value, digits);
            if step_size > 1000.0 || text != "1000" {
                return (text, unit);
            }
        }
        if step + 1 < UNITS.len() {
            value /= step_size;
        }
    }
    (significant(value, digits), UNITS[UNITS.len() - 1])
}

/// `%.Ng` of C for numbers from 0 to 1000: so many significant digits, no trailing zeros.
fn significant(value: f64, digits: usize) -> String {
    let whole = if value >= 100.0 {
        3
    } else if value >= 10.0 {
        2
    } else {
        1
    };
    let text = format!("{value:.*}", digits.saturating_sub(whole));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("512", 512),
            ("1k", 1024),
            ("10M", 10 << 20),
            ("1.5g", 3 << 29),
            ("2GiB", 2 << 30),
            ("7b", 7),
            ("1kb", 1024),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "x", "1x", "-1", "1.2.3", "99999999999g", "k"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (bytes, digits, text) in [
            (0, 3, "0B"),
            (1, 3, "1B"),
            (999, 3, "999B"),
            (1000, 3, "1kB"),
            (1024, 3, "1.02kB"),
            (1024, 4, "1.024kB"),
            (7_830_000, 3, "7.83MB"),
            (78_300_000, 3, "78.3MB"),
            (783_400_000, 3, "783MB"),
            (999_999, 3, "1MB"),
            (999_949, 4, "999.9kB"),
            (1_000_000_000_000, 3, "1TB"),
            (u64::MAX, 3, "18.4EB"),
        ] {
            assert_eq!(human_size(bytes, digits), text, "{bytes}");
        }
        assert_eq!(spaced_size(7_830_000, 3), "7.83 MB");
        for (bytes, text) in [(7, "7B"), (1 << 10, "1KiB"), (64 << 20, "64MiB"), (3 << 29, "1.5GiB"), (1000, "1000B")] {
            assert_eq!(binary_size(bytes), text, "{bytes}");
        }
    }
}
