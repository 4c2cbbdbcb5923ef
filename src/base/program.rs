//! The few programs that box calls: where they lie, and how to get one that is missing.

use super::env;
use std::ffi::OsString;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Folders that an ordinary user's `PATH` may lack.
const SYSTEM: [&str; 6] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/libexec/podman"];

/// The caller's `PATH`, only its absolute folders, and those of system programs.
pub fn folders() -> Vec<PathBuf> {
    let path = env::path().unwrap_or_default();
    let own = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    own.chain(SYSTEM.map(PathBuf::from)).collect()
}

/// [`folders`] as a `PATH`, for a child that looks for itself.
pub fn search_path() -> OsString {
    std::env::join_paths(folders()).unwrap_or_else(|_| "/usr/bin:/bin".into())
}

/// Find a program that we may execute.
pub fn find(name: &str) -> Option<PathBuf> {
    let executable = |file: &PathBuf| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file();
    folders().into_iter().map(|folder| folder.join(name)).find(executable)
}

/// What to type for a package, by the machine's package manager; `dnf` and so on where its name there is another.
pub fn how_to_install(package: &str, elsewhere: &[(&str, &str)]) -> String {
    let managers = [
        ("apt-get", "/usr/bin/apt-get", "install"),
        ("dnf", "/usr/bin/dnf", "install"),
        ("pacman", "/usr/bin/pacman", "-S"),
        ("zypper", "/usr/bin/zypper", "install"),
        ("apk", "/sbin/apk", "add"),
    ];
    match managers.iter().find(|(_, program, _)| Path::new(program).exists()) {
        Some((manager, _, verb)) => {
            let name = elsewhere.iter().find(|(other, _)| other == manager).map_or(package, |(_, name)| name);
            format!("sudo {manager} {verb} {name}")
        }
        None => format!("install the package {package}"),
    }
}

/// Bytes as a child's stdin: a file that lies nowhere (memfd_create(2)). A pipe would be closed on us by a child that does
/// not read it, which ends box (SIGPIPE), and holds us up when it is full.
pub fn input(bytes: &[u8]) -> std::io::Result<Stdio> {
    let file = rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_named() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
        assert!(
            how_to_install("uidmap", &[("dnf", "shadow-utils")]).contains("install") || Path::new("/sbin/apk").exists()
        );
    }
}
