//! What a cgroup has used, from the kernel's files.

use super::{Cgroup, state};

/// One look at a cgroup's counters. `None`: its controller is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Processor time since it was made, microseconds. Always counted.
    pub cpu_usec: u64,
    /// Of that, in the kernel.
    pub cpu_system_usec: u64,
    /// Bytes of memory, files that it has in the cache included.
    pub memory: Option<u64>,
    /// `memory.max`; `None` for no limit.
    pub memory_limit: Option<u64>,
    /// Bytes read from and written to block devices.
    pub block: Option<(u64, u64)>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl Cgroup {
    /// Read the counters now.
    pub fn stats(&self) -> Stats {
        let cpu = self.text("cpu.stat");
        Stats {
            cpu_usec: state::keyed(&cpu, "usage_usec").unwrap_or(0),
            cpu_system_usec: state::keyed(&cpu, "system_usec").unwrap_or(0),
            memory: self.number("memory.current"),
            memory_limit: self.number("memory.max"),
            block: self.folder.join("io.stat").exists().then(|| block(&self.text("io.stat"))),
            pids: self.number("pids.current"),
        }
    }
}

/// The sums of `rbytes` and `wbytes` over all devices.
fn block(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let values = text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
        values.fold(0, u64::saturating_add)
    };
    (sum("rbytes="), sum("wbytes="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_summed() {
        let text = "8:0 rbytes=10 wbytes=3 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=4 rios=2 wios=1\n";
        assert_eq!(block(text), (15, 7));
        assert_eq!(block(""), (0, 0));
    }
}
