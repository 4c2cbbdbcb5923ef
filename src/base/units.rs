//! Sizes as people read them: `7.8MB`, in steps of 1000, as docker and podman print them (go-units).

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

fn scaled(bytes: u64, digits: usize) -> (String, &'static str) {
    let mut value = bytes as f64;
    for (step, unit) in UNITS.iter().enumerate() {
        if value < 1000.0 {
            let text = significant(value, digits);
            if text != "1000" {
                return (text, unit);
            }
        }
        if step + 1 < UNITS.len() {
            value /= 1000.0;
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
    }
}
