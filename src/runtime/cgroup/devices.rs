//! `linux.resources.devices` as a filter of the cgroup: which devices may be made, read and written.
//!
//! cgroup v2 has no files for it but a program (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15) that is asked at each open
//! and mknod. Only real root may attach one; an ordinary user's container has nothing but the device nodes that were
//! bound into it, and cannot make others. See <https://docs.kernel.org/bpf/prog_cgroup_sysctl.html> for its siblings.

use super::Cgroup;
use crate::base::error::{Fault, Kind, fault};
use crate::sys::bpf::{self, Instruction};
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use std::os::fd::AsFd;

/// `BPF_DEVCG_ACC_MKNOD`, `…READ`, `…WRITE`.
const ACCESS: [(char, i32); 3] = [('m', 1), ('r', 2), ('w', 4)];
const ALL_ACCESS: i32 = 7;
/// `BPF_DEVCG_DEV_BLOCK` and `…CHAR`.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

/// What every container may use besides (runtime-spec, "Default Devices"): null, zero, full, random, urandom, tty,
/// console, ptmx and the terminals. Nodes of any device may be made: what they may be used for is another rule.
const ALWAYS: [Rule; 11] = [
    Rule { allow: true, kind: Some(CHAR), major: None, minor: None, access: 1 },
    Rule { allow: true, kind: Some(BLOCK), major: None, minor: None, access: 1 },
    Rule::char(1, Some(3)),
    Rule::char(1, Some(5)),
    Rule::char(1, Some(7)),
    Rule::char(1, Some(8)),
    Rule::char(1, Some(9)),
    Rule::char(5, Some(0)),
    Rule::char(5, Some(1)),
    Rule::char(5, Some(2)),
    Rule::char(136, None),
];

/// A rule, with nothing for "any".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

impl Rule {
    const fn char(major: i32, minor: Option<i32>) -> Self {
        Self { allow: true, kind: Some(CHAR), major: Some(major), minor, access: ALL_ACCESS }
    }

    fn of(device: &LinuxDeviceCgroup) -> Result<Self> {
        let wrong = |what: &str| fault(Kind::Usage, format!("`linux.resources.devices`: {what}"));
        let kind = match device.typ() {
            None | Some(LinuxDeviceType::A) => None,
            Some(LinuxDeviceType::B) => Some(BLOCK),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(CHAR),
            Some(LinuxDeviceType::P) => return Err(wrong("a pipe is no device")),
        };
        // -1 is what runc writes for "any".
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => i32::try_from(value).map(Some).map_err(|_| wrong("a number is too large")),
        };
        let words = device.access().as_deref().unwrap_or("rwm");
        let access = words.chars().try_fold(0, |access, letter| {
            let known = ACCESS.iter().find(|(name, _)| *name == letter);
            known.map(|(_, bit)| access | bit).ok_or_else(|| wrong("access is not made of r, w and m"))
        })?;
        Ok(Self { allow: device.allow(), kind, major: number(device.major())?, minor: number(device.minor())?, access })
    }
}

/// The program: from the last rule to the first, each takes those accesses that it decides off what was asked for.
///
/// On entry r1 points to `struct bpf_cgroup_dev_ctx`. r2 is the type, r3 the access that is still undecided, r4 and r5
/// the numbers.
fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let word = |to: u8, at: i16| instruction(0x61, to, 1, at, 0);
    let mut program = vec![
        word(2, 0),
        instruction(0xbc, 3, 2, 0, 0),
        instruction(0x54, 2, 0, 0, 0xffff),
        instruction(0x74, 3, 0, 0, 16),
        word(4, 4),
        word(5, 8),
    ];
    for rule in rules.iter().rev() {
        let mut body = Vec::new();
        if rule.allow {
            // Allowed: off the list; if nothing is left, all was allowed.
            body.push(instruction(0x54, 3, 0, 0, !rule.access));
            body.push(instruction(0x56, 3, 0, 2, 0));
        } else {
            // Refused if any of it was asked for.
            body.push(instruction(0xbc, 1, 3, 0, 0));
            body.push(instruction(0x54, 1, 0, 0, rule.access));
            body.push(instruction(0x16, 1, 0, 2, 0));
        }
        body.push(instruction(0xb4, 0, 0, 0, i32::from(rule.allow)));
        body.push(instruction(0x95, 0, 0, 0, 0));
        let checks: Vec<(u8, i32)> = [(2, rule.kind), (4, rule.major), (5, rule.minor)]
            .into_iter()
            .filter_map(|(register, wanted)| Some((register, wanted?)))
            .collect();
        for (index, (register, wanted)) in checks.iter().enumerate() {
            let rest = checks.len() - index - 1 + body.len();
            program.push(instruction(0x56, *register, 0, rest as i16, *wanted));
        }
        program.extend(body);
    }
    program.push(instruction(0xb4, 0, 0, 0, 0));
    program.push(instruction(0x95, 0, 0, 0, 0));
    program
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate }
}

impl Cgroup {
    /// Let only these devices be used, and those that every container has; replaces earlier rules.
    ///
    /// An ordinary user's container is left as it is: no node of another device can be made in it.
    pub(super) fn allow_devices(&self, devices: &[LinuxDeviceCgroup]) -> Result<()> {
        let mut rules = devices.iter().map(Rule::of).collect::<Result<Vec<_>>>()?;
        if rules.is_empty() || !is_real_root() {
            return Ok(());
        }
        rules.extend(ALWAYS);
        let deed = || Fault::new(Kind::Host, "cannot limit the use of devices");
        let folder = self.open()?;
        let before = bpf::attached(folder.as_fd()).map_err(|error| deed().because(error))?;
        let program = bpf::load(&compile(&rules)).map_err(|error| deed().because(error))?;
        bpf::attach(folder.as_fd(), &program).map_err(|error| deed().because(error))?;
        // Only now, so that there is no moment without any.
        for old in before {
            bpf::detach(folder.as_fd(), &old).context(deed())?;
        }
        Ok(())
    }
}

/// Root of the host: in a user namespace nobody may attach a program.
fn is_real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    rustix::process::geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: an interpreter of the few operations that are used.
    fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0i32; 11];
        let mut at = 0;
        loop {
            let Instruction { code, registers: names, offset, immediate } = program[at];
            let (to, from) = (usize::from(names & 15), usize::from(names >> 4));
            let mut jump = false;
            match code {
                0x61 => registers[to] = context[offset as usize / 4],
                0xbc => registers[to] = registers[from],
                0x54 => registers[to] &= immediate,
                0x74 => registers[to] = (registers[to] as u32 >> immediate) as i32,
                0xb4 => registers[to] = immediate,
                0x16 => jump = registers[to] == immediate,
                0x56 => jump = registers[to] != immediate,
                0x95 => return registers[0] == 1,
                other => panic!("operation {other:#x}"),
            }
            at = at + 1 + if jump { offset as usize } else { 0 };
        }
    }

    fn rules(json: &str) -> Vec<Rule> {
        let list: Vec<LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
        list.iter().map(|device| Rule::of(device).unwrap()).collect()
    }

    #[test]
    fn the_last_rule_that_speaks_of_an_access_decides() {
        let program = compile(&rules(
            r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"},
                {"allow":true,"type":"b","major":8,"access":"r"},{"allow":true,"type":"b","major":8,"access":"w"},
                {"allow":false,"type":"b","major":8,"minor":1,"access":"w"}]"#,
        ));
        let (m, r, w) = (1, 2, 4);
        for (kind, access, major, minor, allowed) in [
            (CHAR, r | w, 1, 3, true),
            (CHAR, m, 1, 3, false),
            (CHAR, r, 1, 4, false),
            (BLOCK, r, 1, 3, false),
            // Two rules together.
            (BLOCK, r | w, 8, 0, true),
            (BLOCK, r, 8, 1, true),
            (BLOCK, w, 8, 1, false),
            (BLOCK, r | w, 8, 1, false),
            (BLOCK, r, 9, 1, false),
        ] {
            assert_eq!(run(&program, kind, access, major, minor), allowed, "{kind} {access} {major}:{minor}");
        }
    }

    #[test]
    fn the_usual_devices_are_always_there() {
        let mut list = rules(r#"[{"allow":false}]"#);
        list.extend(ALWAYS);
        let program = compile(&list);
        assert!(run(&program, CHAR, 6, 1, 3) && run(&program, CHAR, 6, 136, 7) && run(&program, BLOCK, 1, 8, 0));
        assert!(!run(&program, BLOCK, 2, 8, 0) && !run(&program, CHAR, 2, 1, 1));
    }

    #[test]
    fn nonsense_is_refused() {
        for json in
            [r#"{"allow":true,"access":"x"}"#, r#"{"allow":true,"type":"p"}"#, r#"{"allow":true,"major":99999999999}"#]
        {
            assert!(Rule::of(&serde_json::from_str(json).unwrap()).is_err(), "{json}");
        }
    }
}
