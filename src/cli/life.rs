//! From the words of `--restart`, `--health-…` and the like to the request's part for them. Touches nothing.

use super::args::life::{HealthOptions, LifeOptions};
use crate::base::error::{Fault, Kind};
use crate::container::life::{HealthWords, LifeRequest, LogOptions, RestartPolicy};
use crate::container::sdnotify::Sdnotify;
use anyhow::Result;

/// How the container is to live. Errors: [`Kind::Usage`].
pub fn life(options: LifeOptions) -> Result<LifeRequest> {
    if let Some(pod) = &options.pod {
        let text = format!("`--pod {}`: this release has no pods", pod.escape_debug());
        return Err(Fault::new(Kind::Usage, text).hint("leave out --pod").into());
    }
    Ok(LifeRequest {
        restart: options.restart.as_deref().map_or(Ok(RestartPolicy::No), RestartPolicy::parse)?,
        health: health(options.health),
        timeout: options.timeout.filter(|seconds| *seconds > 0),
        log: LogOptions::parse(&options.log_opt)?,
        pidfile: options.pidfile,
        monitor_pidfile: options.conmon_pidfile,
        replace: options.replace,
        label_files: options.label_file,
        requires: options.requires,
        sdnotify: options.sdnotify.as_deref().map_or(Sdnotify::default(), Sdnotify::of_word),
    })
}

/// The words of `--health-…`.
pub fn health(options: HealthOptions) -> HealthWords {
    HealthWords {
        cmd: options.health_cmd,
        interval: options.health_interval,
        timeout: options.health_timeout,
        start_period: options.health_start_period,
        start_interval: options.health_start_interval,
        retries: options.health_retries,
        on_failure: options.health_on_failure,
        log_count: options.health_max_log_count,
        log_size: options.health_max_log_size,
        log_destination: options.health_log_destination,
        none: options.no_healthcheck,
        startup_cmd: options.startup.health_startup_cmd,
        startup_interval: options.startup.health_startup_interval,
        startup_timeout: options.startup.health_startup_timeout,
        startup_retries: options.startup.health_startup_retries,
        startup_success: options.startup.health_startup_success,
    }
}
