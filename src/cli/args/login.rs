//! Commands on credentials: `login` and `logout`.

use super::{EXIT_STATUS, GoBool, switches};
use clap::{Args, ValueHint};
use std::path::PathBuf;

const LOGIN_EXAMPLES: &str = "\
Examples:
  box login quay.io                                  asks for name and password
  box login -u ann --password-stdin quay.io < FILE
  box login --get-login quay.io                      who am I there?
  box login quay.io/team                             for the repositories of one namespace";

/// Keep name and password for a registry
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = LOGIN_EXAMPLES,
    after_long_help = format!("{LOGIN_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Asks a registry whether it takes the name and password, and keeps them for later: in $REGISTRY_AUTH_FILE, \
                  in $XDG_RUNTIME_DIR/containers/auth.json (until the next boot), or, where there is no such folder, in \
                  ~/.config/containers/auth.json. Where the file names a credential helper (credHelpers, credsStore), \
                  that keeps the password."
)]
pub struct Login {
    /// The auth file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub authfile: Option<PathBuf>,
    /// A file of docker's, such as ~/.docker/config.json, in place of the auth file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "authfile")]
    pub compat_auth_file: Option<PathBuf>,
    /// Use the certificates (*.crt, *.cert, *.key) in this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cert_dir: Option<PathBuf>,
    /// Only print the name that is kept
    #[arg(long)]
    pub get_login: bool,
    /// The password; others see it in the list of processes, so better --password-stdin
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    pub password: Option<String>,
    /// Take the password from this secret (`box secret`); without --username the user is called as it is
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["password", "password_stdin"])]
    pub secret: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Whether the registry must have a certificate that can be verified [default: as registries.conf says]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true)]
    pub tls_verify: Option<bool>,
    /// The user's name
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// Say where the password is kept
    #[arg(short, long)]
    pub verbose: bool,
    /// HOST[:PORT][/NAMESPACE...] [default: the first registry of registries.conf for short names, else docker.io]
    #[arg(value_name = "REGISTRY")]
    pub registry: Option<String>,
}

const LOGOUT_EXAMPLES: &str = "\
Examples:
  box logout quay.io
  box logout --all";

/// Forget name and password for a registry
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = LOGOUT_EXAMPLES,
    after_long_help = format!("{LOGOUT_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Takes what `box login` has kept away again."
)]
pub struct Logout {
    /// All registries of the file
    #[arg(short, long, conflicts_with = "registry")]
    pub all: bool,
    /// The auth file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub authfile: Option<PathBuf>,
    /// A file of docker's, such as ~/.docker/config.json, in place of the auth file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "authfile")]
    pub compat_auth_file: Option<PathBuf>,
    /// HOST[:PORT][/NAMESPACE...] [default: as with login]
    #[arg(value_name = "REGISTRY")]
    pub registry: Option<String>,
}
