use alloc::boxed::Box;
use core::fmt;

/// A whole number beyond 64 bits with a sign, as the digits that JSON has for it.
///
/// Python's integers have no end, and `json` reads and writes them as they are: what passes through here must, too.
///
/// ```
/// use keyrail_core::kombu::{BigInt, Json};
///
/// let wide = BigInt::new("12345678901234567890123").unwrap();
/// assert_eq!(Json::BigInt(wide).to_python(), "12345678901234567890123");
/// assert_eq!(BigInt::new("42"), None); // fits into `Json::Int`
/// assert_eq!(BigInt::new("1e30"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigInt(Box<str>);

impl BigInt {
    /// Digits with or without a minus, as JSON has them; nothing if it is anything else, or fits into 64 bits.
    pub fn new(digits: &str) -> Option<Self> {
        let bare = digits.strip_prefix('-').unwrap_or(digits);
        let whole =
            bare.bytes().all(|byte| byte.is_ascii_digit()) && !bare.starts_with('0') && !bare.is_empty();
        (whole && digits.parse::<i64>().is_err()).then(|| BigInt(digits.into()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same number, if it fits without a sign.
    ///
    /// ```
    /// use keyrail_core::kombu::BigInt;
    ///
    /// let largest = BigInt::new("18446744073709551615").unwrap();
    /// assert_eq!((largest.as_u64(), largest.as_str()), (Some(u64::MAX), "18446744073709551615"));
    /// assert_eq!(BigInt::new("18446744073709551616").unwrap().as_u64(), None);
    /// ```
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
