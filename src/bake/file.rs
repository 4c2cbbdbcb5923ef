//! Bake's files as they are written: blocks of HCL, or the same in JSON.

use super::compose;
use crate::base::error::{Fault, Kind};
use anyhow::{Result, bail};
use hcl::expr::{Expression, ObjectKey, TemplateExpr};
use hcl::structure::{Block, BlockLabel, Body, Structure};
use serde_json::Value;
use std::collections::BTreeMap;

/// What one or several files say, the later ones over the earlier.
#[derive(Debug, Default)]
pub struct File {
    /// Variables.
    pub variables: BTreeMap<String, Variable>,
    pub(super) functions: BTreeMap<String, Function>,
    pub(super) groups: BTreeMap<String, Attributes>,
    /// Targets, each as often as files and blocks say something about it.
    pub(super) targets: Vec<(String, Attributes)>,
}

/// The attributes of a block, in order.
pub(super) type Attributes = Vec<(String, Expression)>;

/// A variable.
#[derive(Debug, Default)]
pub struct Variable {
    pub(super) default: Option<Expression>,
    pub(super) validations: Vec<(Expression, Option<Expression>)>,
    /// What it is for.
    pub description: Option<String>,
}

/// A function that a file defines.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) parameters: Vec<String>,
    pub(super) variadic: Option<String>,
    pub(super) result: Expression,
}

impl File {
    /// Read a file over what is there. `name` decides what it is: `.hcl`, `.json`, `.yml`/`.yaml`; others are tried.
    ///
    /// `given` are the values of variables in compose files.
    pub fn read(&mut self, name: &str, text: &str, given: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        let hcl = || hcl::parse(text).map_err(|error| wrong(name, &error.to_string()));
        let json = || serde_json::from_str::<Value>(text).map_err(|error| wrong(name, &error.to_string()));
        let done = match lower.rsplit_once('.').map(|(_, ending)| ending) {
            Some("hcl") => self.body(hcl()?),
            Some("json") => self.json(json()?),
            Some("yml" | "yaml") => compose::read(self, text, given),
            _ if text.trim_start().starts_with('{') => self.json(json()?),
            _ => match hcl() {
                Ok(body) => self.body(body),
                Err(error) if serde_yaml::from_str::<serde_yaml::Value>(text).is_err() => return Err(error),
                Err(_) => compose::read(self, text, given),
            },
        };
        done.map_err(|error| match error.downcast_ref::<Fault>() {
            Some(_) => error.context(format!("in `{name}`")),
            None => wrong(name, &format!("{error:#}")),
        })
    }

    fn body(&mut self, body: Body) -> Result<()> {
        for structure in body {
            match structure {
                // A name with a value is a variable with a default.
                Structure::Attribute(attribute) => {
                    let variable = Variable { default: Some(attribute.expr), ..Variable::default() };
                    self.variables.insert(attribute.key.to_string(), variable);
                }
                Structure::Block(block) => self.block(block)?,
            }
        }
        Ok(())
    }

    fn block(&mut self, block: Block) -> Result<()> {
        let kind = block.identifier.to_string();
        let labels: Vec<String> = block.labels.iter().map(label).collect();
        let [name] = labels.as_slice() else { bail!("a block `{kind}` has one name: {kind} \"name\" {{ … }}") };
        let (mut attributes, mut validations) = (Attributes::new(), Vec::new());
        for structure in block.body {
            match structure {
                Structure::Attribute(attribute) => attributes.push((attribute.key.to_string(), attribute.expr)),
                Structure::Block(inner) if kind == "variable" && inner.identifier.as_str() == "validation" => {
                    let mut parts: BTreeMap<String, Expression> =
                        inner.body.into_attributes().map(|part| (part.key.to_string(), part.expr)).collect();
                    if let Some(condition) = parts.remove("condition") {
                        validations.push((condition, parts.remove("error_message")));
                    }
                }
                Structure::Block(inner) => bail!("`{kind}` `{name}` holds a block `{}`", inner.identifier.as_str()),
            }
        }
        self.add(&kind, name, attributes, validations)
    }

    /// Add what a block of this kind and name says.
    pub(super) fn add(
        &mut self,
        kind: &str,
        name: &str,
        attributes: Attributes,
        validations: Vec<(Expression, Option<Expression>)>,
    ) -> Result<()> {
        let take = |key: &str| attributes.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone());
        let names = |key: &str| match take(key) {
            None => Ok(Vec::new()),
            Some(Expression::Array(items)) => items.iter().map(word).collect(),
            Some(_) => bail!("`{key}` of function `{name}` is a list of names"),
        };
        match kind {
            "target" => self.targets.push((name.to_owned(), attributes)),
            "group" => {
                let group = self.groups.entry(name.to_owned()).or_default();
                group.retain(|(key, _)| !attributes.iter().any(|(own, _)| own == key));
                group.extend(attributes);
            }
            "variable" => {
                let description = take("description").and_then(|text| word(&text).ok());
                let variable = Variable { default: take("default"), validations, description };
                self.variables.insert(name.to_owned(), variable);
            }
            "function" => {
                let Some(result) = take("result") else { bail!("function `{name}` has no `result`") };
                let variadic = match take("variadic_params") {
                    Some(Expression::Array(names)) => names.first().map(word).transpose()?,
                    Some(single) => Some(word(&single)?),
                    None => None,
                };
                let function = Function { parameters: names("params")?, variadic, result };
                self.functions.insert(name.to_owned(), function);
            }
            _ => bail!("there are no blocks `{kind}`: target, group, variable and function are known"),
        }
        Ok(())
    }

    fn json(&mut self, value: Value) -> Result<()> {
        let Value::Object(kinds) = value else { bail!("a JSON object is expected") };
        for (kind, blocks) in kinds {
            match blocks {
                Value::Object(blocks) if ["target", "group", "variable", "function"].contains(&kind.as_str()) => {
                    for (name, attributes) in blocks {
                        // A block may be one object, or a list with one.
                        let attributes = match attributes {
                            Value::Array(mut list) if list.len() == 1 => list.remove(0),
                            other => other,
                        };
                        let Value::Object(attributes) = attributes else { bail!("{kind} `{name}` is no object") };
                        let attributes = attributes.into_iter().map(|(key, value)| (key, expression(value)));
                        self.add(&kind, &name, attributes.collect(), Vec::new())?;
                    }
                }
                Value::Object(_) if ["target", "group", "variable", "function"].contains(&kind.as_str()) => {}
                value => {
                    let variable = Variable { default: Some(expression(value)), ..Variable::default() };
                    self.variables.insert(kind, variable);
                }
            }
        }
        Ok(())
    }
}

/// An error in a file. HCL's parser tells the place first, then shows the line, then says what it expected.
fn wrong(name: &str, what: &str) -> anyhow::Error {
    let Some((place, rest)) = what.split_once("in line ").and_then(|(_, rest)| rest.split_once('\n')) else {
        return Fault::new(Kind::Usage, format!("`{name}`: {what}")).into();
    };
    let place = place.replace(", column ", ":");
    let expected = rest.lines().filter_map(|line| line.trim().strip_prefix("= ")).collect::<Vec<_>>().join(", ");
    let mut fault = Fault::new(Kind::Usage, format!("{name}:{}: {expected}", place.trim()));
    let shown = rest.lines().map(str::trim_end).filter(|line| line.contains("| ") && !line.trim().starts_with("= "));
    fault.shown = shown.map(|line| format!("  {}", line.replace("^---", "^"))).collect();
    fault.into()
}

fn label(label: &BlockLabel) -> String {
    match label {
        BlockLabel::Identifier(name) => name.to_string(),
        BlockLabel::String(name) => name.clone(),
    }
}

/// A name, with quotes or without.
fn word(expression: &Expression) -> Result<String> {
    match expression {
        Expression::Variable(name) => Ok(name.to_string()),
        Expression::String(text) => Ok(text.clone()),
        Expression::TemplateExpr(template) => match &**template {
            TemplateExpr::QuotedString(text) => Ok(text.clone()),
            TemplateExpr::Heredoc(heredoc) => Ok(heredoc.template.clone()),
        },
        other => bail!("`{other}` stands where a name is expected"),
    }
}

/// JSON as an expression: texts in it are templates.
pub(super) fn expression(value: Value) -> Expression {
    match value {
        Value::Null => Expression::Null,
        Value::Bool(on) => Expression::Bool(on),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Expression::from(whole),
            None => Expression::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) if text.contains("${") || text.contains("%{") => {
            Expression::from(TemplateExpr::QuotedString(text))
        }
        Value::String(text) => Expression::String(text),
        Value::Array(items) => Expression::Array(items.into_iter().map(expression).collect()),
        Value::Object(map) => Expression::Object(
            map.into_iter()
                .map(|(key, value)| (ObjectKey::Expression(Expression::String(key)), expression(value)))
                .collect(),
        ),
    }
}
