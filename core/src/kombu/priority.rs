//! What a priority number means on Kombu's wire.

use super::json::Json;

/// A priority in Kombu's sense on Redis: 0 to 9, and **0 is taken first**.
///
/// AMQP counts the other way round; [`from_amqp`](Priority::from_amqp) converts, nothing else does.
///
/// ```
/// use keyrail_core::kombu::Priority;
///
/// assert_eq!(Priority::new(255), Priority::LAST);
/// assert!(Priority::FIRST < Priority::LAST);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Taken before all others; what a message has that says nothing.
    pub const FIRST: Priority = Priority(0);
    /// Taken after all others.
    pub const LAST: Priority = Priority(9);

    /// A priority in Kombu's sense; above 9 counts as 9.
    ///
    /// ```
    /// use keyrail_core::kombu::Priority;
    ///
    /// assert_eq!(Priority::new(4).get(), 4);
    /// ```
    pub const fn new(number: u8) -> Self {
        if number > 9 { Priority::LAST } else { Priority(number) }
    }

    /// The Kombu priority for an AMQP one, where a larger number is served first: 9 and above become 0, 0 becomes 9.
    ///
    /// ```
    /// use keyrail_core::kombu::Priority;
    ///
    /// assert_eq!(Priority::from_amqp(9), Priority::FIRST);
    /// assert_eq!(Priority::from_amqp(0), Priority::LAST);
    /// ```
    pub const fn from_amqp(number: u8) -> Self {
        Priority(9 - Priority::new(number).0)
    }

    /// The priority that Kombu finds in `properties.priority`, whatever stands there.
    ///
    /// Python's `int` decides: a text of digits counts, a fraction is cut, everything else is 0; then 0 to 9.
    ///
    /// ```
    /// use keyrail_core::kombu::{Json, Priority};
    ///
    /// assert_eq!(Priority::of(&Json::from("7")).get(), 7);
    /// assert_eq!(Priority::of(&Json::from(4.9)).get(), 4);
    /// assert_eq!(Priority::of(&Json::from(-5)).get(), 0);
    /// assert_eq!(Priority::of(&Json::Null).get(), 0);
    /// ```
    pub fn of(property: &Json) -> Self {
        match property {
            Json::Bool(flag) => Priority(u8::from(*flag)),
            Json::Int(number) => Priority((*number).clamp(0, 9) as u8),
            Json::BigInt(number) => Priority(if number.as_str().starts_with('-') { 0 } else { 9 }),
            // A cast saturates, and NaN becomes 0.
            Json::Float(number) => Priority::new(*number as u8),
            Json::String(text) => digits(text),
            Json::Null | Json::Array(_) | Json::Object(_) => Priority::FIRST,
        }
    }

    /// The number, 0 to 9.
    ///
    /// ```
    /// use keyrail_core::kombu::Priority;
    ///
    /// assert_eq!(Priority::default().get(), 0);
    /// ```
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl From<Priority> for Json {
    fn from(priority: Priority) -> Self {
        Json::Int(priority.0.into())
    }
}

/// Python's `int(text)` for ASCII digits, with its blanks, sign and single underscores.
fn digits(text: &str) -> Priority {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut number = 0u8;
    for part in digits.split(|byte| *byte == b'_') {
        if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
            return Priority::FIRST;
        }
        for digit in part {
            number = number.saturating_mul(10).saturating_add(digit - b'0');
        }
    }
    if negative { Priority::FIRST } else { Priority::new(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_as_python_reads_them() {
        for (text, number) in [
            ("7", 7),
            (" 8 ", 8),
            ("+3", 3),
            ("-3", 0),
            ("1_0", 9),
            ("0007", 7),
            ("99999999999999999999", 9),
            ("4.9", 0),
            ("", 0),
            ("_1", 0),
            ("1__0", 0),
            ("x", 0),
        ] {
            assert_eq!(Priority::of(&Json::from(text)).get(), number, "{text:?}");
        }
        assert_eq!(Priority::of(&Json::from(true)).get(), 1);
        assert_eq!(Priority::of(&Json::Float(f64::NAN)).get(), 0);
        assert_eq!(Priority::of(&Json::Float(1e300)).get(), 9);
        assert_eq!(Priority::of(&Json::Float(-0.5)).get(), 0);
        assert_eq!(Priority::of(&Json::Int(i64::MIN)).get(), 0);
        for (digits, step) in [("99999999999999999999", 9), ("-99999999999999999999", 0)] {
            let wide = crate::kombu::BigInt::new(digits).unwrap();
            assert_eq!(Priority::of(&Json::BigInt(wide)).get(), step);
        }
    }
}
