//! Profiles compiled by us against what they say, for system calls of any kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

#[path = "../../src/runtime/seccomp/interpret.rs"]
mod interpret;

/// Calls with their numbers on x86_64, i386 and x32 beside x86_64's, and the arguments that are 32-bit numbers.
const CALLS: [(&str, u32, u32, u32, u8); 8] = [
    ("read", 0, 3, 0, 0),
    ("write", 1, 4, 1, 0),
    ("mkdir", 83, 39, 83, 0),
    ("socket", 41, 359, 41, 0b111),
    ("ioctl", 16, 54, 514, 0b11),
    ("mremap", 25, 163, 25, 0),
    ("personality", 135, 136, 135, 0b1),
    ("execve", 59, 11, 520, 0),
];
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
const ACTIONS: [(&str, u32); 6] = [
    ("SCMP_ACT_ALLOW", 0x7fff_0000),
    ("SCMP_ACT_ERRNO", 0x0005_0000),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
    ("SCMP_ACT_TRAP", 0x0003_0000),
    ("SCMP_ACT_LOG", 0x7ffc_0000),
    ("SCMP_ACT_TRACE", 0x7ff0_0000),
];
const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

/// Bytes, one after the other, zeros at the end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first)
    }

    /// Values that meet at their halves.
    fn value(&mut self) -> u64 {
        const SOME: [u64; 7] = [0, 1, 2, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
        match self.byte() {
            index @ 0..7 => SOME[index],
            _ => (0..8).fold(0, |value, _| value << 8 | self.byte() as u64),
        }
    }
}

struct Condition {
    index: usize,
    operator: usize,
    value: u64,
    second: u64,
}

struct Rule {
    call: usize,
    conditions: Vec<Condition>,
    verdict: u32,
}

fn action(source: &mut Source<'_>) -> (Value, Value, u32) {
    let (name, bits) = ACTIONS[source.byte() % ACTIONS.len()];
    let data = source.byte() as u32;
    let carries = matches!(name, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE");
    (json!(name), if carries { json!(data) } else { Value::Null }, if carries { bits | data } else { bits })
}

fn holds(condition: &Condition, narrow: u8, args: &[u64; 6]) -> bool {
    let cut = |value: u64| if narrow & 1 << condition.index != 0 { value & 0xffff_ffff } else { value };
    let (arg, value) = (cut(args[condition.index]), cut(condition.value));
    match condition.operator {
        0 => arg != value,
        1 => arg < value,
        2 => arg <= value,
        3 => arg == value,
        4 => arg >= value,
        5 => arg > value,
        _ => arg & value == cut(condition.second),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut source = Source(bytes);
    let with_i386 = source.byte() % 2 == 1;
    let with_x32 = source.byte() % 2 == 1;
    let (default, errno, default_verdict) = action(&mut source);
    let mut rules = Vec::new();
    let mut syscalls = Vec::new();
    for _ in 0..source.byte() % 12 {
        let call = source.byte() % CALLS.len();
        let (name, errno, verdict) = action(&mut source);
        let conditions: Vec<Condition> = (0..source.byte() % 4)
            .map(|_| Condition {
                index: source.byte() % 6,
                operator: source.byte() % OPERATORS.len(),
                value: source.value(),
                second: source.value(),
            })
            .collect();
        let args: Vec<Value> = conditions
            .iter()
            .map(|c| json!({ "index": c.index, "op": OPERATORS[c.operator], "value": c.value, "valueTwo": c.second }))
            .collect();
        syscalls.push(json!({ "names": [CALLS[call].0, "no_such_call"], "action": name, "errnoRet": errno, "args": args }));
        rules.push(Rule { call, conditions, verdict });
    }
    let mut architectures = vec!["SCMP_ARCH_X86_64"];
    architectures.extend(with_i386.then_some("SCMP_ARCH_X86"));
    architectures.extend(with_x32.then_some("SCMP_ARCH_X32"));
    let profile: LinuxSeccomp = serde_json::from_value(json!({
        "defaultAction": default, "defaultErrnoRet": errno, "architectures": architectures, "syscalls": syscalls,
    }))
    .unwrap();
    let compiled = boxlib::runtime::seccomp::compile(&profile).unwrap();
    let program: Vec<_> = compiled.program.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect();

    for _ in 0..8 {
        let args = std::array::from_fn(|_| source.value());
        for (call, (_, x86_64, i386, x32, narrow)) in CALLS.iter().enumerate() {
            let mine = || rules.iter().filter(|rule| rule.call == call);
            let expected = mine()
                .find(|rule| !rule.conditions.is_empty() && rule.conditions.iter().all(|c| holds(c, *narrow, &args)))
                .or_else(|| mine().find(|rule| rule.conditions.is_empty()))
                .map_or(default_verdict, |rule| rule.verdict);
            let run = |number, audit| interpret::interpret(&program, number, audit, args);
            assert_eq!(run(*x86_64, X86_64), expected);
            assert_eq!(run(*i386, I386), if with_i386 { expected } else { 0x8000_0000 });
            assert_eq!(run(x32 | X32, X86_64), if with_x32 { expected } else { 0x0005_0026 });
        }
        assert_eq!(interpret::interpret(&program, 0xfff, X86_64, args), default_verdict);
        assert_eq!(interpret::interpret(&program, 0, 0x1234, args), 0x8000_0000);
    }
});
