//! Running a template on a value.

use super::functions;
use super::parse::{Base, Command, Node, Pipeline, Term, Tree};
use super::print::plain;
use super::value::Value;

/// Templates in templates, at most.
const MAX_DEPTH: usize = 64;
/// More than a row can sensibly be.
const MAX_OUTPUT: usize = 64 << 20;

/// Why a body was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// The text that a template makes of a value. Errors: a sentence.
pub fn run(tree: &Tree, row: &Value) -> Result<String, String> {
    let mut run = Run { tree, variables: vec![(String::new(), row.clone())], out: String::new(), depth: 0 };
    run.body(&tree.main, row)?;
    Ok(run.out)
}

struct Run<'a> {
    tree: &'a Tree,
    /// Innermost last; the first, without a name, is `$`.
    variables: Vec<(String, Value)>,
    out: String,
    depth: usize,
}

impl Run<'_> {
    fn body(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
            if self.out.len() > MAX_OUTPUT {
                return Err("it makes too much text".to_owned());
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&plain(&value));
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(pipeline, body, otherwise) | Node::With(pipeline, body, otherwise) => {
                let known = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                let inner = if matches!(node, Node::With(..)) { &value } else { dot };
                let flow = if value.is_true() { self.body(body, inner) } else { self.body(otherwise, dot) };
                self.variables.truncate(known);
                return flow;
            }
            Node::Range(pipeline, body, otherwise) => {
                let known = self.variables.len();
                let flow = self.range(pipeline, body, otherwise, dot);
                self.variables.truncate(known);
                return flow;
            }
            Node::Call(name, argument) => {
                let body = self.tree.defined.get(name).ok_or_else(|| format!("there is no template `{name}`"))?;
                let argument = argument.as_ref().map_or(Ok(Value::Nil), |pipeline| self.pipeline(pipeline, dot))?;
                if self.depth >= MAX_DEPTH {
                    return Err("templates are nested too deep".to_owned());
                }
                let outer = std::mem::replace(&mut self.variables, vec![(String::new(), argument.clone())]);
                self.depth += 1;
                self.body(body, &argument)?;
                self.depth -= 1;
                self.variables = outer;
            }
        }
        Ok(Flow::On)
    }

    fn range(&mut self, pipeline: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, String> {
        let quiet = Pipeline { variables: Vec::new(), ..pipeline.clone() };
        let items: Vec<(Value, Value)> = match self.pipeline(&quiet, dot)? {
            Value::List(list) => {
                list.iter().enumerate().map(|(index, value)| (Value::Int(index as i64), value.clone())).collect()
            }
            Value::Map(fields) => fields.iter().map(|(key, value)| (Value::text(key), value.clone())).collect(),
            Value::Nil | Value::NilList | Value::Missing => Vec::new(),
            other => return Err(format!("there is no range over {}", other.kind())),
        };
        if items.is_empty() {
            return self.body(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, value) in items {
            match pipeline.variables.as_slice() {
                [one] => self.set(one, value.clone(), pipeline.declares),
                [first, second] => {
                    self.set(first, key, pipeline.declares);
                    self.set(second, value.clone(), pipeline.declares);
                }
                _ => {}
            }
            let flow = self.body(body, &value)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &str, value: Value, declares: bool) {
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, old)) if !declares => *old = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Missing);
        for name in &pipeline.variables {
            self.set(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    /// A command, with the value of the one before as its last argument.
    fn command(&mut self, command: &Command, dot: &Value, before: Option<Value>) -> Result<Value, String> {
        let (first, rest) = command.words.split_first().ok_or("a command is empty")?;
        let Base::Function(name) = &first.base else {
            // `.Label "name"` is the one method with an argument.
            if let ([label], [argument]) = (first.fields.as_slice(), rest)
                && label == "Label"
            {
                let labels = self.base(&first.base, dot)?.field("Labels")?;
                let found = functions::call("index", &[labels, self.term(argument, dot)?])?;
                return Ok(found);
            }
            if !rest.is_empty() || before.is_some() {
                return Err("what is no function is given arguments".to_owned());
            }
            return self.term(first, dot);
        };
        if let "and" | "or" = name.as_str() {
            return self.choice(name == "or", rest, dot, before);
        }
        let mut args = rest.iter().map(|term| self.term(term, dot)).collect::<Result<Vec<_>, _>>()?;
        args.extend(before);
        let value = functions::call(name, &args)?;
        first.fields.iter().try_fold(value, |value, name| value.field(name))
    }

    /// `and` and `or`: the first that decides, or the last.
    fn choice(&mut self, wanted: bool, terms: &[Term], dot: &Value, before: Option<Value>) -> Result<Value, String> {
        let mut last = None;
        for term in terms {
            let value = self.term(term, dot)?;
            if value.is_true() == wanted {
                return Ok(value);
            }
            last = Some(value);
        }
        before.or(last).ok_or_else(|| "and and or want arguments".to_owned())
    }

    fn term(&mut self, term: &Term, dot: &Value) -> Result<Value, String> {
        if let (Base::Function(name), true) = (&term.base, term.fields.is_empty()) {
            return functions::call(name, &[]);
        }
        let base = self.base(&term.base, dot)?;
        term.fields.iter().try_fold(base, |value, name| value.field(name))
    }

    fn base(&mut self, base: &Base, dot: &Value) -> Result<Value, String> {
        Ok(match base {
            Base::Dot => dot.clone(),
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).ok_or_else(|| format!("there is no variable `${name}`"))?
            }
            Base::Group(pipeline) => self.pipeline(pipeline, dot)?,
            Base::Text(text) => Value::text(text),
            Base::Int(value) => Value::Int(*value),
            Base::Float(value) => Value::Float(*value),
            Base::Bool(value) => Value::Bool(*value),
            Base::Nil => Value::Nil,
            Base::Function(name) => functions::call(name, &[])?,
        })
    }
}
