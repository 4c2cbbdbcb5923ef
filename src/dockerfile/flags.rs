//! The flags of an instruction: which there are, given once or often, with a value or without.

use super::directives::go_bool;
use super::mistake::Mistake;
use super::words::Word;

/// How a flag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `--name`, or `--name=true`.
    Switch,
    /// `--name=value`.
    Value,
    /// `--name=value`, as often as one likes.
    Values,
}

/// The flags that an instruction was given.
#[derive(Debug, Default)]
pub struct Flags {
    found: Vec<(&'static str, String, Word)>,
}

impl Flags {
    /// Take the flags of an instruction that knows these.
    pub fn take(keyword: &str, words: &[Word], known: &[(&'static str, Form)]) -> Result<Self, Mistake> {
        let mut flags = Self::default();
        for word in words {
            let text = word.text.strip_prefix("--").unwrap_or(&word.text);
            let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
            let Some((name, form)) = known.iter().find(|(own, _)| *own == name) else {
                let names: Vec<String> = known.iter().map(|(own, _)| format!("--{own}")).collect();
                let mistake = Mistake::new(format!("{keyword} has no flag `--{name}`")).at(word);
                return Err(match names.is_empty() {
                    true => mistake,
                    false => mistake.did_you_mean(&format!("--{name}"), names.iter().map(String::as_str)),
                });
            };
            if *form != Form::Values && flags.word(name).is_some() {
                return Err(Mistake::new(format!("`--{name}` is given twice")).at(word));
            }
            let value = match (form, value) {
                (Form::Switch, None) => "true".to_owned(),
                (Form::Switch, Some(value)) => match go_bool(&value.to_ascii_lowercase()) {
                    Some(on) if value.len() > 1 => on.to_string(),
                    _ => return Err(Mistake::new(format!("`--{name}` is true or false, not `{value}`")).at(word)),
                },
                (_, None) => {
                    let mistake = Mistake::new(format!("`--{name}` needs a value")).at(word);
                    return Err(mistake.hint(format!("--{name}=VALUE, without blanks around the `=`")));
                }
                (_, Some(value)) => value.to_owned(),
            };
            flags.found.push((name, value, word.clone()));
        }
        Ok(flags)
    }

    /// The word that gave a flag.
    pub fn word(&self, name: &str) -> Option<&Word> {
        self.found.iter().find(|(own, ..)| *own == name).map(|(.., word)| word)
    }

    /// A flag's value; an empty one is as none.
    pub fn value(&self, name: &str) -> Option<String> {
        let (_, value, _) = self.found.iter().find(|(own, ..)| *own == name)?;
        (!value.is_empty()).then(|| value.clone())
    }

    /// A flag's values, with the words that gave them.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Word)> {
        self.found.iter().filter(move |(own, ..)| *own == name).map(|(_, value, word)| (value.as_str(), word))
    }

    /// Whether a switch is on, if it was given.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}
