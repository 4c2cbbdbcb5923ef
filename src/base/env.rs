//! The one door to the environment of the process: every variable that box reads has a function here.

use std::ffi::OsString;
use std::path::PathBuf;

/// A variable's value, `None` if unset or empty.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    get(name).and_then(|value| value.into_string().ok())
}

/// Any variable by name, as `-e NAME` copies it. Not for box's own settings.
pub fn by_name(name: &str) -> Option<String> {
    text(name)
}

/// All variables whose name and value are UTF-8, as `-e PREFIX*` copies them.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn all() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// `BOX_DATA`: where images and containers are kept, in place of `$XDG_DATA_HOME/box`.
pub fn box_data() -> Option<PathBuf> {
    get("BOX_DATA").map(PathBuf::from)
}

/// `XDG_RUNTIME_DIR`.
pub fn xdg_runtime_dir() -> Option<PathBuf> {
    get("XDG_RUNTIME_DIR").map(PathBuf::from)
}

/// `XDG_CONFIG_HOME`.
pub fn xdg_config_home() -> Option<PathBuf> {
    get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// `REGISTRY_AUTH_FILE`: the credentials file, in place of the default ones.
pub fn registry_auth_file() -> Option<PathBuf> {
    get("REGISTRY_AUTH_FILE").map(PathBuf::from)
}

/// `DOCKER_CONFIG`: the folder of docker's config.json.
pub fn docker_config() -> Option<PathBuf> {
    get("DOCKER_CONFIG").map(PathBuf::from)
}

/// `CONTAINERS_REGISTRIES_CONF`: registries.conf, in place of the default ones.
pub fn containers_registries_conf() -> Option<PathBuf> {
    get("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from)
}

/// `CONTAINERS_CONF`: containers.conf, in place of all others.
pub fn containers_conf() -> Option<PathBuf> {
    get("CONTAINERS_CONF").map(PathBuf::from)
}

/// `CONTAINERS_CONF_OVERRIDE`: a containers.conf that is read last.
pub fn containers_conf_override() -> Option<PathBuf> {
    get("CONTAINERS_CONF_OVERRIDE").map(PathBuf::from)
}

/// `CONTAINERS_STORAGE_CONF`: storage.conf, in place of the user's and the host's.
pub fn containers_storage_conf() -> Option<PathBuf> {
    get("CONTAINERS_STORAGE_CONF").map(PathBuf::from)
}

/// `USER`: the caller's name, as the login has set it.
pub fn user() -> Option<String> {
    text("USER")
}

/// `HTTPS_PROXY` and its kin: the proxy that requests to registries go through, without the password in it.
pub fn proxy() -> Option<String> {
    let proxy = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].into_iter().find_map(text)?;
    match proxy.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@').map_or(rest, |(_, host)| host))) {
        Some((scheme, host)) => Some(format!("{scheme}://{host}")),
        None => Some(proxy.rsplit_once('@').map_or(proxy.as_str(), |(_, host)| host).to_owned()),
    }
}

/// `STORAGE_DRIVER`: overlay, fuse-overlayfs or copy.
pub fn storage_driver() -> Option<String> {
    text("STORAGE_DRIVER")
}

/// `PATH`, for finding helper programs.
pub fn path() -> Option<OsString> {
    get("PATH")
}

/// `TERM`, for the container's terminal.
pub fn term() -> Option<String> {
    text("TERM")
}

/// Whether `NO_COLOR` asks for plain output.
pub fn no_color() -> bool {
    get("NO_COLOR").is_some()
}

/// `PODMAN_USERNS` or `BOX_USERNS`: the default of `--userns`.
pub fn userns() -> Option<String> {
    text("BOX_USERNS").or_else(|| text("PODMAN_USERNS"))
}

/// `BUILDKIT_PROGRESS`: how builds are shown.
pub fn buildkit_progress() -> Option<String> {
    text("BUILDKIT_PROGRESS")
}

/// `COSIGN_PASSWORD`: the passphrase of an encrypted private key that images are signed with; empty for an empty one.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn cosign_password() -> Option<String> {
    std::env::var("COSIGN_PASSWORD").ok()
}

/// `COMPLETE`: the shell that asks for completions; only its scripts set it.
pub fn completing_shell() -> Option<String> {
    text("COMPLETE")
}

/// `SHELL`, for `box unshare` without a command.
pub fn shell() -> Option<OsString> {
    get("SHELL")
}

/// `NOTIFY_SOCKET`: where systemd hears how a service is (sd_notify(3)).
pub fn notify_socket() -> Option<OsString> {
    get("NOTIFY_SOCKET")
}

/// `LISTEN_FDS`: how many sockets were handed to us from descriptor 3 on (sd_listen_fds(3)).
pub fn listen_fds() -> u32 {
    text("LISTEN_FDS").and_then(|count| count.parse::<u16>().ok()).unwrap_or(0).into()
}
