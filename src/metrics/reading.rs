//! Numbers that are read when they are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A number under its name. Several under one name must follow each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    name: &'static str,
    help: &'static str,
    counts: bool,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Reading {
    /// One that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: impl Into<Number>) -> Self {
        Self {
            name,
            help,
            counts: false,
            labels: Vec::new(),
            value: value.into().0,
        }
    }

    /// One that only grows; its name is told with `_total` behind it.
    pub fn counter(name: &'static str, help: &'static str, value: impl Into<Number>) -> Self {
        Self {
            counts: true,
            ..Self::gauge(name, help, value)
        }
    }

    /// The same with a label. Its value must be one of few, and no client's choice.
    #[must_use]
    pub fn labelled(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it is now.
    pub const fn value(&self) -> f64 {
        self.value
    }
}

/// A number as Prometheus keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(f64);

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<u64> for Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows no other numbers: exact up to 8 PiB"
    )]
    fn from(value: u64) -> Self {
        Self(value as f64)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self(value.into())
    }
}

impl From<i64> for Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows no other numbers: exact up to 8 PiB"
    )]
    fn from(value: i64) -> Self {
        Self(value as f64)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        u64::try_from(value).unwrap_or(u64::MAX).into()
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self(if value { 1.0 } else { 0.0 })
    }
}

/// What one answer tells.
#[derive(Debug)]
pub(super) struct Readings(pub(super) Vec<Reading>);

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for same in self.0.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = same.first() else { continue };
            let kind = if first.counts {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            let mut metric = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            for one in same {
                let mut place = metric.encode_family(&one.labels)?;
                if one.counts {
                    place.encode_counter::<NoLabelSet, f64, f64>(&one.value, None)?;
                } else {
                    place.encode_gauge(&one.value)?;
                }
            }
        }
        Ok(())
    }
}
