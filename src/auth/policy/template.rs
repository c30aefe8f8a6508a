//! Text of a policy that may hold wildcards and variables.

use super::context::{Context, canonical};
use super::glob::{Glob, Token};

/// What a text of a policy may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// `${name}`: the language of 2012 has it.
    pub(super) variables: bool,
    /// `*` and `?`.
    pub(super) wildcards: bool,
}

#[derive(Debug, Clone)]
enum Part {
    Plain(Token),
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// A text that may hold wildcards and variables.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads `text`. A `${` without its end is plain.
    pub(super) fn parse(text: &str, reading: Reading) -> Self {
        let mut parts = Vec::new();
        let mut left = text;
        while let Some(letter) = left.chars().next() {
            let inner = left.strip_prefix("${").filter(|_| reading.variables);
            if let Some((name, after)) = inner.and_then(|inner| inner.split_once('}')) {
                parts.push(variable(name));
                left = after;
                continue;
            }
            parts.push(Part::Plain(match letter {
                '*' if reading.wildcards => Token::Any,
                '?' if reading.wildcards => Token::One,
                letter => Token::Char(letter),
            }));
            left = left.get(letter.len_utf8()..).unwrap_or_default();
        }
        Self { parts }
    }

    /// Whether it stands for one text only, whatever the request.
    pub(super) fn is_fixed(&self) -> bool {
        let fixed = |part: &Part| matches!(part, Part::Plain(Token::Char(_)));
        self.parts.iter().all(fixed)
    }

    /// What stands before its one wildcard, where that is a `*` at the end and all else is fixed.
    pub(super) fn fixed_before_last_star(&self) -> Option<String> {
        let (Part::Plain(Token::Any), before) = self.parts.split_last()? else {
            return None;
        };
        let letters = before.iter().map(|part| match part {
            Part::Plain(Token::Char(letter)) => Some(letter),
            _ => None,
        });
        letters.collect()
    }

    /// Whether it has a variable.
    pub(super) fn varies(&self) -> bool {
        let varies = |part: &Part| matches!(part, Part::Variable { .. });
        self.parts.iter().any(varies)
    }

    /// Whether it has a variable whose key begins so, in its canonical form.
    pub(super) fn varies_by(&self, start: &str) -> bool {
        let varies =
            |part: &Part| matches!(part, Part::Variable { key, .. } if key.starts_with(start));
        self.parts.iter().any(varies)
    }

    /// It with the request's values for its variables, which are plain whatever they hold: nobody
    /// shall name themselves `*`. None where a variable has no value, or several.
    pub(super) fn fill(&self, context: &Context) -> Option<Vec<Token>> {
        let mut tokens = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Plain(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = match context.lookup(key) {
                        [value] => value,
                        [] => default.as_ref()?,
                        _ => return None,
                    };
                    tokens.extend(value.chars().map(Token::Char));
                }
            }
        }
        Some(tokens)
    }

    /// Whether it covers `text`, as a whole.
    pub(super) fn covers(&self, text: &str, context: &Context) -> bool {
        self.fill(context)
            .is_some_and(|tokens| Glob::new(tokens).matches_text(text))
    }

    /// [`Template::covers`] without regard to case.
    pub(super) fn covers_any_case(&self, text: &str, context: &Context) -> bool {
        let folded = |letter: char| letter.to_lowercase();
        self.fill(context).is_some_and(|tokens| {
            let lower = tokens.into_iter().flat_map(|token| match token {
                Token::Char(letter) => folded(letter).map(Token::Char).collect(),
                other => vec![other],
            });
            let text: Vec<char> = text.chars().flat_map(folded).collect();
            Glob::new(lower).matches(&text)
        })
    }

    /// Whether it covers the ARN `text`, each of its six parts for itself: a `*` does not reach
    /// over a colon, save in the last part. What has fewer parts is compared as a whole.
    pub(super) fn covers_arn(&self, text: &str, context: &Context) -> bool {
        let Some(tokens) = self.fill(context) else {
            return false;
        };
        let wanted: Vec<_> = tokens
            .splitn(ARN_PARTS, |t| *t == Token::Char(':'))
            .collect();
        let given: Vec<_> = text.splitn(ARN_PARTS, ':').collect();
        if wanted.len() < ARN_PARTS {
            return Glob::new(tokens).matches_text(text);
        }
        wanted.len() == given.len()
            && wanted
                .into_iter()
                .zip(given)
                .all(|(wanted, given)| Glob::new(wanted.iter().copied()).matches_text(given))
    }
}

/// `arn:partition:service:region:account:resource`.
const ARN_PARTS: usize = 6;

/// What stands between `${` and `}`: a key with or without a default, or a character that would
/// otherwise mean something.
fn variable(name: &str) -> Part {
    let mut letters = name.chars();
    if let (Some(letter @ ('*' | '?' | '$')), None) = (letters.next(), letters.next()) {
        return Part::Plain(Token::Char(letter));
    }
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => (key, quoted(default.trim())),
        None => (name, None),
    };
    let key = canonical(key.trim());
    Part::Variable { key, default }
}

fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(inner.to_owned())
}
