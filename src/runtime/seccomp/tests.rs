//! The compiler against a reference model, by an interpreter of classic BPF; the default profile against what it says.

use super::assemble::Rules;
use super::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const EPERM: u32 = ERRNO | 1;
const ENOSYS: u32 = ERRNO | 38;

#[path = "interpret.rs"]
mod interpreter;

/// Run a program as the kernel does.
fn interpret(program: &[Instruction], number: u32, audit: u32, args: [u64; 6]) -> u32 {
    let program: Vec<_> = program.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect();
    interpreter::interpret(&program, number, audit, args)
}

/// What the rules of a number say.
fn model(rules: &[Rule], default: u32, args: [u64; 6]) -> u32 {
    let holds = |condition: &Condition| {
        let cut = |value: u64| if condition.narrow { value & 0xffff_ffff } else { value };
        let (arg, value) = (cut(args[usize::from(condition.index)]), cut(condition.value));
        match condition.operator {
            LinuxSeccompOperator::ScmpCmpEq => arg == value,
            LinuxSeccompOperator::ScmpCmpNe => arg != value,
            LinuxSeccompOperator::ScmpCmpLt => arg < value,
            LinuxSeccompOperator::ScmpCmpLe => arg <= value,
            LinuxSeccompOperator::ScmpCmpGt => arg > value,
            LinuxSeccompOperator::ScmpCmpGe => arg >= value,
            LinuxSeccompOperator::ScmpCmpMaskedEq => arg & value == cut(condition.second),
        }
    };
    rules
        .iter()
        .find(|rule| !rule.conditions.is_empty() && rule.conditions.iter().all(holds))
        .or_else(|| rules.iter().find(|rule| rule.conditions.is_empty()))
        .map_or(default, |rule| rule.action)
}

/// xorshift64: the same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Values that meet at their halves: small, with equal halves, random.
    fn value(&mut self) -> u64 {
        const SOME: [u64; 8] = [0, 1, 2, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 0x2_0000_0001, u64::MAX];
        if self.below(4) == 0 { self.next() } else { SOME[self.below(8) as usize] }
    }
}

#[test]
fn random_rules_do_what_the_model_says() {
    use LinuxSeccompOperator::*;
    const OPERATORS: [LinuxSeccompOperator; 7] =
        [ScmpCmpEq, ScmpCmpNe, ScmpCmpLt, ScmpCmpLe, ScmpCmpGt, ScmpCmpGe, ScmpCmpMaskedEq];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..200u64 {
        // Few and many: the latter need far jumps.
        let count = if round % 2 == 0 { 5 } else { 200 };
        let mut rules = Rules::new();
        for _ in 0..count {
            let conditions = (0..random.below(4))
                .map(|_| Condition {
                    index: random.below(6) as u8,
                    operator: OPERATORS[random.below(7) as usize],
                    value: random.value(),
                    second: random.value(),
                    narrow: random.below(2) == 0,
                })
                .collect();
            rules.add(random.below(300) as u32, Rule { conditions, action: ERRNO | random.below(50) as u32 });
        }
        let architecture = Architecture { audit: X86_64, x32: NO_X32, rules: rules.clone() };
        let Some(program) = assemble(ENOSYS, &[architecture]) else { continue };
        for _ in 0..3000 {
            let number = random.below(310) as u32;
            let args = std::array::from_fn(|_| random.value());
            assert_eq!(interpret(&program, number, X86_64, args), model(rules.get(number), ENOSYS, args));
        }
        assert_eq!(interpret(&program, 0x4000_0001, X86_64, [0; 6]), ENOSYS, "x32");
        assert_eq!(interpret(&program, 1, I386, [0; 6]), 0x8000_0000, "an architecture that is not listed");
    }
}

fn default_program() -> Vec<Instruction> {
    compile_default(bits(&crate::runtime::capabilities::DEFAULT)).unwrap().program
}

#[test]
fn the_default_profile() {
    let program = default_program();
    let verdict = |table: Table, name: &str, args: &[u64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        interpret(&program, table.number(name).unwrap(), table.audit(), all)
    };
    let native = Table::native();
    for name in ["read", "execve", "openat", "futex", "rseq", "chroot", "ptrace", "statx", "memfd_create", "vfork"] {
        let Some(number) = native.number(name) else { continue };
        assert_eq!(interpret(&program, number, native.audit(), [0; 6]), ALLOW, "{name}");
    }
    for name in [
        "mount",
        "unshare",
        "setns",
        "keyctl",
        "add_key",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "fsopen",
        "open_by_handle_at",
        "init_module",
        "reboot",
        "kexec_load",
        "syslog",
        "open_tree",
        "pivot_root",
        "swapon",
    ] {
        assert_eq!(verdict(native, name, &[]), EPERM, "{name}");
    }
    for name in ["clone3", "io_uring_setup"] {
        assert_eq!(verdict(native, name, &[]), ENOSYS, "{name}");
    }
    // High bits change nothing (B14).
    for high in [0, 1 << 32, 1 << 63] {
        for (family, protocol, expected) in
            [(2, 0, ALLOW), (1, 0, ALLOW), (16, 0, ALLOW), (16, 9, ERRNO | 22), (38, 0, EPERM), (40, 0, EPERM)]
        {
            assert_eq!(
                verdict(native, "socket", &[family | high, 1, protocol | high]),
                expected,
                "{family} {protocol}"
            );
        }
        assert_eq!(verdict(native, "clone", &[0x1000_0000 | high]), EPERM, "a user namespace");
        assert_eq!(verdict(native, "clone", &[0x0120_0011 | high]), ALLOW, "a fork");
        assert_eq!(verdict(native, "personality", &[0x4_0000 | high]), EPERM, "no randomisation");
        assert_eq!(verdict(native, "personality", &[0xffff_ffff | high]), ALLOW, "asking");
    }
    if native == Table::X86_64 {
        assert_eq!(verdict(Table::X86, "socketcall", &[1]), EPERM);
        assert_eq!(verdict(Table::X86, "socketcall", &[3]), ALLOW);
        assert_eq!(verdict(Table::X86, "socket", &[40]), EPERM);
        assert_eq!(interpret(&program, 0x4000_0029, X86_64, [40, 0, 0, 0, 0, 0]), ENOSYS, "x32 socket");
    }
    assert_eq!(interpret(&program, 5000, native.audit(), [0; 6]), ENOSYS, "a system call of the future");
}

#[test]
fn capabilities_open_what_they_are_for() {
    let with = |caps: &[Capability]| compile_default(bits(caps)).unwrap().program;
    let native = Table::native();
    let verdict = |program: &[Instruction], name: &str, args| {
        interpret(program, native.number(name).unwrap(), native.audit(), args)
    };
    let admin = with(&[Capability::SysAdmin]);
    for name in ["mount", "unshare", "clone3", "bpf", "fsopen"] {
        assert_eq!(verdict(&admin, name, [u64::MAX; 6]), ALLOW, "{name}");
    }
    assert_eq!(verdict(&admin, "chroot", [0; 6]), EPERM);
    assert_eq!(verdict(&with(&[Capability::Bpf]), "bpf", [0; 6]), ALLOW);
    assert_eq!(verdict(&with(&[Capability::AuditWrite]), "socket", [16, 3, 9, 0, 0, 0]), ALLOW);
}

#[test]
fn the_profile_in_a_specification_is_the_same_program() {
    let caps = crate::runtime::capabilities::DEFAULT;
    let from_spec = compile(&default_profile(&caps).unwrap()).unwrap();
    assert_eq!(from_spec.program, default_program());
    assert_eq!(from_bytes(&to_bytes(&from_spec)), Some(from_spec));
    assert_eq!(from_bytes(&to_bytes(&Loadable::default())), None);
}

#[test]
fn every_name_of_the_profile_is_a_system_call() {
    let all: Vec<profile::Group> = [0, u64::MAX].into_iter().flat_map(profile::rules).collect();
    for name in all.iter().flat_map(|group| group.0.split_ascii_whitespace()) {
        // Gone from the kernel or newer than the tables; skipped like by libseccomp.
        const UNKNOWN: [&str; 8] = [
            "listns",
            "breakpoint",
            "cacheflush",
            "set_tls",
            "arm_sync_file_range",
            "query_module",
            "sync_file_range2",
            "utimensat_time64",
        ];
        let known = Table::all().iter().any(|table| table.number(name).is_some());
        assert!(known || UNKNOWN.contains(&name), "{name}");
    }
}

/// A profile of a specification.
fn profile(text: &str) -> Vec<Instruction> {
    compile(&serde_json::from_str(text).unwrap()).unwrap().program
}

#[test]
fn what_a_rule_forbids_x32_does_not_allow() {
    let rules = r#""syscalls": [ { "names": ["mount", "execve"], "action": "SCMP_ACT_ERRNO" } ]"#;
    let native = Table::native();
    let (mount, execve) = (native.number("mount").unwrap(), native.number("execve").unwrap());
    let plain = profile(&format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {rules} }}"#));
    assert_eq!(interpret(&plain, mount, native.audit(), [0; 6]), EPERM);
    assert_eq!(interpret(&plain, 0, native.audit(), [0; 6]), ALLOW);
    if native != Table::X86_64 {
        return;
    }
    const X32: u32 = 0x4000_0000;
    for number in [mount, execve, 520, 0] {
        assert_eq!(interpret(&plain, number | X32, X86_64, [0; 6]), ENOSYS, "{number}");
    }
    let with = profile(&format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], {rules} }}"#
    ));
    for (number, expected) in [(mount | X32, EPERM), (520 | X32, EPERM), (mount, EPERM), (X32, ALLOW), (0, ALLOW)] {
        assert_eq!(interpret(&with, number, X86_64, [0; 6]), expected, "{number:#x}");
    }
    let i386_mount = Table::X86.number("mount").unwrap();
    assert_eq!(interpret(&with, i386_mount, I386, [0; 6]), EPERM);
    assert_eq!(interpret(&plain, i386_mount, I386, [0; 6]), 0x8000_0000, "an architecture that is not listed");
}

#[test]
fn flags_and_actions() {
    let compiled = |text: &str| compile(&serde_json::from_str(text).unwrap()).unwrap();
    let flags = r#""flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
    assert_eq!(compiled(&format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {flags} }}"#)).flags, 7);
    let notify = r#""syscalls": [ { "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" } ]"#;
    let found = compiled(&format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {flags}, {notify} }}"#));
    assert_eq!((found.flags, found.has_listener()), (2 | 4 | 8 | 32, true));
    for (action, expected) in [
        ("KILL", 0),
        ("KILL_THREAD", 0),
        ("KILL_PROCESS", 0x8000_0000),
        ("TRAP", 0x3_0000),
        ("ERRNO", EPERM),
        ("NOTIFY", 0x7fc0_0000),
        ("TRACE", 0x7ff0_0001),
        ("LOG", 0x7ffc_0000),
        ("ALLOW", ALLOW),
    ] {
        let program = profile(&format!(r#"{{ "defaultAction": "SCMP_ACT_{action}" }}"#));
        assert_eq!(interpret(&program, 1, Table::native().audit(), [0; 6]), expected, "{action}");
    }
    let errno = profile(r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 99 }"#);
    assert_eq!(interpret(&errno, 1, Table::native().audit(), [0; 6]), ERRNO | 99);
}
