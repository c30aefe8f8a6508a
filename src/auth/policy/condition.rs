//! Conditions: a key of the request, compared with values.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::context::{Context, canonical};
use super::fault::PolicyFault;
use super::operator::{Operator, Order, Set, Test};
use super::template::{Reading, Template};
use crate::network::Network;

/// A value of a condition, read as its operator needs it.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Text(Template),
    Number(f64),
    Date(Timestamp),
    Binary(Vec<u8>),
    Network(Network),
    Absent(bool),
}

/// One key under one operator.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    /// In its canonical form.
    pub(super) key: String,
    pub(super) operands: Vec<Operand>,
}

impl Condition {
    /// Reads the values of `key` under the operator called `name`.
    pub(super) fn parse(
        name: &str,
        key: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Self, PolicyFault> {
        let operator = Operator::named(name).ok_or_else(|| PolicyFault::Operator {
            operator: name.to_owned(),
        })?;
        let key = canonical(key);
        // An address is an address whatever it is compared by.
        if is_address(&key) && operator.test != Test::Null {
            let valid = values.iter().all(|value| Network::parse(value).is_some());
            valid.then_some(()).ok_or(PolicyFault::IpAddress)?;
        }
        let operands = values.iter().map(|value| {
            operand(operator.test, value, variables).ok_or_else(|| match operator.test {
                Test::Address => PolicyFault::IpAddress,
                _ => PolicyFault::ConditionValue {
                    operator: name.to_owned(),
                },
            })
        });
        let operands = operands.collect::<Result<_, _>>()?;
        Ok(Self {
            operator,
            key,
            operands,
        })
    }

    /// Whether one of its values has a variable whose key begins so.
    pub(super) fn varies_by(&self, start: &str) -> bool {
        self.operands.iter().any(|operand| match operand {
            Operand::Text(template) => template.varies_by(start),
            _ => false,
        })
    }

    /// Whether it holds for the request.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let Operator {
            set,
            test,
            negated,
            if_exists,
        } = self.operator;
        let values = context.lookup(&self.key);
        if test == Test::Null {
            let absent = values.is_empty();
            let meant = |operand: &Operand| matches!(operand, Operand::Absent(a) if *a == absent);
            return self.operands.iter().any(meant);
        }
        if values.is_empty() {
            return if_exists
                || match set {
                    // What is not there is not what it must not be.
                    Set::One => negated,
                    Set::All => true,
                    Set::Any => false,
                };
        }
        let meant = |value: &String| {
            let mut operands = self.operands.iter();
            operands.any(|operand| compare(test, operand, value, context)) != negated
        };
        match set {
            // Of a key with several values, none may be what it must not be.
            Set::One if negated => values.iter().all(meant),
            Set::One | Set::Any => values.iter().any(meant),
            Set::All => values.iter().all(meant),
        }
    }
}

fn is_address(key: &str) -> bool {
    matches!(key, "aws:sourceip" | "aws:vpcsourceip")
}

fn operand(test: Test, value: &str, variables: bool) -> Option<Operand> {
    let text = |wildcards, variables| {
        let reading = Reading {
            variables,
            wildcards,
        };
        Operand::Text(Template::parse(value, reading))
    };
    Some(match test {
        Test::Text | Test::TextAnyCase => text(false, variables),
        Test::Like | Test::Arn => text(true, variables),
        Test::Number(_) => Operand::Number(number(value)?),
        Test::Date(_) => Operand::Date(date(value)?),
        Test::Bool => {
            flag(value)?;
            text(false, false)
        }
        Test::Binary => Operand::Binary(STANDARD.decode(value).ok()?),
        Test::Address => Operand::Network(Network::parse(value)?),
        Test::Null => Operand::Absent(flag(value)?),
    })
}

fn compare(test: Test, operand: &Operand, value: &str, context: &Context) -> bool {
    match (test, operand) {
        (Test::Text | Test::Like, Operand::Text(wanted)) => wanted.covers(value, context),
        (Test::TextAnyCase | Test::Bool, Operand::Text(wanted)) => {
            wanted.covers_any_case(value, context)
        }
        (Test::Arn, Operand::Text(wanted)) => wanted.covers_arn(value, context),
        (Test::Number(order), Operand::Number(wanted)) => {
            let found = number(value).and_then(|value| value.partial_cmp(wanted));
            found.is_some_and(|found| order.admits(found))
        }
        (Test::Date(order), Operand::Date(wanted)) => on_date(order, *wanted, value),
        (Test::Binary, Operand::Binary(wanted)) => {
            STANDARD.decode(value).is_ok_and(|value| value == *wanted)
        }
        (Test::Address, Operand::Network(network)) => value
            .parse::<IpAddr>()
            .is_ok_and(|address| network.contains(address)),
        _ => false,
    }
}

fn on_date(order: Order, wanted: Timestamp, value: &str) -> bool {
    date(value).is_some_and(|value| order.admits(value.cmp(&wanted)))
}

fn flag(text: &str) -> Option<bool> {
    let is = |wanted: &str| text.eq_ignore_ascii_case(wanted);
    if is("true") {
        return Some(true);
    }
    is("false").then_some(false)
}

fn number(text: &str) -> Option<f64> {
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    // `parse` would take `inf` and `NaN`.
    let number: f64 = text.bytes().all(plain).then(|| text.parse().ok())??;
    number.is_finite().then_some(number)
}

/// One of the W3C's profiles of ISO 8601 (a year, a month, a day, or a moment with its zone), or
/// seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let full = match text.len() {
        4 if digits => format!("{text}-01-01T00:00:00Z"),
        _ if digits => return Timestamp::from_second(text.parse().ok()?).ok(),
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    full.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_in_all_their_forms() {
        let new_year = Timestamp::from_second(1_577_836_800).unwrap();
        for text in [
            "2020",
            "2020-01",
            "2020-01-01",
            "2020-01-01T00:00Z",
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00.000Z",
            "2020-01-01T01:00:00+01:00",
            "1577836800",
        ] {
            assert_eq!(date(text), Some(new_year), "{text}");
        }
        for text in ["", "soon", "2020-13", "2020-01-01T00:00:00", "-5"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(number("1.20"), Some(1.2));
        assert_eq!(number("-3"), Some(-3.0));
        for text in ["", "inf", "NaN", "1e999", "1,5", "0x1", "e"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
