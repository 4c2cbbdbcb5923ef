//! Expressions of HCL, and what they come to.
//!
//! The hcl-rs crate parses them; here they get their values: variables as somebody asks for them, so that their order
//! does not matter, functions of the file beside those that are built in.
//! <https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md>

use super::file::File;
use super::functions;
use crate::base::error::{Kind, fault};
use anyhow::{Context, Result, bail};
use hcl::expr::{
    BinaryOp, BinaryOperator, Conditional, Expression, ForExpr, FuncCall, ObjectKey, Operation, TemplateExpr,
    TraversalOperator, UnaryOperator,
};
use hcl::template::{Directive, Element, Template};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Calls and variables inside one another: more than anybody writes.
const MAX_DEPTH: usize = 100;

/// Names that are there in one place only: parameters, the variables of `for`, a matrix' values.
pub(super) type Locals = Vec<(String, Value)>;

/// What values come from.
pub(super) struct Evaluator<'a> {
    file: &'a File,
    /// The values of variables from outside: the environment.
    given: &'a dyn Fn(&str) -> Option<String>,
    known: RefCell<BTreeMap<String, Value>>,
    /// The variables that are being worked out, for telling of a circle.
    busy: RefCell<Vec<String>>,
    depth: RefCell<usize>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(file: &'a File, given: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let (known, busy) = (RefCell::default(), RefCell::default());
        Self { file, given, known, busy, depth: RefCell::new(0) }
    }

    /// The value of an expression.
    pub(super) fn value(&self, expression: &Expression, locals: &Locals) -> Result<Value> {
        *self.depth.borrow_mut() += 1;
        let value = if *self.depth.borrow() > MAX_DEPTH {
            Err(fault(Kind::Usage, format!("an expression goes more than {MAX_DEPTH} calls deep")))
        } else {
            self.inner(expression, locals)
        };
        *self.depth.borrow_mut() -= 1;
        value
    }

    fn inner(&self, expression: &Expression, locals: &Locals) -> Result<Value> {
        Ok(match expression {
            Expression::Null => Value::Null,
            Expression::Bool(on) => Value::Bool(*on),
            Expression::Number(number) => number_of(number.as_f64().unwrap_or_default()),
            Expression::String(text) => Value::String(text.clone()),
            Expression::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(item, locals)).collect::<Result<_>>()?)
            }
            Expression::Object(object) => {
                let mut map = Map::new();
                for (key, item) in object {
                    let key = match key {
                        ObjectKey::Identifier(name) => name.to_string(),
                        ObjectKey::Expression(key) => text_of(&self.value(key, locals)?)?,
                        other => other.to_string(),
                    };
                    map.insert(key, self.value(item, locals)?);
                }
                Value::Object(map)
            }
            Expression::TemplateExpr(template) => self.template_expression(template, locals)?,
            Expression::Variable(name) => self.variable(name.as_str(), locals)?,
            Expression::Traversal(traversal) => {
                let value = self.value(&traversal.expr, locals)?;
                self.traverse(value, &traversal.operators, locals)?
            }
            Expression::FuncCall(call) => self.call(call, locals)?,
            Expression::Parenthesis(inner) => self.value(inner, locals)?,
            Expression::Conditional(conditional) => self.conditional(conditional, locals)?,
            Expression::Operation(operation) => self.operation(operation, locals)?,
            Expression::ForExpr(each) => self.each(each, locals)?,
            other => bail!("`{other}` is an expression of a kind that bake has not"),
        })
    }

    fn variable(&self, name: &str, locals: &Locals) -> Result<Value> {
        if let Some((_, value)) = locals.iter().rfind(|(own, _)| own == name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.known.borrow().get(name) {
            return Ok(value.clone());
        }
        let Some(variable) = self.file.variables.get(name) else {
            let nearest = crate::base::nearest::nearest_of(name, self.file.variables.keys().map(String::as_str));
            let fault = crate::base::error::Fault::new(Kind::Usage, format!("there is no variable `{name}`"));
            return Err(match nearest {
                Some(nearest) => fault.hint(format!("did you mean `{nearest}`?")),
                None => fault.hint(format!("declare it: variable \"{name}\" {{ default = \"\" }}")),
            }
            .into());
        };
        if self.busy.borrow().iter().any(|busy| busy == name) {
            let circle = self.busy.borrow().join("` → `");
            return Err(fault(Kind::Usage, format!("variables need one another: `{circle}` → `{name}`")));
        }
        self.busy.borrow_mut().push(name.to_owned());
        let value = self.declared(name, variable.default.as_ref());
        self.busy.borrow_mut().pop();
        let value = value.with_context(|| format!("variable `{name}`"))?;
        self.known.borrow_mut().insert(name.to_owned(), value.clone());
        for (condition, message) in &variable.validations {
            if self.value(condition, &Locals::new())? != Value::Bool(true) {
                let told =
                    message.as_ref().map(|message| self.value(message, &Locals::new()).and_then(|m| text_of(&m)));
                let told = told.transpose()?.unwrap_or_else(|| format!("`{condition}` is not so"));
                return Err(fault(Kind::Usage, format!("variable `{name}` is {value}: {told}")));
            }
        }
        Ok(value)
    }

    /// A variable's value: what is given, of the default's type, or the default.
    fn declared(&self, name: &str, default: Option<&Expression>) -> Result<Value> {
        let default = default.map(|default| self.value(default, &Locals::new())).transpose()?;
        let Some(given) = (self.given)(name) else {
            return Ok(default.unwrap_or_else(|| Value::String(String::new())));
        };
        Ok(match default {
            Some(Value::Bool(_)) => match crate::dockerfile::directives::go_bool(&given) {
                Some(on) => Value::Bool(on),
                None => bail!("`{given}` is neither true nor false"),
            },
            Some(Value::Number(_)) => match given.parse::<f64>() {
                Ok(number) => number_of(number),
                Err(_) => bail!("`{given}` is no number"),
            },
            Some(Value::Array(_)) => match serde_json::from_str(&given) {
                Ok(list @ Value::Array(_)) => list,
                _ => Value::Array(given.split(',').map(|item| Value::String(item.to_owned())).collect()),
            },
            Some(Value::Object(_)) => match serde_json::from_str(&given) {
                Ok(map @ Value::Object(_)) => map,
                _ => bail!("`{given}` is no JSON object"),
            },
            Some(Value::String(_) | Value::Null) | None => Value::String(given),
        })
    }

    fn traverse(&self, mut value: Value, operators: &[TraversalOperator], locals: &Locals) -> Result<Value> {
        for (index, operator) in operators.iter().enumerate() {
            value = match operator {
                TraversalOperator::GetAttr(name) => item(&value, &Value::String(name.to_string()))?,
                TraversalOperator::Index(key) => item(&value, &self.value(key, locals)?)?,
                TraversalOperator::LegacyIndex(index) => item(&value, &Value::from(*index))?,
                TraversalOperator::AttrSplat | TraversalOperator::FullSplat => {
                    let items = match value {
                        Value::Array(items) => items,
                        Value::Null => Vec::new(),
                        single => vec![single],
                    };
                    let rest = &operators[index + 1..];
                    let items = items.into_iter().map(|item| self.traverse(item, rest, locals));
                    return Ok(Value::Array(items.collect::<Result<_>>()?));
                }
            };
        }
        Ok(value)
    }

    fn call(&self, call: &FuncCall, locals: &Locals) -> Result<Value> {
        let name = call.name.to_string();
        let mut arguments: Vec<Value> =
            call.args.iter().map(|argument| self.value(argument, locals)).collect::<Result<_>>()?;
        if call.expand_final {
            match arguments.pop() {
                Some(Value::Array(items)) => arguments.extend(items),
                _ => bail!("`{name}`: what stands before `...` is no list"),
            }
        }
        let Some(function) = self.file.functions.get(&name) else {
            return functions::call(&name, arguments).with_context(|| format!("function `{name}`"));
        };
        let (least, variadic) = (function.parameters.len(), &function.variadic);
        if arguments.len() < least || (arguments.len() > least && variadic.is_none()) {
            bail!("function `{name}` takes {least} arguments, not {}", arguments.len());
        }
        let rest = arguments.split_off(least);
        let mut inner: Locals = function.parameters.iter().cloned().zip(arguments).collect();
        inner.extend(variadic.as_ref().map(|name| (name.clone(), Value::Array(rest))));
        self.value(&function.result, &inner).with_context(|| format!("function `{name}`"))
    }

    fn conditional(&self, conditional: &Conditional, locals: &Locals) -> Result<Value> {
        let chosen = match bool_of(&self.value(&conditional.cond_expr, locals)?)? {
            true => &conditional.true_expr,
            false => &conditional.false_expr,
        };
        self.value(chosen, locals)
    }

    fn operation(&self, operation: &Operation, locals: &Locals) -> Result<Value> {
        let BinaryOp { lhs_expr, operator, rhs_expr } = match operation {
            Operation::Unary(unary) => {
                let value = self.value(&unary.expr, locals)?;
                return Ok(match unary.operator {
                    UnaryOperator::Not => Value::Bool(!bool_of(&value)?),
                    UnaryOperator::Neg => number_of(-f64_of(&value)?),
                });
            }
            Operation::Binary(binary) => binary,
        };
        let left = self.value(lhs_expr, locals)?;
        // What decides alone decides.
        match operator {
            BinaryOperator::And if !bool_of(&left)? => return Ok(Value::Bool(false)),
            BinaryOperator::Or if bool_of(&left)? => return Ok(Value::Bool(true)),
            _ => {}
        }
        let right = self.value(rhs_expr, locals)?;
        let numbers = || Ok::<_, anyhow::Error>((f64_of(&left)?, f64_of(&right)?));
        Ok(match operator {
            BinaryOperator::And | BinaryOperator::Or => Value::Bool(bool_of(&right)?),
            BinaryOperator::Eq => Value::Bool(left == right),
            BinaryOperator::NotEq => Value::Bool(left != right),
            BinaryOperator::Less => numbers().map(|(a, b)| Value::Bool(a < b))?,
            BinaryOperator::LessEq => numbers().map(|(a, b)| Value::Bool(a <= b))?,
            BinaryOperator::Greater => numbers().map(|(a, b)| Value::Bool(a > b))?,
            BinaryOperator::GreaterEq => numbers().map(|(a, b)| Value::Bool(a >= b))?,
            BinaryOperator::Plus => numbers().map(|(a, b)| number_of(a + b))?,
            BinaryOperator::Minus => numbers().map(|(a, b)| number_of(a - b))?,
            BinaryOperator::Mul => numbers().map(|(a, b)| number_of(a * b))?,
            BinaryOperator::Div | BinaryOperator::Mod => match numbers()? {
                (_, 0.0) => bail!("division by zero"),
                (a, b) if *operator == BinaryOperator::Div => number_of(a / b),
                (a, b) => number_of(a % b),
            },
        })
    }

    /// `[for x in list: …]` and `{for k, v in map: k => v}`.
    fn each(&self, each: &ForExpr, locals: &Locals) -> Result<Value> {
        let (mut list, mut map) = (Vec::new(), Map::new());
        for (key, value) in pairs(self.value(&each.collection_expr, locals)?)? {
            let mut inner = locals.clone();
            inner.extend(each.key_var.as_ref().map(|name| (name.to_string(), key)));
            inner.push((each.value_var.to_string(), value));
            if let Some(condition) = &each.cond_expr
                && !bool_of(&self.value(condition, &inner)?)?
            {
                continue;
            }
            let value = self.value(&each.value_expr, &inner)?;
            let Some(key) = &each.key_expr else {
                list.push(value);
                continue;
            };
            let key = text_of(&self.value(key, &inner)?)?;
            if !each.grouping {
                map.insert(key, value);
            } else if let Value::Array(group) = map.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
                group.push(value);
            }
        }
        Ok(if each.key_expr.is_some() { Value::Object(map) } else { Value::Array(list) })
    }

    fn template_expression(&self, expression: &TemplateExpr, locals: &Locals) -> Result<Value> {
        let template = Template::from_expr(expression).map_err(|error| fault(Kind::Usage, error.to_string()))?;
        // One expression alone keeps its type.
        if let [Element::Interpolation(only)] = template.elements() {
            return self.value(&only.expr, locals);
        }
        self.template(&template, locals).map(Value::String)
    }

    fn template(&self, template: &Template, locals: &Locals) -> Result<String> {
        let mut text = String::new();
        for element in template.elements() {
            match element {
                Element::Literal(literal) => text.push_str(literal),
                Element::Interpolation(part) => text.push_str(&text_of(&self.value(&part.expr, locals)?)?),
                Element::Directive(directive) => match &**directive {
                    Directive::If(choice) => {
                        if bool_of(&self.value(&choice.cond_expr, locals)?)? {
                            text.push_str(&self.template(&choice.true_template, locals)?);
                        } else if let Some(other) = &choice.false_template {
                            text.push_str(&self.template(other, locals)?);
                        }
                    }
                    Directive::For(each) => {
                        for (key, value) in pairs(self.value(&each.collection_expr, locals)?)? {
                            let mut inner = locals.clone();
                            inner.extend(each.key_var.as_ref().map(|name| (name.to_string(), key)));
                            inner.push((each.value_var.to_string(), value));
                            text.push_str(&self.template(&each.template, &inner)?);
                        }
                    }
                },
            }
        }
        Ok(text)
    }
}

/// The keys and values of a list or map.
fn pairs(value: Value) -> Result<Vec<(Value, Value)>> {
    match value {
        Value::Array(items) => {
            Ok(items.into_iter().enumerate().map(|(index, item)| (Value::from(index), item)).collect())
        }
        Value::Object(map) => Ok(map.into_iter().map(|(key, item)| (Value::String(key), item)).collect()),
        other => bail!("`{other}` is neither a list nor a map"),
    }
}

/// An item of a list or map.
pub(super) fn item(value: &Value, key: &Value) -> Result<Value> {
    let found = match (value, key) {
        (Value::Object(map), key) => map.get(&text_of(key)?),
        (Value::Array(items), key) => usize::try_from(f64_of(key)? as i64).ok().and_then(|index| items.get(index)),
        (other, _) => bail!("`{other}` has no items"),
    };
    found.cloned().with_context(|| format!("there is no item {key}"))
}

/// A number, whole if it is.
pub(super) fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// A value as text.
pub(super) fn text_of(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(on) => Ok(on.to_string()),
        Value::Null => bail!("null stands where a text is expected"),
        other => bail!("`{other}` stands where a text is expected"),
    }
}

/// A value as a number.
pub(super) fn f64_of(value: &Value) -> Result<f64> {
    match value {
        Value::Number(number) => number.as_f64().context("the number does not fit"),
        Value::String(text) => text.parse().ok().with_context(|| format!("`{text}` is no number")),
        other => bail!("`{other}` is no number"),
    }
}

/// A value as true or false.
pub(super) fn bool_of(value: &Value) -> Result<bool> {
    match value {
        Value::Bool(on) => Ok(*on),
        Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
        other => bail!("`{other}` is neither true nor false"),
    }
}
