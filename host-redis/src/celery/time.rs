//! ISO 8601 as Celery writes and reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in seconds.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// `2026-11-22T14:16:47.445182+00:00`.
pub(super) fn iso(seconds: f64) -> String {
    let micros = (seconds * 1e6).round() as i64;
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = civil(days);
    let (second, micro) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+00:00")
}

/// The moment in Unix seconds; without an offset it counts as UTC, as in Celery. Nothing if it is no date.
pub(super) fn parse(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, offset) = match time.find(['+', '-', 'Z']) {
        Some(at) => (&time[..at], offset(&time[at..])?),
        None => (time, 0.0),
    };
    let mut time = time.splitn(3, ':');
    let hour: f64 = time.next()?.parse().ok()?;
    let minute: f64 = time.next()?.parse().ok()?;
    let second: f64 = time.next().unwrap_or("0").parse().ok()?;
    let inside = (1..=12).contains(&month) && (1..=31).contains(&day) && (0..=9999).contains(&year);
    let inside = inside && hour < 24.0 && minute < 60.0 && second < 61.0;
    inside.then(|| days(year, month, day) as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second - offset)
}

/// Seconds of `+02:00`, `-0330` or `Z`.
fn offset(text: &str) -> Option<f64> {
    let (sign, digits) = match text.split_at(1) {
        ("Z", "") => return Some(0.0),
        ("+", digits) => (1.0, digits.replace(':', "")),
        ("-", digits) => (-1.0, digits.replace(':', "")),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { "0" } else { minutes };
    Some(sign * (hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0))
}

/// Days since 1970 in the Gregorian calendar: years from March on, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let in_era = year.rem_euclid(400);
    let in_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let in_era = days.rem_euclid(146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (year, month) =
        (year + days.div_euclid(146_097) * 400, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00.000000+00:00", 0.0),
            ("2000-02-29T23:59:59.500000+00:00", 951_868_799.5),
            ("2026-11-22T14:16:47.445182+00:00", 1_795_357_007.445_182),
            ("1969-12-31T23:59:59.000000+00:00", -1.0),
        ] {
            assert_eq!(iso(seconds), text);
            assert!((parse(text).expect(text) - seconds).abs() < 1e-6, "{text}");
        }
        for n in -1_000_000..1_000_000 {
            let (year, month, day) = civil(n);
            assert_eq!(days(year, month, day), n);
        }
    }

    #[test]
    fn forms_that_celery_writes() {
        assert_eq!(parse("2026-11-22T14:00:00+02:00"), parse("2026-11-22T12:00:00"));
        assert_eq!(parse("2026-11-22 14:00:00Z"), parse("2026-11-22T14:00:00.0-00:00"));
        assert_eq!(parse("2026-11-22T08:30:00-0330"), parse("2026-11-22T12:00"));
        for bad in [
            "",
            "tomorrow",
            "2026-11-22",
            "2026-13-01T00:00:00",
            "2026-11-22T25:00:00",
            "2026-11-22T1:2:x",
            "T",
            "2026-11-22T00:00+x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
