//! What lies under the key of a task, as far as that can be told of any JSON that Python writes.

use std::borrow::Cow;

use keyrail_core::kombu::without_surrogates;
use serde::Deserialize;

use super::{TaskResult, results::READY};
use crate::HostError;

/// A stored result as it is. Python stores some that no [`TaskResult`] holds: `NaN`, whole numbers of more than 64 bits, a
/// surrogate that stands alone.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
/// use keyrail_redis::{Executor, Host, Memory, celery::Results, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let python = br#"{"status": "SUCCESS", "result": [1, Infinity]}"#;
/// host.executor().run(&plan::store_result("id-1", python, 60)).await.unwrap();
/// let stored = Results::new(&host).stored("id-1").await.unwrap().unwrap();
/// assert!(stored.is_ready() && stored.text().contains("Infinity"));
/// assert_eq!(stored.read().unwrap_err().code(), "invalid-registry", "JSON has no such number");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResult {
    task_id: String,
    status: String,
    text: Vec<u8>,
}

impl StoredResult {
    /// # Errors
    /// Those of [`TaskResult::read`] of what has no status.
    pub(super) fn new(task_id: &str, text: Vec<u8>) -> Result<Self, HostError> {
        let status = match status(&text) {
            Some(status) => status,
            None => TaskResult::read(task_id, &text)?.status,
        };
        Ok(StoredResult { task_id: task_id.into(), status, text })
    }

    /// `SUCCESS`, `FAILURE` or another word.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Whether nothing more will come.
    pub fn is_ready(&self) -> bool {
        READY.contains(&&*self.status)
    }

    /// The document, as it was stored.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Reads the whole.
    ///
    /// # Errors
    /// Those of [`TaskResult::read`].
    pub fn read(&self) -> Result<TaskResult, HostError> {
        TaskResult::read(&self.task_id, &self.text)
    }
}

/// The status of a stored result; nothing if that is no JSON object with one. However deep the rest nests.
pub(super) fn status(stored: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        status: String,
    }
    let head = serde_json::from_slice(&finite(stored));
    head.ok().map(|head: Head| head.status)
}

/// What keeps a text that Python writes and reads from being JSON.
pub(super) fn pythons(text: &str) -> Option<&'static str> {
    let is_json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok();
    let (finite, whole) = (finite(text.as_bytes()), without_surrogates(text.as_bytes()));
    if matches!(finite, Cow::Owned(_)) && is_json(&without_surrogates(&finite)) {
        return Some("it has NaN or Infinity, which JSON does not have");
    }
    (matches!(whole, Cow::Owned(_)) && is_json(&whole)).then_some("it has a surrogate that stands alone")
}

/// The text with `null` for the numbers that Python writes and JSON does not have.
fn finite(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut copied, mut at, mut quoted) = (Vec::new(), 0, 0, false);
    while at < text.len() {
        let word = match (text[at], quoted) {
            (b'\\', true) => {
                // What it escapes ends no text.
                at += 2;
                continue;
            }
            (b'"', _) => {
                quoted = !quoted;
                None
            }
            (b'N' | b'I' | b'-', false) => {
                [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| text[at..].starts_with(word))
            }
            _ => None,
        };
        let Some(word) = word else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&text[copied..at]);
        out.extend_from_slice(b"null");
        at += word.len();
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_what_python_stores_is_known() {
        let deep = format!(r#"{{"result": {}{}, "status": "SUCCESS"}}"#, "[".repeat(900), "]".repeat(900));
        for stored in [
            r#"{"status": "SUCCESS", "result": NaN}"#,
            r#"{"result": [-Infinity, Infinity, {"NaN": "a\\\"NaN"}], "status": "SUCCESS"}"#,
            r#"{"status": "SUCCESS", "result": 1180591620717411303424}"#,
            r#"{"status": "SUCCESS", "result": "\ud800"}"#,
            &deep,
        ] {
            assert_eq!(status(stored.as_bytes()).as_deref(), Some("SUCCESS"), "{stored}");
        }
    }

    #[test]
    fn what_is_no_result_has_none() {
        for stored in [&b"\x80\x04N."[..], b"NaN", b"[]", b"{}", br#"{"status": 1}"#, b"", b"\"\\", b"-I"] {
            assert_eq!(status(stored), None, "{stored:?}");
        }
    }

    #[test]
    fn only_numbers_outside_of_texts_are_replaced() {
        let text = br#"["NaN \" Infinity", NaN,-Infinity,Infinity, -1]"#;
        assert_eq!(&*finite(text), br#"["NaN \" Infinity", null,null,null, -1]"#);
    }

    #[test]
    fn what_is_pythons_is_named() {
        for (text, named) in
            [("[NaN]", "NaN"), (r#"["\ud800", NaN]"#, "NaN"), (r#"["\udfff x"]"#, "surrogate")]
        {
            assert!(pythons(text).expect(text).contains(named), "{text}");
        }
        assert_eq!((pythons("[1]"), pythons("[NaN"), pythons("[nan]")), (None, None, None));
    }
}
