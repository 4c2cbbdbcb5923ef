//! System call filters: a profile compiled to classic BPF by ourselves (seccomp(2), bpf(4)).
//!
//! libseccomp takes 18 ms for the default profile; this compiler, which searches by halves where libseccomp compares
//! one by one, about a hundredth of that. Arguments that the kernel takes as 32-bit numbers are compared as such:
//! with all 64 bits compared, `socket(0x1_0000_0028, …)` got past a rule against family 0x28.

mod assemble;
mod profile;
mod syscalls;

use super::capabilities::bits;
use crate::base::error::{Kind, fault};
use crate::sys::seccomp::Instruction;
use anyhow::Result;
use assemble::{Architecture, Condition, Rule, Rules, X32, assemble};
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};
use syscalls::Table;

/// `SECCOMP_RET_…` with its data.
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// `SECCOMP_FILTER_FLAG_…`.
const TSYNC: u64 = 1;
const NEW_LISTENER: u64 = 8;
const WAIT_KILLABLE_RECV: u64 = 32;

/// For profiles that are not for x32: ENOSYS, as on a kernel without it.
const NO_X32: X32 = X32::Refused(ERRNO | 38);

/// A compiled filter with the flags to load it with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loadable {
    /// `SECCOMP_FILTER_FLAG_…`.
    pub flags: u64,
    /// The program.
    pub program: Vec<Instruction>,
}

impl Loadable {
    /// Whether loading it makes a listener (`SCMP_ACT_NOTIFY`).
    pub fn has_listener(&self) -> bool {
        self.flags & NEW_LISTENER != 0
    }
}

/// Compile a profile of a specification. System calls that no architecture of it knows are skipped; this machine's
/// architecture is always among them, as libseccomp has it.
pub fn compile(profile: &LinuxSeccomp) -> Result<Loadable> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let listed = profile.architectures().as_deref().unwrap_or_default();
    let mut tables = vec![Table::native()];
    tables.extend(listed.iter().filter_map(|arch| table_of(*arch)).filter(|table| *table != Table::native()));
    let x32 = if listed.contains(&Arch::ScmpArchX32) { X32::Same } else { NO_X32 };
    let mut rules = Vec::new();
    let mut notifies = profile.default_action() == LinuxSeccompAction::ScmpActNotify;
    for syscall in profile.syscalls().iter().flatten() {
        notifies |= syscall.action() == LinuxSeccompAction::ScmpActNotify;
        let action = action(syscall.action(), syscall.errno_ret())?;
        let conditions: Vec<Condition> = syscall.args().iter().flatten().map(condition).collect::<Result<_>>()?;
        rules.extend(
            syscall.names().iter().map(|name| (name.as_str(), Rule { conditions: conditions.clone(), action })),
        );
    }
    let mut flags = profile.flags().iter().flatten().fold(0, |flags, flag| flags | flag_of(*flag));
    if notifies {
        // We have one thread that matters; the one that hands over the listener is not to be synchronised.
        flags = flags & !TSYNC | NEW_LISTENER;
    } else {
        // The kernel takes it with a listener only.
        flags &= !WAIT_KILLABLE_RECV;
    }
    Ok(Loadable { flags, program: compile_rules(default, &tables, x32, &rules)? })
}

/// Compile the default profile for a process whose bounding set has these capabilities.
pub fn compile_default(bounding: u64) -> Result<Loadable> {
    let mut rules = Vec::with_capacity(512);
    for (names, conditions, action) in profile::rules(bounding) {
        let conditions: Vec<Condition> = conditions.iter().map(profile_condition).collect();
        rules
            .extend(names.split_ascii_whitespace().map(|name| (name, Rule { conditions: conditions.clone(), action })));
    }
    let program = compile_rules(profile::DEFAULT_ACTION, Table::with_compatible(), NO_X32, &rules)?;
    Ok(Loadable { flags: 0, program })
}

/// Compile a filter that refuses the named calls (EPERM), and new user namespaces; all else is allowed. For processes of
/// box's own, not for containers.
pub fn compile_refusals(names: &str) -> Result<Loadable> {
    const NEW_USER: u64 = 0x1000_0000;
    let refused = ERRNO | 1;
    let masked = Condition {
        index: 0,
        operator: LinuxSeccompOperator::ScmpCmpMaskedEq,
        value: NEW_USER,
        second: NEW_USER,
        narrow: false,
    };
    let user_namespace = Rule { conditions: vec![masked], action: refused };
    let always = Rule { conditions: Vec::new(), action: refused };
    let mut rules: Vec<(&str, Rule)> = names.split_ascii_whitespace().map(|name| (name, always.clone())).collect();
    rules.extend(["clone", "unshare"].map(|name| (name, user_namespace.clone())));
    Ok(Loadable { flags: 0, program: compile_rules(ALLOW, Table::with_compatible(), NO_X32, &rules)? })
}

/// The default profile as a specification has it, for a process with these capabilities.
pub fn default_profile(caps: &[Capability]) -> Result<LinuxSeccomp> {
    specify(profile::rules(bits(caps)))
}

/// As [`default_profile`], with what a container engine within the container calls.
pub fn nested_profile(caps: &[Capability]) -> Result<LinuxSeccomp> {
    let mut rules = vec![(profile::NESTED, &[][..], ALLOW)];
    // Of several rules for a call the first without a condition counts: these.
    rules.extend(profile::rules(bits(caps)));
    specify(rules)
}

/// As [`default_profile`], for runtimes that compile it with libseccomp: there the order of rules means nothing, a call
/// with conditions can have no rule without, and several conditions of one rule on one argument are taken for several
/// rules. So what is not allowed gets the profile's default, and families of sockets are listed one by one.
pub fn portable_profile(caps: &[Capability]) -> Result<LinuxSeccomp> {
    let groups = profile::rules(bits(caps));
    let mut decided: Vec<&str> = Vec::new();
    for (names, conditions, _) in &groups {
        if !conditions.is_empty() {
            decided.extend(names.split_ascii_whitespace());
        }
    }
    let mut rules = Vec::new();
    for (names, conditions, action) in groups {
        match conditions {
            [] => {
                let free: Vec<&str> = names.split_ascii_whitespace().filter(|name| !decided.contains(name)).collect();
                decided.extend(&free);
                if !free.is_empty() && action != profile::DEFAULT_ACTION {
                    rules.push(rule(free, &[], action)?);
                }
            }
            [(first, LinuxSeccompOperator::ScmpCmpNe, ..), rest @ ..]
                if rest.iter().any(|(index, ..)| index == first) =>
            {
                let values = (0..profile::FAMILIES).filter(|value| conditions.iter().all(|one| one.2 != *value));
                for value in values {
                    rules.push(rule(vec![names], &[(*first, LinuxSeccompOperator::ScmpCmpEq, value, 0)], action)?);
                }
            }
            conditions if action == ALLOW => rules.push(rule(vec![names], conditions, action)?),
            _ => {}
        }
    }
    of_rules(rules)
}

fn specify(groups: Vec<profile::Group>) -> Result<LinuxSeccomp> {
    let rules = groups
        .into_iter()
        .map(|(names, conditions, action)| rule(names.split_ascii_whitespace().collect(), conditions, action));
    of_rules(rules.collect::<Result<_>>()?)
}

fn rule(names: Vec<&str>, conditions: &[profile::Condition], action: u32) -> Result<LinuxSyscall> {
    let args: Vec<LinuxSeccompArg> = conditions.iter().map(profile_arg).collect::<Result<_>>()?;
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let (kind, errno) = if action == ALLOW {
        (LinuxSeccompAction::ScmpActAllow, None)
    } else {
        (LinuxSeccompAction::ScmpActErrno, Some(action & 0xffff))
    };
    let mut syscall = LinuxSyscallBuilder::default().names(names).action(kind).args(args).build()?;
    syscall.set_errno_ret(errno);
    Ok(syscall)
}

fn of_rules(rules: Vec<LinuxSyscall>) -> Result<LinuxSeccomp> {
    Ok(LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(profile::DEFAULT_ACTION & 0xffff)
        .architectures(Table::with_compatible().iter().map(|table| table.arch()).collect::<Vec<_>>())
        .syscalls(rules)
        .build()?)
}

/// Rules by name to a program for all architectures.
fn compile_rules(default: u32, tables: &[Table], x32: X32, rules: &[(&str, Rule)]) -> Result<Vec<Instruction>> {
    let architectures: Vec<Architecture> = tables
        .iter()
        .map(|table| {
            let mut numbered = Rules::new();
            let x32 = if table.has_x32() { x32 } else { X32::None };
            for (name, rule) in rules {
                let second = if x32 == X32::Same { Table::x32_number(name) } else { None };
                for number in table.number(name).into_iter().chain(second) {
                    numbered.add(number, rule.narrowed(syscalls::int_arguments(name)));
                }
            }
            Architecture { audit: table.audit(), x32, rules: numbered }
        })
        .collect();
    assemble(default, &architectures)
        .ok_or_else(|| fault(Kind::Usage, "the seccomp profile is too long for the kernel (4096 instructions)"))
}

/// The architectures whose calls have numbers here.
pub fn architectures() -> Vec<Arch> {
    Table::all().iter().map(|table| table.arch()).chain([Arch::ScmpArchX32]).collect()
}

fn table_of(arch: Arch) -> Option<Table> {
    Table::all().iter().copied().find(|table| table.arch() == arch)
}

fn action(kind: LinuxSeccompAction, errno: Option<u32>) -> Result<u32> {
    if errno.is_some_and(|errno| errno > 4095) {
        return Err(fault(Kind::Usage, "an `errnoRet` of the seccomp profile is larger than 4095"));
    }
    Ok(kind.as_u32(errno))
}

fn condition(arg: &LinuxSeccompArg) -> Result<Condition> {
    let index = u8::try_from(arg.index()).ok().filter(|index| *index < 6);
    let index = index.ok_or_else(|| fault(Kind::Usage, "a system call has no argument above 5"))?;
    Ok(Condition { index, operator: arg.op(), value: arg.value(), second: arg.value_two().unwrap_or(0), narrow: false })
}

fn profile_condition(condition: &profile::Condition) -> Condition {
    let (index, operator, value, second) = *condition;
    Condition { index, operator, value, second, narrow: false }
}

fn profile_arg(condition: &profile::Condition) -> Result<LinuxSeccompArg> {
    let (index, operator, value, second) = *condition;
    let builder = LinuxSeccompArgBuilder::default().index(usize::from(index)).op(operator).value(value);
    let masked = operator == LinuxSeccompOperator::ScmpCmpMaskedEq;
    Ok(if masked { builder.value_two(second) } else { builder }.build()?)
}

fn flag_of(flag: LinuxSeccompFilterFlag) -> u64 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => TSYNC,
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => 2,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => 4,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => WAIT_KILLABLE_RECV,
    }
}

/// As bytes, for the way to init; an empty program is no bytes.
pub fn to_bytes(filter: &Loadable) -> Vec<u8> {
    if filter.program.is_empty() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(8 + 8 * filter.program.len());
    bytes.extend_from_slice(&filter.flags.to_le_bytes());
    for instruction in &filter.program {
        bytes.extend_from_slice(&instruction.code.to_le_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_le_bytes());
    }
    bytes
}

/// The other way; `None` for no filter.
pub fn from_bytes(bytes: &[u8]) -> Option<Loadable> {
    let (flags, rest) = bytes.split_first_chunk::<8>()?;
    let program = rest
        .as_chunks::<8>()
        .0
        .iter()
        .map(|[a, b, jt, jf, k @ ..]| Instruction {
            code: u16::from_le_bytes([*a, *b]),
            jt: *jt,
            jf: *jf,
            k: u32::from_le_bytes(*k),
        })
        .collect();
    Some(Loadable { flags: u64::from_le_bytes(*flags), program })
}

#[cfg(test)]
mod tests;
