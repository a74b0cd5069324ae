//! Days and instants as text, as SQLite's date functions write them.
//!
//! A DATE is `YYYY-MM-DD`; a TIMESTAMP is `YYYY-MM-DD HH:MM:SS` in UTC, with three or six digits of a second behind it where it has a fraction.
//! Years are those of four digits, so that texts sort as the times do.

/// A day, in microseconds.
pub const DAY: i64 = 86_400_000_000;

/// The first day of the year 0 and the last one of 9999, from 1970-01-01 on.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// The day of a date, from 1970-01-01 on; `None` where the text is none.
pub fn parse_date(text: &str) -> Option<i64> {
    match date(text)? {
        (day, "") => Some(day),
        _ => None,
    }
}

/// A date as text; `None` for one outside the years 0 to 9999.
pub fn show_date(day: i64) -> Option<String> {
    if !DAYS.contains(&day) {
        return None;
    }
    // Days from the first of March of year 0 on, so that the leap day is the last of its year; an era has 400 years.
    let from_march = day + 719_468;
    let era = from_march.div_euclid(146_097);
    let of_era = from_march.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(format!("{year:04}-{month:02}-{day_of_month:02}"))
}

/// The microseconds of an instant, from 1970-01-01 00:00:00 UTC on; `None` where the text is none, or tells it more finely. A time may be left
/// out, or its seconds; behind it `Z` or a distance from UTC may stand.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (day, rest) = date(text)?;
    let Some(rest) = rest.strip_prefix([' ', 'T']) else {
        return rest.is_empty().then_some(day * DAY);
    };
    let (hours, rest) = number(rest, 2)?;
    let (minutes, mut rest) = number(rest.strip_prefix(':')?, 2)?;
    let (mut seconds, mut micros) = (0, 0);
    if let Some(behind) = rest.strip_prefix(':') {
        (seconds, rest) = number(behind, 2)?;
        if let Some(behind) = rest.strip_prefix('.') {
            let digits = behind.len()
                - behind
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .len();
            let (fraction, end) = behind.split_at(digits);
            let (kept, lost) = fraction.split_at(digits.min(6));
            if kept.is_empty() || lost.contains(|c| c != '0') {
                return None;
            }
            micros = format!("{kept:0<6}").parse().ok()?;
            rest = end;
        }
    }
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let offset = offset_minutes(rest)?;
    let minutes = day * 1440 + hours * 60 + minutes - offset;
    let instant = (minutes * 60 + seconds) * 1_000_000 + micros;
    DAYS.contains(&instant.div_euclid(DAY)).then_some(instant)
}

/// An instant as text; `None` for one outside the years 0 to 9999.
pub fn show_timestamp(instant: i64) -> Option<String> {
    let date = show_date(instant.div_euclid(DAY))?;
    let of_day = instant.rem_euclid(DAY);
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let fraction = match micros {
        0 => String::new(),
        _ if micros % 1000 == 0 => format!(".{:03}", micros / 1000),
        _ => format!(".{micros:06}"),
    };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!(
        "{date} {hours:02}:{minutes:02}:{seconds:02}{fraction}"
    ))
}

/// The day that a text begins with, and what stands behind it.
fn date(text: &str) -> Option<(i64, &str)> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    Some((era * 146_097 + of_era - 719_468, rest))
}

/// `Z`, `+HH:MM`, `-HH:MM` or nothing.
fn offset_minutes(text: &str) -> Option<i64> {
    let sign = match text.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, rest) = number(&text[1..], 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2)?;
    (rest.is_empty() && hours <= 14 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

/// A number of so many digits.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    let is_number = head.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some((head.parse().ok()?, rest)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_comes_back_and_they_sort_as_texts() {
        let mut before = String::new();
        for day in DAYS {
            let text = show_date(day).unwrap();
            assert_eq!(parse_date(&text), Some(day), "{text}");
            assert!(before < text, "{before} {text}");
            before = text;
        }
        assert_eq!(show_date(0).as_deref(), Some("1970-01-01"));
        assert_eq!(show_date(*DAYS.start()).as_deref(), Some("0000-01-01"));
        assert_eq!(show_date(*DAYS.end()).as_deref(), Some("9999-12-31"));
        assert_eq!(
            (show_date(DAYS.start() - 1), show_date(DAYS.end() + 1)),
            (None, None)
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2024",
            "2024-1-1",
            "2024-13-01",
            "2024-00-01",
            "2023-02-29",
            "1900-02-29",
            "2024-04-31",
            "2024-01-00",
            " 2024-01-01",
            "2024-01-01 ",
            "2024-01-01 00:00:00",
            "-001-01-01",
            "12024-01-01",
            "٢٠٢٤-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert!(parse_date("2000-02-29").is_some());
    }

    #[test]
    fn instants_are_told_in_utc() {
        let shown = |text: &str| parse_timestamp(text).and_then(show_timestamp);
        for (text, expected) in [
            ("2024-02-29", "2024-02-29 00:00:00"),
            ("2024-02-29 12:34", "2024-02-29 12:34:00"),
            ("2024-02-29T12:34:56", "2024-02-29 12:34:56"),
            ("2024-02-29 12:34:56.5", "2024-02-29 12:34:56.500"),
            ("2024-02-29 12:34:56.000001", "2024-02-29 12:34:56.000001"),
            ("2024-02-29 12:34:56.1234560", "2024-02-29 12:34:56.123456"),
            ("2024-02-29 23:30:00Z", "2024-02-29 23:30:00"),
            ("2024-02-29 23:30:00-01:00", "2024-03-01 00:30:00"),
            ("1969-12-31 23:59:59.999", "1969-12-31 23:59:59.999"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "2024-02-29 24:00:00",
            "2024-02-29 12:60",
            "2024-02-29 12:34:60",
            "2024-02-29 12:34:56.1234567",
            "2024-02-29 12",
            "2024-02-29 12:34:56.",
            "2024-02-29 12:34:56 UTC",
            "2024-02-29 12:34+1",
            "now",
            "0000-01-01 00:00+00:01",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
