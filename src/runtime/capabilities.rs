//! Capabilities: names and numbers, the default set, and the five sets of a process (capabilities(7)).

use crate::base::error::{Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

/// What a container's root has by default: podman's eleven.
pub const DEFAULT: [Capability; 11] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// All capabilities, by number (linux/capability.h).
pub const ALL: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// All that can be given here: real root has what is in its own bounding set, which a container around us may have
/// cut; in the user's namespace there is no limit.
pub fn possible() -> impl Iterator<Item = Capability> {
    let limited = rustix::process::geteuid().is_root();
    ALL.into_iter().filter(move |capability| {
        let set = rustix::thread::CapabilitySet::from_bits_retain(1 << number(*capability));
        !limited || rustix::thread::capability_is_in_bounding_set(set).unwrap_or(false)
    })
}

/// Its number.
pub fn number(capability: Capability) -> u32 {
    ALL.iter().position(|known| *known == capability).unwrap_or(63) as u32
}

/// Parse `NET_ADMIN`, `CAP_NET_ADMIN` or either in small letters.
pub fn parse(name: &str) -> Result<Capability> {
    let upper = name.to_ascii_uppercase();
    upper
        .strip_prefix("CAP_")
        .unwrap_or(&upper)
        .parse()
        .map_err(|_| fault(Kind::Usage, format!("there is no capability `{}`", name.escape_debug())))
}

/// The bits of the five sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    /// What a program can ever gain.
    pub bounding: u64,
    /// What counts now.
    pub effective: u64,
    /// What can become effective.
    pub permitted: u64,
    /// What file capabilities may pass on.
    pub inheritable: u64,
    /// What survives the exec of an ordinary program by an ordinary user.
    pub ambient: u64,
}

/// Capabilities as bits.
pub fn bits<'a>(set: impl IntoIterator<Item = &'a Capability>) -> u64 {
    set.into_iter().fold(0, |bits, capability| bits | 1 << number(*capability))
}

impl Sets {
    /// The sets of a specification; without any, none at all.
    pub fn of(spec: Option<&LinuxCapabilities>) -> Self {
        let of = |set: Option<&Capabilities>| set.map_or(0, bits);
        spec.map_or_else(Self::default, |spec| {
            let permitted = of(spec.permitted().as_ref());
            let inheritable = of(spec.inheritable().as_ref());
            Self {
                bounding: of(spec.bounding().as_ref()),
                effective: of(spec.effective().as_ref()) & permitted,
                permitted,
                inheritable,
                ambient: of(spec.ambient().as_ref()) & permitted & inheritable,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        for (capability, expected) in
            [(Capability::Chown, 0), (Capability::SysAdmin, 21), (Capability::CheckpointRestore, 40)]
        {
            assert_eq!(number(capability), expected);
        }
        // As podman shows it in CapEff.
        assert_eq!(bits(&DEFAULT), 0x8004_05fb);
    }

    #[test]
    fn names() {
        for name in ["NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN"] {
            assert_eq!(parse(name).unwrap(), Capability::NetAdmin);
        }
        for name in ["", "CAP_", "ALL", "NET ADMIN", "CAP_CAP_CHOWN"] {
            assert!(parse(name).is_err(), "{name}");
        }
        for capability in ALL {
            assert_eq!(parse(&capability.to_string()).unwrap(), capability);
        }
    }
}
