//! Rules by system call number to classic BPF: a binary search over number ranges, then conditions, then a verdict.
//!
//! The kernel's limits: 4096 instructions, forward jumps only, conditional jumps of at most 255.

use crate::sys::seccomp::Instruction;
use oci_spec::runtime::LinuxSeccompOperator as Operator;
use std::collections::BTreeMap;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`; both kinds of machine are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What an architecture that the profile does not have gets.
const KILL_PROCESS: u32 = 0x8000_0000;
/// x32 calls are x86_64 calls with this bit.
const X32_BIT: u32 = 0x4000_0000;
/// A jump to the end of its rule, until that is known.
const FAIL: u8 = 255;
const MAX_PROGRAM: usize = 4096;

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// How.
    pub operator: Operator,
    /// With what; the mask for a masked comparison.
    pub value: u64,
    /// The masked value.
    pub second: u64,
    /// The kernel takes only the lower 32 bits.
    pub narrow: bool,
}

/// All conditions hold, then this verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// None: always.
    pub conditions: Vec<Condition>,
    /// `SECCOMP_RET_…`.
    pub action: u32,
}

impl Rule {
    /// This rule for a system call whose arguments of the mask are 32-bit numbers.
    pub fn narrowed(&self, mask: u8) -> Self {
        let narrow = |condition: &Condition| Condition { narrow: mask & 1 << condition.index != 0, ..*condition };
        Self { conditions: self.conditions.iter().map(narrow).collect(), action: self.action }
    }
}

/// The rules of one architecture by number. The conditional ones are tried in order, then the first that has none.
#[derive(Debug, Clone, Default)]
pub struct Rules(BTreeMap<u32, Vec<Rule>>);

impl Rules {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more rule for a number.
    pub fn add(&mut self, number: u32, rule: Rule) {
        let rules = self.0.entry(number).or_default();
        if !rule.conditions.is_empty() || !rules.iter().any(|rule| rule.conditions.is_empty()) {
            rules.push(rule);
        }
    }

    /// The rules of a number.
    #[cfg(test)]
    pub fn get(&self, number: u32) -> &[Rule] {
        self.0.get(&number).map_or(&[], Vec::as_slice)
    }
}

/// The calls of x32, an ABI of x86_64 with numbers of its own above all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum X32 {
    /// There are none on this architecture.
    None,
    /// The profile is for them, too: the rules hold for them as for x86_64's.
    Same,
    /// The profile is not for them: this verdict. Never the default action, which may allow what a rule forbids.
    Refused(u32),
}

/// One architecture's part of a filter.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// `AUDIT_ARCH_…`.
    pub audit: u32,
    /// What becomes of numbers from 0x40000000 on, if they are another ABI's.
    pub x32: X32,
    /// Its rules.
    pub rules: Rules,
}

/// A range of numbers that are treated alike, up to the next range.
struct Range<'a> {
    start: u32,
    leaf: Leaf<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum Leaf<'a> {
    Verdict(u32),
    Rules(&'a [Rule]),
}

/// The program; `None` if it is too long for the kernel.
pub fn assemble(default: u32, architectures: &[Architecture]) -> Option<Vec<Instruction>> {
    let mut program = vec![load(ARCHITECTURE)];
    for architecture in architectures {
        let ranges = ranges(default, architecture);
        let mut body = vec![load(NUMBER)];
        if architecture.x32 == X32::Same {
            body.push(and(!X32_BIT));
        }
        search(&ranges, default, &mut body);
        program.push(jump_if(EQUAL, architecture.audit, 1, 0));
        program.push(Instruction { code: JUMP, jt: 0, jf: 0, k: u32::try_from(body.len()).ok()? });
        program.append(&mut body);
    }
    program.push(verdict(KILL_PROCESS));
    (program.len() <= MAX_PROGRAM).then_some(program)
}

/// Cut the numbers into ranges, neighbours with the same plain verdict joined.
fn ranges(default: u32, architecture: &Architecture) -> Vec<Range<'_>> {
    let mut ranges = Vec::with_capacity(2 * architecture.rules.0.len());
    let mut next = 0;
    for (number, rules) in &architecture.rules.0 {
        if *number > next {
            push(&mut ranges, next, Leaf::Verdict(default));
        }
        let leaf = match rules.as_slice() {
            [rule] if rule.conditions.is_empty() => Leaf::Verdict(rule.action),
            rules => Leaf::Rules(rules),
        };
        push(&mut ranges, *number, leaf);
        next = number + 1;
    }
    push(&mut ranges, next, Leaf::Verdict(default));
    if let X32::Refused(verdict) = architecture.x32 {
        push(&mut ranges, X32_BIT, Leaf::Verdict(verdict));
    }
    ranges
}

fn push<'a>(ranges: &mut Vec<Range<'a>>, start: u32, leaf: Leaf<'a>) {
    if ranges.last().is_none_or(|last| last.leaf != leaf) {
        ranges.push(Range { start, leaf });
    }
}

/// A binary search over the ranges, appended to the program.
fn search(ranges: &[Range<'_>], default: u32, program: &mut Vec<Instruction>) {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let Some(middle) = upper.first() else { return };
    if lower.is_empty() {
        return emit_leaf(middle.leaf, default, program);
    }
    let at = program.len();
    program.push(jump_if(AT_LEAST, middle.start, 0, 0));
    search(lower, default, program);
    let mut distance = program.len() - at - 1;
    if distance > 255 {
        // Too far for a conditional jump: over a far jump that goes there.
        program.insert(at + 1, Instruction { code: JUMP, jt: 0, jf: 0, k: distance as u32 });
        program[at].jf = 1;
        distance = 0;
    }
    program[at].jt = distance as u8;
    search(upper, default, program);
}

fn emit_leaf(leaf: Leaf<'_>, default: u32, program: &mut Vec<Instruction>) {
    let rules = match leaf {
        Leaf::Verdict(action) => return program.push(verdict(action)),
        Leaf::Rules(rules) => rules,
    };
    for rule in rules.iter().filter(|rule| !rule.conditions.is_empty()) {
        let start = program.len();
        for condition in &rule.conditions {
            emit_condition(condition, program);
        }
        let end = program.len() + 1;
        for (at, instruction) in program.iter_mut().enumerate().skip(start) {
            // At most 6 instructions a condition; more than 255 in a rule are refused below by the length.
            let distance = u8::try_from(end - at - 1).unwrap_or(FAIL);
            if is_conditional(instruction.code) {
                if instruction.jt == FAIL {
                    instruction.jt = distance;
                }
                if instruction.jf == FAIL {
                    instruction.jf = distance;
                }
            }
        }
        program.push(verdict(rule.action));
    }
    let last = rules.iter().find(|rule| rule.conditions.is_empty()).map_or(default, |rule| rule.action);
    program.push(verdict(last));
}

/// A condition: falls through if it holds, jumps to FAIL if not.
fn emit_condition(condition: &Condition, program: &mut Vec<Instruction>) {
    let low = ARGUMENTS + 8 * u32::from(condition.index);
    let high = low + 4;
    let (value_low, value_high) = (condition.value as u32, (condition.value >> 32) as u32);
    let (second_low, second_high) = (condition.second as u32, (condition.second >> 32) as u32);
    // Each line is: compare (high, then low); where to go if true, if false. 0 is the next instruction.
    let wide: &[Instruction] = match condition.operator {
        Operator::ScmpCmpEq => {
            &[load(high), jump_if(EQUAL, value_high, 0, FAIL), load(low), jump_if(EQUAL, value_low, 0, FAIL)]
        }
        Operator::ScmpCmpNe => {
            &[load(high), jump_if(EQUAL, value_high, 0, 2), load(low), jump_if(EQUAL, value_low, FAIL, 0)]
        }
        Operator::ScmpCmpGt => &[
            load(high),
            jump_if(GREATER, value_high, 3, 0),
            jump_if(EQUAL, value_high, 0, FAIL),
            load(low),
            jump_if(GREATER, value_low, 0, FAIL),
        ],
        Operator::ScmpCmpGe => &[
            load(high),
            jump_if(GREATER, value_high, 3, 0),
            jump_if(EQUAL, value_high, 0, FAIL),
            load(low),
            jump_if(AT_LEAST, value_low, 0, FAIL),
        ],
        Operator::ScmpCmpLt => &[
            load(high),
            jump_if(GREATER, value_high, FAIL, 0),
            jump_if(EQUAL, value_high, 0, 2),
            load(low),
            jump_if(AT_LEAST, value_low, FAIL, 0),
        ],
        Operator::ScmpCmpLe => &[
            load(high),
            jump_if(GREATER, value_high, FAIL, 0),
            jump_if(EQUAL, value_high, 0, 2),
            load(low),
            jump_if(GREATER, value_low, FAIL, 0),
        ],
        Operator::ScmpCmpMaskedEq => &[
            load(high),
            and(value_high),
            jump_if(EQUAL, second_high, 0, FAIL),
            load(low),
            and(value_low),
            jump_if(EQUAL, second_low, 0, FAIL),
        ],
    };
    // Only the lower half: the last load and what follows it.
    let last_load = wide.iter().rposition(|instruction| instruction.code == LOAD).unwrap_or(0);
    program.extend_from_slice(if condition.narrow { wide.get(last_load..).unwrap_or(wide) } else { wide });
}

fn is_conditional(code: u16) -> bool {
    matches!(code, EQUAL | GREATER | AT_LEAST)
}

const fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k: offset }
}

const fn and(mask: u32) -> Instruction {
    Instruction { code: AND, jt: 0, jf: 0, k: mask }
}

const fn jump_if(code: u16, value: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k: value }
}

const fn verdict(action: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: action }
}
