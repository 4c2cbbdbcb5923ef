//! What takes time: sleeping, waiting for signals, printing bit by bit, children that outlive.

use crate::{Code, number, word};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill as send, sigprocmask};
use nix::unistd::Pid;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

fn signal(name: &str) -> Result<Signal, String> {
    Signal::from_str(&format!("SIG{}", name.trim_start_matches("SIG"))).map_err(|_| format!("no signal `{name}`"))
}

fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}");
    let _ = stdout.flush();
}

/// `sleep SECONDS`, or for ever.
pub fn sleep(args: &[String]) -> Code {
    let seconds = word(args, 0)?;
    let seconds: f64 = if seconds == "infinity" { 1e9 } else { seconds.parse().map_err(|_| "not a number")? };
    std::thread::sleep(Duration::from_secs_f64(seconds));
    Ok(0)
}

/// Wait for TERM or INT (as process 1 too, where no signal has a default action), then end with the code given, or 0.
pub fn pause(args: &[String]) -> Code {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).map_err(|error| error.to_string())?;
    say("ready");
    set.wait().map_err(|error| error.to_string())?;
    Ok(args.first().and_then(|code| code.parse().ok()).unwrap_or(0))
}

/// `trap SIGNAL…`: say each that comes by name, for ever; end with 0 after `USR2`.
pub fn trap(args: &[String]) -> Code {
    let mut set = SigSet::empty();
    set.add(Signal::SIGUSR2);
    for name in args {
        set.add(signal(name)?);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).map_err(|error| error.to_string())?;
    say("ready");
    loop {
        let got = set.wait().map_err(|error| error.to_string())?;
        say(got.as_str());
        if got == Signal::SIGUSR2 {
            return Ok(0);
        }
    }
}

/// `kill SIGNAL [PID]`: oneself without a pid.
pub fn kill(args: &[String]) -> Code {
    let pid = match args.get(1) {
        Some(_) => Pid::from_raw(number(args, 1)? as i32),
        None => Pid::this(),
    };
    send(pid, signal(word(args, 0)?)?).map_err(|error| error.to_string())?;
    Ok(0)
}

/// `count N MILLISECONDS`: `line 1` to `line N` with a pause after each.
pub fn count(args: &[String]) -> Code {
    let pause = number(args, 1).unwrap_or(0);
    for line in 1..=number(args, 0)? {
        say(&format!("line {line}"));
        if pause > 0 {
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    Ok(0)
}

/// `spam BYTES`: lines of 63 letters and a line feed, cut at the number of bytes.
pub fn spam(args: &[String]) -> Code {
    let mut left = number(args, 0)? as usize;
    let line: Vec<u8> = (0..63).map(|n| b'a' + n % 26).chain([b'\n']).collect();
    let chunk = line.repeat(1024);
    let mut stdout = std::io::stdout().lock();
    while left > 0 {
        let length = left.min(chunk.len());
        stdout.write_all(&chunk[..length]).map_err(|error| error.to_string())?;
        left -= length;
    }
    Ok(0)
}

/// Wait until a file is there.
pub fn await_file(args: &[String]) -> Code {
    let path = Path::new(word(args, 0)?);
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(0)
}

/// `zombies N`: N children whose own children end after them; then say how many dead are left over.
pub fn zombies(args: &[String]) -> Code {
    for _ in 0..number(args, 0)? {
        // The child ends at once; its child, adopted by process 1, ends later.
        myself(&["orphan", "0.02"]).status().map_err(|error| error.to_string())?;
    }
    let dead = || {
        let Ok(entries) = std::fs::read_dir("/proc") else { return usize::MAX };
        entries.flatten().filter(|entry| is_dead(&entry.path())).count()
    };
    let mut rounds = 0;
    std::thread::sleep(Duration::from_millis(100));
    while dead() > 0 && rounds < 100 {
        std::thread::sleep(Duration::from_millis(10));
        rounds += 1;
    }
    say(&format!("{} zombies", dead()));
    Ok(0)
}

fn is_dead(folder: &Path) -> bool {
    let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// `orphan SECONDS`: leave a child that sleeps, holding our streams, and end.
pub fn orphan(args: &[String]) -> Code {
    myself(&["sleep", word(args, 0)?]).stdin(Stdio::null()).spawn().map_err(|error| error.to_string())?;
    Ok(0)
}

fn myself(args: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("payload").args(args);
    command
}
