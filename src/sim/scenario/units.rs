//! Durations and seed lists as scenarios and the command line write them.

use std::time::Duration;

/// Reads `12s`, `1.5s`, `250ms`, `2m`, `1h`, `1m30s`. Exact to the microsecond; `None` for anything else, or beyond
/// a year.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const YEAR: u64 = 365 * 24 * 3600 * 1_000_000;
    let mut rest = text.trim();
    let mut micros: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let scale: u64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return None,
        };
        micros = micros.checked_add(scaled(number, scale)?)?;
        rest = after.trim_start();
    }
    (micros <= YEAR).then(|| Duration::from_micros(micros))
}

/// `1.25` times `scale`, exactly or not at all.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    let denominator = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: u64 = fraction.parse().ok()?;
    let part = fraction.checked_mul(scale)?;
    if part % denominator != 0 {
        return None;
    }
    whole.checked_mul(scale)?.checked_add(part / denominator)
}

/// Most seeds one list may name.
pub const SEEDS_MAX: u64 = 1_000_000;

/// Reads `7`, `1..3` (1, 2 and 3) and lists of these separated by commas; at most a million seeds.
pub fn parse_seeds(text: &str) -> Option<Vec<u64>> {
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once("..") {
            Some((first, last)) => (first.trim(), last.trim().trim_start_matches('=')),
            None => (part.trim(), part.trim()),
        };
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last - first >= SEEDS_MAX || seeds.len() as u64 + (last - first) >= SEEDS_MAX {
            return None;
        }
        seeds.extend(first..=last);
    }
    Some(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("12s"), Some(Duration::from_secs(12)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("250 ms"), None);
        for bad in [
            "",
            "12",
            "s",
            "-1s",
            "1.s",
            ".5s",
            "1d",
            "1e3s",
            "1..2s",
            "99999999h",
            "0.0000001s",
            "1s x",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_of_seeds_includes_both_ends() {
        assert_eq!(parse_seeds("1..3"), Some(vec![1, 2, 3]));
        assert_eq!(parse_seeds("7, 1..2"), Some(vec![7, 1, 2]));
        for bad in ["", "a", "3..1", "1..", "-1", "0..99999999", "1,,2"] {
            assert_eq!(parse_seeds(bad), None, "{bad}");
        }
    }
}
