//! Moments and durations as docker and podman read and print them: RFC 3339, unix seconds, Go durations, "2 minutes".
//!
//! A moment is a `DateTime<Utc>`, or nanoseconds since 1970 where it was kept so; a duration is a signed number of
//! nanoseconds, as in Go.

use super::error::{Fault, Kind};
use anyhow::Result;
use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone, Utc};

/// Now, in nanoseconds since 1970.
pub fn now() -> i64 {
    Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with as many digits of the fraction as it has, as Go's `RFC3339Nano`.
pub fn rfc3339(moment: &DateTime<Utc>) -> String {
    let text = moment.to_rfc3339_opts(SecondsFormat::Nanos, true);
    let Some((seconds, fraction)) = text.trim_end_matches('Z').split_once('.') else { return text };
    match fraction.trim_end_matches('0') {
        "" => format!("{seconds}Z"),
        fraction => format!("{seconds}.{fraction}Z"),
    }
}

/// Go's `Time.String()` in the local zone: `2026-11-21 09:30:00.5 +0100 CET`, as CreatedAt shows it; the zone is its
/// offset where the system has no name for it.
pub fn go_text(nanos: i64) -> String {
    let local = DateTime::from_timestamp_nanos(nanos).with_timezone(&Local);
    let fraction = local.format("%.9f").to_string();
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.').to_owned();
    let zone = local.format("%z").to_string();
    let name = if zone == "+0000" { "UTC".to_owned() } else { zone.clone() };
    format!("{}{fraction} {zone} {name}", local.format("%Y-%m-%d %H:%M:%S"))
}

/// A moment as `--since` and `--until` take it: unix seconds, RFC 3339, a date, a local date and time, or a Go
/// duration, which counts back from `now`.
pub fn parse_moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if let Some(moment) = parse_unix(text) {
        return Ok(moment);
    }
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.with_timezone(&Utc));
    }
    if let Some(moment) = parse_local(text) {
        return Ok(moment);
    }
    if let Some(moment) =
        parse_duration(text).and_then(|ago| now.checked_sub_signed(chrono::TimeDelta::nanoseconds(ago)))
    {
        return Ok(moment);
    }
    Err(Fault::new(Kind::Usage, format!("`{}` is neither a time nor a duration", text.escape_debug()))
        .hint("a time looks like 2026-11-21T09:30:00Z, 2026-11-21 or 1795253400; a duration like 10m or 1h30m")
        .into())
}

/// Unix seconds with an optional fraction.
fn parse_unix(text: &str) -> Option<DateTime<Utc>> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = fraction.parse::<u32>().ok()? * 10u32.pow(9 - fraction.len() as u32);
    DateTime::from_timestamp(seconds.parse().ok()?, nanos)
}

/// A date, or a date and time without a zone: the local one.
fn parse_local(text: &str) -> Option<DateTime<Utc>> {
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)))?;
    Some(Local.from_local_datetime(&naive).earliest()?.with_timezone(&Utc))
}

/// Go's `time.ParseDuration`: `300ms`, `-1.5h`, `2h45m`. Nanoseconds; `None` if it is none or does not fit.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total = total.checked_add(part(digits, unit)?)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// One number with its unit, in nanoseconds.
fn part(digits: &str, unit: &str) -> Option<i128> {
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let mut value = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(scale)? };
    // Digits beyond a nanosecond of an hour make no difference.
    let fraction = &fraction[..fraction.len().min(18)];
    if !fraction.is_empty() {
        value += fraction.parse::<i128>().ok()? * scale / 10i128.pow(fraction.len() as u32);
    }
    Some(value)
}

/// Go's `Duration.String()`: `1h2m3.5s`, `300ms`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let decimal = |value: u64, scale: u64, width: usize| {
        let (whole, fraction) = (value / scale, value % scale);
        match format!("{fraction:0width$}").trim_end_matches('0') {
            "" => whole.to_string(),
            fraction => format!("{whole}.{fraction}"),
        }
    };
    let text = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000, 6)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// About how long, as go-units' `HumanDuration`: `Less than a second`, `5 minutes`, `About an hour`, `3 weeks`.
pub fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// How long ago: `2 minutes ago`.
pub fn ago(nanos: i64, now: i64) -> String {
    format!("{} ago", human_duration(now.saturating_sub(nanos) / 1_000_000_000))
}

/// The nanoseconds since 1970 of an RFC 3339 text, as image configs have it.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        parse_rfc3339(text).unwrap()
    }

    #[test]
    fn durations_as_go_prints_and_reads_them() {
        // Values from Go's own time_test.go.
        for (text, nanos) in [
            ("0s", 0),
            ("1ns", 1),
            ("1.1µs", 1_100),
            ("2.2ms", 2_200_000),
            ("3.3s", 3_300_000_000),
            ("4m5s", 245_000_000_000),
            ("4m5.001s", 245_001_000_000),
            ("5h6m7.001s", 18_367_001_000_000),
            ("8m0.000000001s", 480_000_000_001),
            ("2562047h47m16.854775807s", i64::MAX),
            ("-1h0m0s", -3_600_000_000_000),
        ] {
            assert_eq!(format_duration(nanos), text);
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for (text, nanos) in [
            ("0", 0),
            ("-5s", -5_000_000_000),
            ("+5s", 5_000_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("3h30m", 12_600_000_000_000),
            ("10.5s4m", 250_500_000_000),
            ("100.00100s", 100_001_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("12us", 12_000),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for text in
            ["", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "1.1.1s", "9223372036854775808ns", "3000000h", "1 s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn moments() {
        let now = DateTime::from_timestamp_nanos(at("2026-11-21T10:00:00Z"));
        for (text, moment) in [
            ("1795253400", "2026-11-21T09:30:00Z"),
            ("1795253400.5", "2026-11-21T09:30:00.5Z"),
            ("2026-11-21T09:30:00Z", "2026-11-21T09:30:00Z"),
            ("2026-11-21T09:30:00.25+01:00", "2026-11-21T08:30:00.25Z"),
            ("30m", "2026-11-21T09:30:00Z"),
            ("1h30m", "2026-11-21T08:30:00Z"),
            ("-1h", "2026-11-21T11:00:00Z"),
        ] {
            assert_eq!(rfc3339(&parse_moment(text, now).unwrap()), moment, "{text}");
        }
        for text in ["2026-11-21", "2026-11-21T09:30", "2026-11-21 09:30:00"] {
            assert!(parse_moment(text, now).is_ok(), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "99999999999999999999", "1.2.3", "\n"] {
            assert!(parse_moment(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn about_how_long() {
        for (seconds, text) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (179, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
        assert_eq!(ago(at("2026-11-21T09:58:00Z"), at("2026-11-21T10:00:00Z")), "2 minutes ago");
    }

    #[test]
    fn fractions_keep_only_their_digits() {
        assert_eq!(
            rfc3339(&DateTime::from_timestamp_nanos(at("2026-11-21T09:30:00.120000000Z"))),
            "2026-11-21T09:30:00.12Z"
        );
        assert!(go_text(at("2026-11-21T09:30:00.5Z")).contains(":30:00.5 "));
    }
}
