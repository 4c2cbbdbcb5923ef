//! Signals by name and number, as `kill`, `--stop-signal` and STOPSIGNAL give them.

use super::error::{Kind, fault};
use anyhow::Result;

/// Signal 9.
pub const SIGKILL: i32 = 9;
/// Signal 15.
pub const SIGTERM: i32 = 15;
/// The first real-time signal that a program may use, as glibc and musl count (signal(7)).
const SIGRTMIN: i32 = 34;
/// The last real-time signal.
const SIGRTMAX: i32 = 64;

/// The names of signals 1 to 31 (x86 and ARM; signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// Parse `9`, `KILL`, `SIGKILL` or `RTMIN+3`, in any case.
pub fn parse(text: &str) -> Result<i32> {
    let unknown = || fault(Kind::Usage, format!("there is no signal `{}`", text.escape_debug()));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=SIGRTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Ok(index as i32 + 1);
    }
    let number = match name {
        "IOT" => 6,
        "CLD" => 17,
        "POLL" => 29,
        "RTMIN" => SIGRTMIN,
        "RTMAX" => SIGRTMAX,
        _ => match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
            (Some(offset), _) => SIGRTMIN + offset.parse::<u8>().map_err(|_| unknown())? as i32,
            (_, Some(offset)) => SIGRTMAX - offset.parse::<u8>().map_err(|_| unknown())? as i32,
            _ => return Err(unknown()),
        },
    };
    if (1..=SIGRTMAX).contains(&number) { Ok(number) } else { Err(unknown()) }
}

/// `SIGTERM` for 15.
pub fn name(number: i32) -> String {
    match usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index)) {
        Some(name) => format!("SIG{name}"),
        None if number >= SIGRTMIN => format!("SIGRTMIN+{}", number - SIGRTMIN),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("sigkill", 9), ("SIGTERM", 15), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "0", "65", "-1", "NOPE", "SIG", "RTMIN+31", "99999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(name(15), "SIGTERM");
        assert_eq!(name(37), "SIGRTMIN+3");
    }
}
