//! From names to targets: groups opened, matrices unfolded, parents inherited from, `--set` done.

use super::eval::{Evaluator, Locals, text_of};
use super::file::{Attributes, File};
use super::target::{KEYS, Target};
use crate::base::error::{Fault, Kind};
use crate::base::glob;
use crate::base::nearest::nearest_of;
use anyhow::{Context, Result, bail};
use hcl::expr::Expression;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most targets that a matrix makes.
const MAX_MATRIX: usize = 1000;

/// What was asked for. Serialized, it is what `bake --print` shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Resolved {
    /// The groups that were opened, with their targets.
    pub group: BTreeMap<String, BTreeMap<&'static str, Vec<String>>>,
    /// The targets, by their names.
    pub target: BTreeMap<String, Target>,
}

/// Resolve names of targets and groups; `default` if there are none.
///
/// `overrides` are `--set` options (`TARGET.KEY=VALUE`, `TARGET` with `*`); `given` has the values of variables.
pub fn resolve(
    file: &File,
    names: &[String],
    overrides: &[String],
    given: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolved> {
    let evaluator = Evaluator::new(file, given);
    let all = Unfolded::of(file, &evaluator)?;
    let overrides: Vec<Override> = overrides.iter().map(|text| Override::parse(text)).collect::<Result<_>>()?;
    let default = ["default".to_owned()];
    let names = if names.is_empty() { &default } else { names };
    let mut resolved = Resolved::default();
    let asked = all.open(names, &mut Vec::new(), &mut resolved)?;
    if names.len() > 1 || !all.groups.contains_key(&names[0]) {
        resolved.group.insert("default".to_owned(), [("targets", asked.clone())].into());
    }
    for change in &overrides {
        if !all.targets.keys().any(|name| glob::fits(&change.target, name)) {
            return Err(all.unknown(&change.target));
        }
    }
    for name in asked {
        let mut target = all.target(&name, &evaluator, &mut Vec::new())?;
        let mut seen = BTreeSet::new();
        for change in overrides.iter().filter(|change| glob::fits(&change.target, &name)) {
            let first = seen.insert(change.key.clone());
            let done = target.override_with(&change.key, &change.value, first, change.append);
            done.with_context(|| Fault::new(Kind::Usage, format!("--set {}", change.text)))?;
        }
        // As for `build`: the folder itself.
        target.context.get_or_insert_with(|| ".".to_owned());
        if target.dockerfile_inline.is_none() {
            target.dockerfile.get_or_insert_with(|| "Dockerfile".to_owned());
        }
        resolved.target.insert(name, target);
    }
    Ok(resolved)
}

/// One `--set`.
struct Override {
    text: String,
    target: String,
    key: String,
    value: String,
    append: bool,
}

impl Override {
    fn parse(text: &str) -> Result<Self> {
        let wrong =
            || Fault::new(Kind::Usage, format!("`--set {text}` is not TARGET.KEY=VALUE")).hint("--set app.tags=app:1");
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let (path, append) = path.strip_suffix('+').map_or((path, false), |path| (path, true));
        let (target, key) =
            path.split_once('.').filter(|(target, key)| !target.is_empty() && !key.is_empty()).ok_or_else(wrong)?;
        let (target, key, value) = (target.to_owned(), key.to_owned(), value.to_owned());
        Ok(Self { text: text.to_owned(), target, key, value, append })
    }
}

/// Targets after their matrices: what each says, with the values of its matrix.
struct Unfolded<'a> {
    targets: BTreeMap<String, Vec<(&'a Attributes, Locals)>>,
    groups: BTreeMap<String, Vec<String>>,
}

impl<'a> Unfolded<'a> {
    fn of(file: &'a File, evaluator: &Evaluator) -> Result<Self> {
        let mut all = Self { targets: BTreeMap::new(), groups: BTreeMap::new() };
        for (name, attributes) in &file.targets {
            let Some(matrix) = find(attributes, "matrix") else {
                all.targets.entry(name.clone()).or_default().push((attributes, Locals::new()));
                continue;
            };
            let naming = find(attributes, "name")
                .with_context(|| format!("target `{name}` has a matrix, and no `name` to tell its targets apart"))?;
            let mut members = Vec::new();
            for locals in combinations(&evaluator.value(matrix, &Locals::new())?)
                .with_context(|| format!("matrix of target `{name}`"))?
            {
                let member = text_of(&evaluator.value(naming, &locals)?)?;
                all.targets.entry(member.clone()).or_default().push((attributes, locals));
                if members.contains(&member) {
                    bail!("the matrix of target `{name}` makes `{member}` twice");
                }
                members.push(member);
            }
            all.groups.insert(name.clone(), members);
        }
        for (name, attributes) in &file.groups {
            let Some(targets) = find(attributes, "targets") else { bail!("group `{name}` has no `targets`") };
            let Value::Array(targets) = evaluator.value(targets, &Locals::new())? else {
                bail!("`targets` of group `{name}` is a list");
            };
            all.groups.insert(name.clone(), targets.iter().map(text_of).collect::<Result<_>>()?);
        }
        let valid =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if let Some(name) = all.targets.keys().find(|name| !valid(name)) {
            return Err(Fault::new(
                Kind::Usage,
                format!("`{name}` cannot be a target's name: letters, digits, `-`, `_`"),
            )
            .hint("name = \"app-${sanitize(version)}\"")
            .into());
        }
        Ok(all)
    }

    /// The targets that names stand for, each once.
    fn open(&self, names: &[String], way: &mut Vec<String>, resolved: &mut Resolved) -> Result<Vec<String>> {
        let mut targets: Vec<String> = Vec::new();
        for name in names {
            let found = match self.groups.get(name) {
                // A group may have the name of one of its targets.
                Some(_) if way.contains(name) && self.targets.contains_key(name) => vec![name.clone()],
                Some(_) if way.contains(name) => bail!("groups hold one another: `{}` → `{name}`", way.join("` → `")),
                Some(members) => {
                    way.push(name.clone());
                    let found = self.open(members, way, resolved)?;
                    way.pop();
                    resolved.group.insert(name.clone(), [("targets", members.clone())].into());
                    found
                }
                None if self.targets.contains_key(name) => vec![name.clone()],
                None => return Err(self.unknown(name)),
            };
            for name in found {
                if !targets.contains(&name) {
                    targets.push(name);
                }
            }
        }
        Ok(targets)
    }

    fn unknown(&self, name: &str) -> anyhow::Error {
        let known = || self.targets.keys().chain(self.groups.keys()).map(String::as_str);
        let fault = Fault::new(Kind::NotFound, format!("there is no target or group `{name}`"));
        match nearest_of(name, known()) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!(
                "there are: {}",
                known().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
            )),
        }
        .into()
    }

    /// A target over those that it inherits from.
    fn target(&self, name: &str, evaluator: &Evaluator, way: &mut Vec<String>) -> Result<Target> {
        if way.iter().any(|own| own == name) {
            bail!("targets inherit from one another: `{}` → `{name}`", way.join("` → `"));
        }
        let Some(said) = self.targets.get(name) else { return Err(self.unknown(name)) };
        way.push(name.to_owned());
        let mut target = Target::default();
        for (attributes, locals) in said {
            let Some(parents) = find(attributes, "inherits") else { continue };
            let Value::Array(parents) = evaluator.value(parents, locals)? else {
                bail!("`inherits` of target `{name}` is a list of names");
            };
            for parent in &parents {
                let parent = self.target(&text_of(parent)?, evaluator, way)?;
                target.inherit(parent);
            }
        }
        way.pop();
        for (attributes, locals) in said {
            for (key, expression) in
                attributes.iter().filter(|(key, _)| !["inherits", "matrix", "name"].contains(&key.as_str()))
            {
                let here = || format!("target `{name}`: `{key}`");
                if !KEYS.contains(&key.as_str()) {
                    let fault =
                        Fault::new(Kind::Usage, format!("target `{name}` has an attribute `{key}`, which is unknown"));
                    let meant = nearest_of(key, KEYS.iter().copied());
                    return Err(match meant {
                        Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
                        None => fault,
                    }
                    .into());
                }
                let value = evaluator.value(expression, locals).with_context(here)?;
                target.set(key, &value).with_context(here)?;
            }
        }
        Ok(target)
    }
}

fn find<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a Expression> {
    attributes.iter().rfind(|(own, _)| own == key).map(|(_, value)| value)
}

/// All combinations of a matrix' values.
fn combinations(matrix: &Value) -> Result<Vec<Locals>> {
    let Value::Object(matrix) = matrix else { bail!("it is a map of lists") };
    let mut all = vec![Locals::new()];
    for (name, values) in matrix {
        let Value::Array(values) = values else { bail!("`{name}` is a list") };
        if values.is_empty() {
            bail!("`{name}` is empty");
        }
        all = all
            .into_iter()
            .flat_map(|locals| {
                values.iter().map(move |value| [locals.clone(), vec![(name.clone(), value.clone())]].concat())
            })
            .take(MAX_MATRIX + 1)
            .collect();
        if all.len() > MAX_MATRIX {
            bail!("it makes more than {MAX_MATRIX} targets");
        }
    }
    Ok(all)
}
