//! How the journal is kept, as containers.conf says; who knows the file tells us.

use std::path::PathBuf;
use std::sync::OnceLock;

/// What the configuration says of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether any are kept: `events_logger` is not `none`.
    pub kept: bool,
    /// The journal, if it is not the store's own: `events_logfile_path`.
    pub path: Option<PathBuf>,
    /// Bytes after which the journal begins anew, 0 for never: `events_logfile_max_size`.
    pub max_size: u64,
    /// Whether each health check is one: `healthcheck_events`.
    pub health: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kept: true, path: None, max_size: 4 << 20, health: true }
    }
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();
static LOADER: OnceLock<fn() -> Settings> = OnceLock::new();

/// Where the settings come from. They are asked for with the first event, as most commands have none.
pub fn load_with(loader: fn() -> Settings) {
    let _ = LOADER.set(loader);
}

/// What is known already, so that nothing is read twice.
pub fn configure(settings: Settings) {
    let _ = SETTINGS.set(settings);
}

/// The settings of this process.
pub fn settings() -> &'static Settings {
    SETTINGS.get_or_init(|| LOADER.get().map_or_else(Settings::default, |load| load()))
}
