//! Dates in character strings, as `START_DATE`, `EXPIRY_DATE` and comparisons with `datetime` columns write them.
//!
//! Understood, with or without a time behind: `20260131`, `2026-01-31`, `01/31/2026` (month first, the US default); a
//! time is `12:00`, `12:00:00` or `12:00:00.000`, after a blank or a `T`. All of it is UTC.
//! Source: documented, *CREATE CERTIFICATE* ("any format convertible to datetime"); the choice of formats is ours.

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::error::{SqlError, msg};
use crate::types::WallTime;

/// The instant a character string names.
///
/// Errors: 241, when it is not a date in one of the formats or lies outside the years 1753 to 9999.
pub fn parse_datetime(text: &str) -> Result<WallTime, SqlError> {
    instant(text.trim()).ok_or_else(|| msg::DATE_CONVERSION.with(&[&text]))
}

fn instant(text: &str) -> Option<WallTime> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, clock(time.trim_start())?),
        None => (text, Time::MIDNIGHT),
    };
    let at = PrimitiveDateTime::new(calendar(date)?, time).assume_utc();
    let millis = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?;
    Some(WallTime::from_unix_millis(millis))
}

fn calendar(text: &str) -> Option<Date> {
    let (year, month, day) = if text.len() == 8 && text.is_ascii() && !text.contains(['-', '/']) {
        (&text[..4], &text[4..6], &text[6..])
    } else if text.contains('/') {
        let [month, day, year] = split(text, '/')?;
        (year, month, day)
    } else {
        let [year, month, day] = split(text, '-')?;
        (year, month, day)
    };
    if year.len() != 4 || !(1..=2).contains(&month.len()) || !(1..=2).contains(&day.len()) {
        return None;
    }
    let year = i32::try_from(number(year)?).ok()?;
    let month = Month::try_from(u8::try_from(number(month)?).ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, u8::try_from(number(day)?).ok()?).ok()?;
    (1753..=9999).contains(&year).then_some(date)
}

fn clock(text: &str) -> Option<Time> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, "0"),
    };
    let mut parts = whole.split(':');
    let hour = number(parts.next()?)?;
    let minute = number(parts.next()?)?;
    let second = parts.next().map_or(Some(0), number)?;
    if parts.next().is_some() || !(1..=3).contains(&fraction.len()) {
        return None;
    }
    let milli = number(fraction)? * 10u32.pow(3 - u32::try_from(fraction.len()).ok()?);
    Time::from_hms_milli(
        u8::try_from(hour).ok()?,
        u8::try_from(minute).ok()?,
        u8::try_from(second).ok()?,
        u16::try_from(milli).ok()?,
    )
    .ok()
}

fn split(text: &str, by: char) -> Option<[&str; 3]> {
    let mut parts = text.split(by);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

fn number(digits: &str) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_formats_are_understood() {
        for (text, shown) in [
            ("20260131", "2026-01-31 00:00:00.000"),
            ("2026-01-31", "2026-01-31 00:00:00.000"),
            ("01/31/2026", "2026-01-31 00:00:00.000"),
            ("1/3/2026", "2026-01-03 00:00:00.000"),
            ("2026-01-31 12:00:00", "2026-01-31 12:00:00.000"),
            ("2026-01-31T12:30", "2026-01-31 12:30:00.000"),
            ("20260131 23:59:59.5", "2026-01-31 23:59:59.500"),
        ] {
            assert_eq!(parse_datetime(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_date_is_241() {
        for text in [
            "",
            "tomorrow",
            "20260230",
            "31/01/2026",
            "2026-13-01",
            "2026-01-31 25:00",
            "2026-01",
            "1-2-3-4",
            "0999-01-01",
            "2026-01-31 12:00:00.0000",
            "２０２６０１３１",
        ] {
            assert_eq!(parse_datetime(text).unwrap_err().number, 241, "{text}");
        }
    }
}
