//! `--time`: which clocks a container has (time_namespaces(7), Linux 5.6). Parsing is pure.
//!
//! podman and docker have no such option; the words are those of the other namespaces.

use super::namespaces::Namespace;
use crate::base::error::{Fault, Kind};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The clocks of a container: the host's, or its own, by so many seconds ahead or behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Whose clocks.
    pub namespace: Namespace,
    /// What is added to the monotonic clock, seconds.
    pub monotonic: i64,
    /// What is added to the clock since boot, seconds; `uptime` shows it.
    pub boottime: i64,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { namespace: Namespace::Host, monotonic: 0, boottime: 0 }
    }
}

/// Parse `host`, `private[:monotonic=S,boottime=S]`, `container:NAME` or `ns:PATH`; nothing means `host`.
pub fn parse(text: &str) -> Result<Clocks> {
    let wrong = || {
        Fault::new(Kind::Usage, format!("`--time` cannot be `{}`", text.escape_debug()))
            .hint("it is one of: host private[:monotonic=SECONDS,boottime=SECONDS] container:NAME ns:/PATH")
    };
    let mut clocks = Clocks::default();
    if let Some(fields) = text.strip_prefix("private:") {
        clocks.namespace = Namespace::Private;
        for field in fields.split(',') {
            let (name, seconds) = field.split_once('=').ok_or_else(wrong)?;
            let seconds = seconds.parse::<i32>().map_err(|_| wrong())?;
            match name {
                "monotonic" => clocks.monotonic = seconds.into(),
                "boottime" => clocks.boottime = seconds.into(),
                _ => return Err(wrong().into()),
            }
        }
    } else if !text.is_empty() {
        clocks.namespace = Namespace::parse("--time", text).map_err(|_| wrong())?;
    }
    Ok(clocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let shown = |text: &str| {
            parse(text).map(|clocks| format!("{} {} {}", clocks.namespace, clocks.monotonic, clocks.boottime)).ok()
        };
        for (text, expected) in [
            ("", "host 0 0"),
            ("host", "host 0 0"),
            ("private", "private 0 0"),
            ("private:boottime=3600,monotonic=-5", "private -5 3600"),
            ("container:c", "container:c 0 0"),
            ("ns:/x", "ns:/x 0 0"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["none", "private:", "private:boottime", "private:real=1", "private:boottime=x", "host:boottime=1"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
