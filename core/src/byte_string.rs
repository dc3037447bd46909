use alloc::{boxed::Box, string::String, vec::Vec};
use core::{borrow::Borrow, fmt, ops::Deref};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

/// Bytes that are almost always text: routing keys, header names, long strings.
///
/// AMQP does not promise UTF-8 for any of these. In JSON such a value is a string, or `{"hex": "ff00"}` where the
/// bytes are not UTF-8; JavaScript may also pass a `Uint8Array`.
///
/// ```
/// use keyrail_core::ByteString;
///
/// let key = ByteString::from("order.eu.paid");
/// assert_eq!(&*key, b"order.eu.paid");
/// assert_eq!(key.to_string(), "order.eu.paid");
/// assert_eq!(ByteString::from([0xff, b'a']).to_string(), "\\xffa");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteString(Box<[u8]>);

impl ByteString {
    /// The text, if the bytes are UTF-8.
    ///
    /// ```
    /// use keyrail_core::ByteString;
    ///
    /// assert_eq!(ByteString::from("order").as_str(), Some("order"));
    /// assert_eq!(ByteString::from([0xff]).as_str(), None);
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// The bytes.
    ///
    /// ```
    /// use keyrail_core::ByteString;
    ///
    /// assert_eq!(ByteString::from("é").as_bytes(), [0xc3, 0xa9]);
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for ByteString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ByteString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for ByteString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for ByteString {
    fn from(text: &str) -> Self {
        ByteString(text.as_bytes().into())
    }
}

impl From<String> for ByteString {
    fn from(text: String) -> Self {
        ByteString(text.into_bytes().into())
    }
}

impl From<&[u8]> for ByteString {
    fn from(bytes: &[u8]) -> Self {
        ByteString(bytes.into())
    }
}

impl From<Vec<u8>> for ByteString {
    fn from(bytes: Vec<u8>) -> Self {
        ByteString(bytes.into())
    }
}

impl<const N: usize> From<[u8; N]> for ByteString {
    fn from(bytes: [u8; N]) -> Self {
        ByteString(bytes.into())
    }
}

/// Shows text as it is and every byte that is not part of UTF-8 text as `\xff`.
impl fmt::Display for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.as_str() {
            return serializer.serialize_str(text);
        }
        let mut hex = String::with_capacity(self.0.len() * 2);
        for byte in &*self.0 {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByteStringVisitor)
    }
}

struct ByteStringVisitor;

impl<'de> Visitor<'de> for ByteStringVisitor {
    type Value = ByteString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, bytes or {\"hex\": …}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteString, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<ByteString, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<ByteString, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ByteString, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByteString, A::Error> {
        let Some((key, hex)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::custom("expected the field `hex`"));
        };
        if key != "hex" || map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom("expected the one field `hex`"));
        }
        unhex(&hex)
            .ok_or_else(|| A::Error::custom(format_args!("`{hex}` is not an even number of hex digits")))
    }
}

fn unhex(hex: &str) -> Option<ByteString> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let bytes = digits.chunks_exact(2).map(|pair| {
        let byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        u8::try_from(byte).ok()
    });
    bytes.collect::<Option<Vec<u8>>>().map(ByteString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn json_form_is_text_or_hex() {
        for (bytes, json) in [(&b"a.b"[..], r#""a.b""#), (&[0xff, 0x2e, 0x61], r#"{"hex":"ff2e61"}"#)] {
            let value = ByteString::from(bytes);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<ByteString>(json).unwrap(), value);
        }
    }

    #[test]
    fn bad_hex_names_the_culprit() {
        let error = serde_json::from_str::<ByteString>(r#"{"hex":"f"}"#).unwrap_err();
        assert!(error.to_string().contains("`f`"), "{error}");
        for bad in ["1", "null", "{}", r#"{"hex":"ff","a":1}"#, r#"{"hex":"zz"}"#] {
            assert!(serde_json::from_str::<ByteString>(bad).is_err(), "{bad}");
        }
    }
}
