//! Modes as `--chmod` has them: octal, or symbolic as in chmod(1): `u=rwX,go=rX`.
//!
//! Who is not named is everybody, whatever the umask; `X` looks at the mode before the change.

use super::mistake::Mistake;

/// A change of a mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Chmod(Change);

#[derive(Debug, Clone, PartialEq)]
enum Change {
    /// This mode.
    To(u32),
    /// One step after the other.
    Steps(Vec<Step>),
}

/// `go-w`: whose bits, what is done to them, which.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    who: u32,
    deed: Deed,
    bits: u32,
    /// `X`: execute, for folders and what somebody can execute.
    execute_if: bool,
    /// `u`, `g` or `o` on the right side: how far their bits are shifted.
    copied: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    Add,
    Remove,
    Set,
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHERS: u32 = 0o0007;
const STICKY: u32 = 0o1000;

impl Chmod {
    /// Parse a mode.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = |what: &str| {
            Mistake::new(format!("`{text}` is no mode: {what}")).hint("an octal one such as 0755, or u=rwX,go=rX")
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| wrong("a digit is not octal"))?;
            return if mode <= 0o7777 { Ok(Self(Change::To(mode))) } else { Err(wrong("it is above 7777")) };
        }
        let mut steps = Vec::new();
        for clause in text.split(',') {
            let begin = clause.find(['+', '-', '=']).ok_or_else(|| wrong("`+`, `-` or `=` is missing"))?;
            let (names, mut rest) = clause.split_at(begin);
            let who = names.chars().try_fold(0, |who, name| match name {
                'u' => Ok(who | USER),
                'g' => Ok(who | GROUP),
                'o' => Ok(who | OTHERS),
                'a' => Ok(who | USER | GROUP | OTHERS | STICKY),
                other => Err(wrong(&format!("`{other}` is none of u, g, o, a"))),
            })?;
            let who = if who == 0 { USER | GROUP | OTHERS | STICKY } else { who };
            while let Some(sign) = rest.chars().next() {
                let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
                let step = step(who, sign, &rest[1..end]);
                steps.push(step.map_err(|other| wrong(&format!("`{other}` is no permission")))?);
                rest = &rest[end..];
            }
        }
        Ok(Self(Change::Steps(steps)))
    }

    /// The mode that a file of this mode gets, in the lowest twelve bits.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let steps = match &self.0 {
            Change::To(mode) => return *mode,
            Change::Steps(steps) => steps,
        };
        let before = mode & 0o7777;
        let execute = is_dir || before & 0o111 != 0;
        steps.iter().fold(before, |mode, step| {
            let copied = step.copied.map_or(0, |shift| ((mode >> shift) & 7) * 0o111);
            let maybe = if step.execute_if && execute { 0o111 } else { 0 };
            let bits = (step.bits | copied | maybe) & step.who;
            match step.deed {
                Deed::Add => mode | bits,
                Deed::Remove => mode & !bits,
                Deed::Set => mode & !step.who | bits,
            }
        })
    }
}

/// A step; the character that is no permission otherwise.
fn step(who: u32, sign: char, permissions: &str) -> Result<Step, char> {
    let deed = match sign {
        '+' => Deed::Add,
        '-' => Deed::Remove,
        _ => Deed::Set,
    };
    let mut step = Step { who, deed, bits: 0, execute_if: false, copied: None };
    for permission in permissions.chars() {
        match permission {
            'r' => step.bits |= 0o444,
            'w' => step.bits |= 0o222,
            'x' => step.bits |= 0o111,
            's' => step.bits |= 0o6000,
            // The sticky bit is nobody's: it counts whoever is named.
            't' => {
                step.bits |= STICKY;
                step.who |= STICKY;
            }
            'X' => step.execute_if = true,
            'u' => step.copied = Some(6),
            'g' => step.copied = Some(3),
            'o' => step.copied = Some(0),
            other => return Err(other),
        }
    }
    Ok(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_octal_and_symbolic() {
        for (text, mode, is_dir, expected) in [
            ("755", 0o600, false, 0o755),
            ("0", 0o600, false, 0),
            ("4755", 0o600, false, 0o4755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("go=", 0o777, false, 0o700),
            ("g=u,o-rwx", 0o640, false, 0o660),
            ("u+s,g+s,+t", 0o755, false, 0o7755),
            ("u=rw", 0o4755, false, 0o655),
            ("u+r-w", 0o200, false, 0o400),
            ("o=g", 0o750, false, 0o755),
        ] {
            assert_eq!(Chmod::parse(text).unwrap().apply(mode, is_dir), expected, "{text} {mode:o}");
        }
        for text in ["", "8", "10000", "u", "u=q", "z+x", "u=r,,g=r", "u+r;g+w"] {
            assert!(Chmod::parse(text).is_err(), "{text}");
        }
    }
}
