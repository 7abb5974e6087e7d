//! How long a model stays in memory after a request (ollama/api/types.go, `Duration`).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Seconds; without an end where infinite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct KeepAlive(f64);

/// The longest time that Ollama can hold, in seconds. What it makes of a number beyond depends on the processor: nothing
/// at all, or the longest time.
const LONGEST: f64 = i64::MAX as f64 / 1e9;

impl KeepAlive {
    pub(crate) const SHAPE: &'static str = "seconds as a number, or a time such as \"5m\" or \"1h30m\"";

    /// Whether it is, or may be taken for, next to nothing, so that the model leaves at once.
    pub(super) fn is_none(self) -> bool {
        self.0 < 1.0 || self.0.is_finite() && self.0 >= LONGEST
    }

    fn of_seconds(seconds: f64) -> Self {
        if seconds < 0.0 {
            Self(f64::INFINITY)
        } else {
            Self(seconds)
        }
    }

    /// As Go's `time.ParseDuration` reads it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, text.strip_prefix('+').unwrap_or(text)),
        };
        if text == "0" {
            return Some(Self(0.0));
        }
        let (mut seconds, mut rest) = (0.0, text);
        loop {
            let digits = rest.find(|one: char| !(one.is_ascii_digit() || one == '.'))?;
            let (number, after) = rest.split_at(digits);
            let unit = after
                .find(|one: char| one.is_ascii_digit() || one == '.')
                .unwrap_or(after.len());
            seconds += number.parse::<f64>().ok()? * unit_seconds(&after[..unit])?;
            rest = &after[unit..];
            if rest.is_empty() {
                return Some(Self::of_seconds(sign * seconds));
            }
        }
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for KeepAlive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeepAliveVisitor)
    }
}

struct KeepAliveVisitor;

impl Visitor<'_> for KeepAliveVisitor {
    type Value = KeepAlive;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(KeepAlive::SHAPE)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<KeepAlive, E> {
        Ok(KeepAlive::of_seconds(seconds as f64))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<KeepAlive, E> {
        Ok(KeepAlive::of_seconds(seconds as f64))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<KeepAlive, E> {
        Ok(KeepAlive::of_seconds(seconds))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<KeepAlive, E> {
        KeepAlive::parse(text).ok_or_else(|| E::custom(KeepAlive::SHAPE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_nothing_is_told_in_every_spelling() {
        let cases = [
            ("0", Some(true)),
            ("0.0", Some(true)),
            ("-0", Some(true)),
            ("0e9", Some(true)),
            ("1e-10", Some(true)),
            ("1e300", Some(true)),
            ("9223372037", Some(true)),
            ("1", Some(false)),
            ("300", Some(false)),
            ("-1", Some(false)),
            ("-0.5", Some(false)),
            (r#""0""#, Some(true)),
            (r#""+0""#, Some(true)),
            (r#""-0s""#, Some(true)),
            (r#""0s""#, Some(true)),
            (r#""0h0m0.0s""#, Some(true)),
            (r#""\u0030m""#, Some(true)),
            (r#""999ms""#, Some(true)),
            (r#""1ns""#, Some(true)),
            (r#""3\u00b5s""#, Some(true)),
            (r#""1s""#, Some(false)),
            (r#""1h30m""#, Some(false)),
            (r#""-1s""#, Some(false)),
            (r#""5""#, None),
            (r#""""#, None),
            (r#""5 m""#, None),
            (r#""m""#, None),
            ("true", None),
            ("[0]", None),
            ("1e999", None),
        ];
        for (json, is_none) in cases {
            let read = serde_json::from_str::<KeepAlive>(json).ok();
            assert_eq!(read.map(KeepAlive::is_none), is_none, "{json}");
        }
    }
}
