//! Go's template language as a tree.

use super::functions;
use super::lex::{Piece, Token, pieces};
use std::collections::HashMap;

/// A part of a template.
#[derive(Debug, Clone)]
pub enum Node {
    Text(String),
    /// An action that prints, or only declares.
    Print(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Break,
    Continue,
    /// `template "name" pipeline`.
    Call(String, Option<Pipeline>),
}

/// Commands, each given the value of the one before as its last argument.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Variables that get the value.
    pub variables: Vec<String>,
    /// They are new.
    pub declares: bool,
    pub commands: Vec<Command>,
}

/// A value, or a function with arguments.
#[derive(Debug, Clone)]
pub struct Command {
    pub words: Vec<Term>,
}

/// A word of a command, with the fields that follow it.
#[derive(Debug, Clone)]
pub struct Term {
    pub base: Base,
    pub fields: Vec<String>,
}

/// What a word is.
#[derive(Debug, Clone)]
pub enum Base {
    Dot,
    Variable(String),
    Function(String),
    Group(Pipeline),
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Nil,
}

/// A template with those that it defines.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub main: Vec<Node>,
    pub defined: HashMap<String, Vec<Node>>,
}

/// Read a template. Errors: a sentence.
pub fn parse(text: &str) -> Result<Tree, String> {
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        defined: HashMap::new(),
        variables: vec![String::new()],
        ranges: 0,
    };
    let (main, end) = parser.body()?;
    match end {
        End::Nothing => Ok(Tree { main, defined: parser.defined }),
        End::Action => Err("there is an {{end}} too many".to_owned()),
        End::Else(_) => Err("there is an {{else}} without {{if}}".to_owned()),
    }
}

/// What ends a body.
enum End {
    Nothing,
    Action,
    /// With the tokens after `else`.
    Else(Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    defined: HashMap<String, Vec<Node>>,
    /// Variables that may be used here.
    variables: Vec<String>,
    ranges: usize,
}

impl Parser {
    fn body(&mut self) -> Result<(Vec<Node>, End), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let mut tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            tokens.reverse();
            skip_spaces(&mut tokens);
            let word = match tokens.last() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match word.as_str() {
                "end" => return Ok((nodes, End::Action)),
                "else" => {
                    tokens.pop();
                    return Ok((nodes, End::Else(tokens)));
                }
                "if" | "with" | "range" => {
                    tokens.pop();
                    nodes.push(self.control(&word, tokens)?);
                }
                "define" | "block" | "template" => {
                    tokens.pop();
                    nodes.extend(self.named(&word, tokens)?);
                }
                "break" | "continue" if tokens.len() == 1 => {
                    if self.ranges == 0 {
                        return Err(format!("there is a {{{{{word}}}}} outside of {{{{range}}}}"));
                    }
                    nodes.push(if word == "break" { Node::Break } else { Node::Continue });
                }
                _ => nodes.push(Node::Print(self.pipeline(&mut tokens, 1)?)),
            }
        }
        Ok((nodes, End::Nothing))
    }

    /// `if`, `with` and `range`, up to their `end`.
    fn control(&mut self, word: &str, mut tokens: Vec<Token>) -> Result<Node, String> {
        let known = self.variables.len();
        let pipeline = self.pipeline(&mut tokens, if word == "range" { 2 } else { 1 })?;
        self.ranges += usize::from(word == "range");
        let (body, end) = self.body()?;
        self.ranges -= usize::from(word == "range");
        let otherwise = match end {
            End::Nothing => return Err(format!("{{{{{word}}}}} has no {{{{end}}}}")),
            End::Action => Vec::new(),
            End::Else(mut rest) => {
                skip_spaces(&mut rest);
                match rest.last() {
                    None => match self.body()? {
                        (nodes, End::Action) => nodes,
                        _ => return Err("{{else}} needs {{end}}".to_owned()),
                    },
                    // `else if` is an `if` inside, with the same end.
                    Some(Token::Word(next)) if next == "if" && word == "if" => {
                        rest.pop();
                        vec![self.control("if", rest)?]
                    }
                    Some(_) => return Err("there is something after {{else".to_owned()),
                }
            }
        };
        self.variables.truncate(known);
        Ok(match word {
            "if" => Node::If(pipeline, body, otherwise),
            "with" => Node::With(pipeline, body, otherwise),
            _ => Node::Range(pipeline, body, otherwise),
        })
    }

    /// `define`, `block` and `template`.
    fn named(&mut self, word: &str, mut tokens: Vec<Token>) -> Result<Option<Node>, String> {
        skip_spaces(&mut tokens);
        let Some(Token::Text(name)) = tokens.pop() else { return Err(format!("{{{{{word}}}}} needs a name")) };
        skip_spaces(&mut tokens);
        let argument = if tokens.is_empty() { None } else { Some(self.pipeline(&mut tokens, 0)?) };
        if word == "template" {
            return Ok(Some(Node::Call(name, argument)));
        }
        let variables = std::mem::replace(&mut self.variables, vec![String::new()]);
        let (body, end) = self.body()?;
        self.variables = variables;
        let End::Action = end else { return Err(format!("{{{{{word}}}}} has no {{{{end}}}}")) };
        self.defined.insert(name.clone(), body);
        Ok((word == "block").then_some(Node::Call(name, argument)))
    }

    /// Tokens, last first, up to their end or a closing parenthesis; at most so many variables are given the value.
    fn pipeline(&mut self, tokens: &mut Vec<Token>, max_variables: usize) -> Result<Pipeline, String> {
        let (variables, declares) = self.declaration(tokens, max_variables)?;
        let mut commands = Vec::new();
        loop {
            let command = self.command(tokens)?;
            // Only the first may be a value; the others are given one.
            if !commands.is_empty()
                && !matches!(command.words[0].base, Base::Function(_))
                && is_constant(&command.words[0])
            {
                return Err("a value stands where a function is needed".to_owned());
            }
            commands.push(command);
            match tokens.last() {
                Some(Token::Sign('|')) => drop(tokens.pop()),
                Some(Token::Sign(')')) | None => break,
                Some(_) => return Err("something stands where none can be".to_owned()),
            }
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, declares, commands })
    }

    fn declaration(&mut self, tokens: &mut Vec<Token>, max: usize) -> Result<(Vec<String>, bool), String> {
        skip_spaces(tokens);
        let plain: Vec<&Token> = tokens.iter().rev().filter(|token| **token != Token::Space).collect();
        let (names, sign) = match plain.as_slice() {
            [Token::Variable(a), sign @ (Token::Declare | Token::Sign('=')), ..] => (vec![a.clone()], *sign),
            [
                Token::Variable(a),
                Token::Sign(','),
                Token::Variable(b),
                sign @ (Token::Declare | Token::Sign('=')),
                ..,
            ] => (vec![a.clone(), b.clone()], *sign),
            [Token::Variable(_), Token::Sign(','), ..] => return Err("there are too many variables".to_owned()),
            _ => return Ok((Vec::new(), false)),
        };
        if names.len() > max {
            return Err("there are too many variables".to_owned());
        }
        let declares = *sign == Token::Declare;
        if !declares && names.iter().any(|name| !self.variables.contains(name)) {
            return Err(format!("there is no variable `${}`", names[0]));
        }
        let sign = sign.clone();
        while tokens.pop().is_some_and(|token| token != sign) {}
        Ok((names, declares))
    }

    fn command(&mut self, tokens: &mut Vec<Token>) -> Result<Command, String> {
        let mut words = Vec::new();
        loop {
            skip_spaces(tokens);
            match tokens.last() {
                None | Some(Token::Sign('|' | ')')) => break,
                Some(_) => words.push(self.term(tokens)?),
            }
            if !matches!(tokens.last(), None | Some(Token::Space | Token::Sign('|' | ')'))) {
                return Err("a space is missing between two words".to_owned());
            }
        }
        match words.first() {
            None => Err("a value is missing".to_owned()),
            Some(Term { base: Base::Nil, .. }) => Err("nil is no command".to_owned()),
            Some(first) if words.len() > 1 && is_constant(first) => Err("a value is given arguments".to_owned()),
            Some(_) => Ok(Command { words }),
        }
    }

    fn term(&mut self, tokens: &mut Vec<Token>) -> Result<Term, String> {
        let mut fields = Vec::new();
        let base = match tokens.pop() {
            Some(Token::Dot) => Base::Dot,
            Some(Token::Field(name, _)) => {
                fields.push(name);
                Base::Dot
            }
            Some(Token::Variable(name)) if self.variables.contains(&name) => Base::Variable(name),
            Some(Token::Variable(name)) => return Err(format!("there is no variable `${name}`")),
            Some(Token::Text(text)) => Base::Text(text),
            Some(Token::Int(value)) => Base::Int(value),
            Some(Token::Float(value)) => Base::Float(value),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Base::Bool(true),
                "false" => Base::Bool(false),
                "nil" => Base::Nil,
                name if functions::exists(name) => Base::Function(word),
                _ => return Err(format!("there is no function `{word}`")),
            },
            Some(Token::Sign('(')) => {
                let inner = self.pipeline(tokens, 1)?;
                match tokens.pop() {
                    Some(Token::Sign(')')) => Base::Group(inner),
                    _ => return Err("a closing parenthesis is missing".to_owned()),
                }
            }
            _ => return Err("something stands where a value is needed".to_owned()),
        };
        while let Some(Token::Field(name, true)) = tokens.last() {
            if matches!(base, Base::Text(_) | Base::Int(_) | Base::Float(_) | Base::Bool(_) | Base::Nil) {
                return Err("a constant has no fields".to_owned());
            }
            fields.push(name.clone());
            tokens.pop();
        }
        Ok(Term { base, fields })
    }
}

/// Whether a word can be given no arguments at all.
fn is_constant(term: &Term) -> bool {
    matches!(term.base, Base::Text(_) | Base::Int(_) | Base::Float(_) | Base::Bool(_) | Base::Nil)
        || (matches!(term.base, Base::Dot) && term.fields.is_empty())
}

fn skip_spaces(tokens: &mut Vec<Token>) {
    while tokens.last() == Some(&Token::Space) {
        tokens.pop();
    }
}
