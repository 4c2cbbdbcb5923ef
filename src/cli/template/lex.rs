//! Tokens of Go's template language: <https://pkg.go.dev/text/template>.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// What stands between actions.
    Text(String),
    /// The tokens between `{{` and `}}`.
    Action(Vec<Token>),
}

/// A token inside an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// `range`, `upper`, `true`, …
    Word(String),
    /// `$` or `$name`.
    Variable(String),
    /// `.Name`; with true if it follows what is before without a space.
    Field(String, bool),
    /// `.` alone.
    Dot,
    Text(String),
    Int(i64),
    Float(f64),
    /// `|`, `(`, `)`, `,`, `=`.
    Sign(char),
    /// `:=`.
    Declare,
    /// A space, which matters between a value and `.Field`.
    Space,
}

/// Cut a template into pieces, with the trim markers done.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let mut plain = if trim_next { before.trim_start_matches(SPACES) } else { before };
        let Some(mut inside) = after else {
            if !plain.is_empty() {
                out.push(Piece::Text(plain.to_owned()));
            }
            return Ok(out);
        };
        if inside.starts_with('-') && inside[1..].starts_with(SPACES) {
            plain = plain.trim_end_matches(SPACES);
            inside = &inside[1..];
        }
        if !plain.is_empty() {
            out.push(Piece::Text(plain.to_owned()));
        }
        let comment = inside.trim_start_matches(SPACES);
        if comment.starts_with("/*") {
            let end = comment.find("*/").ok_or("a comment has no end")?;
            let tail = &comment[end + 2..];
            let spaced = tail.trim_start_matches(SPACES);
            (trim_next, rest) = match (tail.strip_prefix("}}"), spaced.strip_prefix("-}}")) {
                (Some(rest), _) => (false, rest),
                (None, Some(rest)) if spaced.len() < tail.len() => (true, rest),
                _ => return Err("a comment must be the whole action".to_owned()),
            };
            continue;
        }
        let (tokens, tail, trimmed) = action(inside)?;
        out.push(Piece::Action(tokens));
        (trim_next, rest) = (trimmed, tail);
    }
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// The tokens of an action, what follows it, and whether the space after it is trimmed.
fn action(text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        if let Some(tail) = rest.strip_prefix("}}") {
            return Ok((tokens, tail, false));
        }
        let first = rest.chars().next().ok_or("an action has no end: }} is missing")?;
        if SPACES.contains(&first) {
            let tail = rest.trim_start_matches(SPACES);
            if let Some(tail) = tail.strip_prefix("-}}") {
                return Ok((tokens, tail, true));
            }
            tokens.push(Token::Space);
            rest = tail;
            continue;
        }
        let (token, tail) = token(rest, first, &tokens)?;
        tokens.push(token);
        rest = tail;
    }
}

fn token<'a>(rest: &'a str, first: char, before: &[Token]) -> Result<(Token, &'a str), String> {
    let word = |text: &'a str| {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        text.split_at(end)
    };
    match first {
        '"' => quoted(rest),
        '`' => {
            let end = rest[1..].find('`').ok_or("a text has no end")?;
            Ok((Token::Text(rest[1..1 + end].to_owned()), &rest[end + 2..]))
        }
        '\'' => {
            let end = rest[1..].find('\'').ok_or("a character has no end")?;
            let text = format!("\"{}\"", &rest[1..1 + end]);
            let Ok((Token::Text(text), _)) = quoted(&text) else { return Err("a wrong character".to_owned()) };
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok((Token::Int(u32::from(c).into()), &rest[end + 2..])),
                _ => Err("a character is one character".to_owned()),
            }
        }
        '.' if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') => {
            let (name, tail) = word(&rest[1..]);
            let joined = !matches!(
                before.last(),
                None | Some(Token::Space | Token::Sign('(' | '|' | ',' | '=') | Token::Declare)
            );
            Ok((Token::Field(name.to_owned(), joined), tail))
        }
        '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            if !matches!(before.last(), None | Some(Token::Space | Token::Sign(_) | Token::Declare)) {
                return Err("a `.` stands where none can be".to_owned());
            }
            Ok((Token::Dot, &rest[1..]))
        }
        '$' => {
            let (name, tail) = word(&rest[1..]);
            Ok((Token::Variable(name.to_owned()), tail))
        }
        ':' if rest.starts_with(":=") => Ok((Token::Declare, &rest[2..])),
        '|' | '(' | ')' | ',' | '=' => Ok((Token::Sign(first), &rest[1..])),
        '0'..='9' | '+' | '-' | '.' => number(rest),
        c if c.is_alphabetic() || c == '_' => {
            let (name, tail) = word(rest);
            Ok((Token::Word(name.to_owned()), tail))
        }
        other => Err(format!("`{other}` stands where none can be")),
    }
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let hex = text[sign..].starts_with("0x") || text[sign..].starts_with("0X");
    let mut end = sign;
    for c in text[sign..].chars() {
        let after_e = !hex && matches!(text[..end].chars().last(), Some('e' | 'E'));
        if c.is_ascii_alphanumeric() || c == '_' || c == '.' || (after_e && (c == '+' || c == '-')) {
            end += c.len_utf8();
        } else {
            break;
        }
    }
    let (digits, tail) = text.split_at(end);
    let plain = digits.replace('_', "");
    let body = plain.trim_start_matches(['+', '-']);
    let value = match body.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => i64::from_str_radix(&body[2..], 16).ok(),
        Some("0o") => i64::from_str_radix(&body[2..], 8).ok(),
        Some("0b") => i64::from_str_radix(&body[2..], 2).ok(),
        _ if body.len() > 1 && body.starts_with('0') => i64::from_str_radix(&body[1..], 8).ok(),
        _ => body.parse().ok(),
    };
    if let Some(value) = value {
        return Ok((Token::Int(if plain.starts_with('-') { -value } else { value }), tail));
    }
    plain.parse().map(|value| (Token::Float(value), tail)).map_err(|_| format!("`{digits}` is not a number"))
}

/// A text in double quotes, with Go's escapes.
fn quoted(text: &str) -> Result<(Token, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(out), &text[at + 1..])),
            '\n' => break,
            '\\' => {
                let (_, escape) = chars.next().ok_or("a text has no end")?;
                let mut digits = |count: usize| -> Result<u32, String> {
                    let digits: String = chars.by_ref().take(count).map(|(_, c)| c).collect();
                    u32::from_str_radix(&digits, 16).map_err(|_| format!("`\\{escape}{digits}` is no escape"))
                };
                out.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '\\' | '"' | '\'' => escape,
                    'x' => char::from_u32(digits(2)?).ok_or("a wrong escape")?,
                    'u' => char::from_u32(digits(4)?).ok_or("a wrong escape")?,
                    'U' => char::from_u32(digits(8)?).ok_or("a wrong escape")?,
                    other => return Err(format!("`\\{other}` is no escape")),
                });
            }
            other => out.push(other),
        }
    }
    Err("a text has no end".to_owned())
}
