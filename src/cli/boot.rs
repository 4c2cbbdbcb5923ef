//! `system boot`: containers with a restart policy start again after a reboot, by a unit of systemd's user manager, or a
//! line of cron where there is no systemd.

use super::args::Globals;
use super::args::host::BootVerb;
use super::output::print_line;
use super::{errors, session};
use crate::base::error::{Fault, Kind, fault};
use crate::base::{env, program};
use crate::container;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const UNIT: &str = "box-boot.service";
/// What marks our line of cron.
const MARK: &str = "# box system boot";

/// `box system boot enable`, `disable` and `status`.
pub fn boot(verb: &BootVerb, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let is_root = engine.caller().0 == 0;
    let command = command(globals)?;
    let systemd = Path::new("/run/systemd/system").exists();
    match verb {
        BootVerb::Enable if systemd => enable_unit(&folder(is_root)?, &command, is_root)?,
        BootVerb::Enable => set_line(Some(&format!("@reboot {command} {MARK}")))?,
        BootVerb::Disable => {
            disable_unit(&folder(is_root)?, is_root)?;
            if program::find("crontab").is_some() {
                set_line(None)?;
            }
        }
        BootVerb::Status => {}
    }
    let by_unit = folder(is_root)?.join(UNIT).exists();
    let by_cron = crontab().lines().any(|line| line.ends_with(MARK));
    let how = match (by_unit, by_cron) {
        (true, _) => format!("enabled, by {}", folder(is_root)?.join(UNIT).display()),
        (false, true) => "enabled, by a line of cron (crontab -l)".to_owned(),
        (false, false) => "disabled".to_owned(),
    };
    print_line(&how)?;
    let waiting = container::all(&engine).iter().filter(|container| container.starts_on_boot()).count();
    print_line(&format!("{waiting} containers start after a reboot (--restart always or unless-stopped)"))?;
    if by_unit && !is_root && !lingers() {
        let text =
            "lingering is off: your containers end with your last logout, and start with your next login, not at boot";
        errors::warn(&Fault::new(Kind::Host, text).hint("loginctl enable-linger"));
    }
    Ok(0)
}

/// What is run at boot.
fn command(globals: &Globals) -> Result<String> {
    let program = std::env::current_exe().context("cannot tell where box is")?;
    let root = globals.root.as_ref().map(std::path::absolute).transpose()?;
    let root = root.map(|root| format!(" --root {}", root.display())).unwrap_or_default();
    let words = format!("{}{root} start --all --filter should-start-on-boot=true", program.display());
    match words.contains(['\n', '%', '"', '\'', '\\']) {
        true => Err(fault(Kind::Usage, format!("`{words}` holds characters that a unit would read otherwise"))),
        false => Ok(words),
    }
}

/// Where units lie.
fn folder(is_root: bool) -> Result<PathBuf> {
    if is_root {
        return Ok("/etc/systemd/system".into());
    }
    let home = || env::by_name("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = env::xdg_config_home().or_else(home).context("neither XDG_CONFIG_HOME nor HOME is set")?;
    Ok(config.join("systemd/user"))
}

fn wanted_by(is_root: bool) -> &'static str {
    if is_root { "multi-user.target" } else { "default.target" }
}

/// Written and linked by hand, so that it works where no manager of the user's runs just now.
fn enable_unit(folder: &Path, command: &str, is_root: bool) -> Result<()> {
    let target = wanted_by(is_root);
    let unit = format!(
        "# Written by `box system boot enable`; `box system boot disable` takes it away.\n[Unit]\nDescription=Containers \
         of box with a restart policy\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n# The containers are monitors of \
         their own, which systemd ends with the session.\nKillMode=mixed\nExecStart={command}\n\n[Install]\nWantedBy={target}\n"
    );
    let wants = folder.join(format!("{target}.wants"));
    std::fs::create_dir_all(&wants).with_context(|| format!("cannot make `{}`", wants.display()))?;
    let path = folder.join(UNIT);
    crate::base::fs::replace(&path, unit.as_bytes(), crate::base::fs::Durability::Synced)?;
    let link = wants.join(UNIT);
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(Path::new("..").join(UNIT), &link)
        .with_context(|| format!("cannot make `{}`", link.display()))?;
    reload(is_root);
    Ok(())
}

fn disable_unit(folder: &Path, is_root: bool) -> Result<()> {
    for path in [folder.join(format!("{}.wants", wanted_by(is_root))).join(UNIT), folder.join(UNIT)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove `{}`", path.display()));
            }
            _ => {}
        }
    }
    reload(is_root);
    Ok(())
}

/// Tell the manager, if it listens; it reads the folder at its next start in any case.
fn reload(is_root: bool) {
    if let Some(systemctl) = program::find("systemctl") {
        let scope: &[&str] = if is_root { &[] } else { &["--user"] };
        let _ = Command::new(systemctl).args(scope).arg("daemon-reload").stdin(Stdio::null()).output();
    }
}

fn lingers() -> bool {
    let user = env::by_name("USER").or_else(|| env::by_name("LOGNAME")).unwrap_or_default();
    !user.is_empty() && Path::new("/var/lib/systemd/linger").join(user).exists()
}

fn crontab() -> String {
    let Some(program) = program::find("crontab") else { return String::new() };
    let output = Command::new(program).arg("-l").stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Put our line into the user's table, or take it away.
fn set_line(line: Option<&str>) -> Result<()> {
    let Some(program) = program::find("crontab") else {
        let text = "there is neither systemd nor cron on this host";
        let hint = line.map_or_else(String::new, |line| line.trim_start_matches("@reboot ").to_owned());
        return Err(Fault::new(Kind::Host, text).hint(format!("run this at boot: {hint}")).into());
    };
    let before = crontab();
    let mut lines: Vec<&str> = before.lines().filter(|known| !known.ends_with(MARK)).collect();
    if line.is_none() && lines.len() == before.lines().count() {
        return Ok(());
    }
    lines.extend(line);
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let input = program::input(text.as_bytes()).context("cannot write the table of cron")?;
    match Command::new(program).arg("-").stdin(input).status().context("cannot run crontab(1)")?.success() {
        true => Ok(()),
        false => Err(fault(Kind::Host, "crontab(1) refuses the line")),
    }
}
