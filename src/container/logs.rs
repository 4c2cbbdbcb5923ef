//! `logs`: what a container has printed.

use super::record::{Container, Status};
use super::request::LogDriver;
use crate::base::error::{Kind, fault};
use crate::monitor::LogConfig;
use crate::monitor::logs::{Driver, LogQuery, Stream, read};
use anyhow::Result;

/// The most bytes of a log file, and the most files, unless `--log-opt` says otherwise.
pub const DEFAULT_SIZE: (u64, u32) = (10 << 20, 3);

/// Where and how the monitor keeps the log.
pub fn config(container: &Container) -> LogConfig {
    let driver = match container.config.log_driver {
        LogDriver::K8sFile => Driver::K8sFile,
        LogDriver::JsonFile => Driver::JsonFile,
        LogDriver::None => Driver::None,
    };
    let options = &container.config.life.log;
    LogConfig {
        driver,
        path: options.path.clone().unwrap_or_else(|| container.log()),
        max_size: options.max_size.unwrap_or(DEFAULT_SIZE.0),
        max_files: options.max_files.unwrap_or(DEFAULT_SIZE.1),
    }
}

/// Hand the log's records to `sink`, as asked; with `follow` until the container has ended.
pub fn logs(
    container: &Container,
    query: &LogQuery,
    sink: &mut dyn FnMut(Stream, &[u8]) -> std::io::Result<()>,
) -> Result<()> {
    if container.config.log_driver == LogDriver::None {
        let text = format!("container `{}` keeps no log: it was made with `--log-driver none`", container.config.name);
        return Err(fault(Kind::WrongState, text));
    }
    let alive = || matches!(container.status(), Status::Running(_) | Status::Starting | Status::Restarting(_));
    read(&config(container), query, &alive, sink)
}
